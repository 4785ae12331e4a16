"""`manage.py chores [NAME [ARGUMENT]]`: what is done beside the jobs, and asking for it."""

from jobs.console.chores import ask, list_chores
from jobs.console.command import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Without a name: each chore, when it is done and what came of it last; exit code 1 if one has failed. With a "
        "name: ask the runner for it now, for some with a workspace or an image behind the name; --wait waits for the "
        "result, exit code 1 if it failed."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", nargs="?", help="such as snapshot, storage or export")
        parser.add_argument("argument", nargs="?", default="", help="a workspace, or an image such as python:v2")
        parser.add_argument("--reason", help="why; kept in the audit")
        parser.add_argument("--yes", action="store_true", help="do not ask whether to go on")
        parser.add_argument("--wait", action="store_true", help="until it is done")

    def answer(self, *, name: str | None, argument: str, as_json: bool, **options) -> int:
        if name is None:
            return list_chores(as_json=as_json)
        kept = {key: options[key] for key in ("reason", "yes", "wait")}
        return ask(name, argument, as_json=as_json, **kept)
