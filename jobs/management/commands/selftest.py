"""`manage.py selftest`: a canary job through every phase, on this site's engine."""

from jobs.console.command import OperatorCommand
from jobs.console.selftest import selftest


class Command(OperatorCommand):
    help = (
        "Run a canary study through every phase, with a database, storages and a runner of its own, on this site's "
        "engine: after an installation or an update, beside whatever else runs. Exit code 1 if a phase did not do what "
        "it has to."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--run",
            default="python:v2 python canary.py",
            help="the canary's command, image first; `python:v2 sh canary.sh` where the image has no Python",
        )
        parser.add_argument("--kill", action="store_true", help="kill -9 its runner in the middle of the job")
        parser.add_argument("--keep", action="store_true", help="do not remove its folder")

    def answer(self, *, run: str, kill: bool, keep: bool, as_json: bool, **options) -> int:
        return selftest(run, kills=kill, keeps=keep, as_json=as_json)
