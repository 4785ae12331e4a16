"""`manage.py kill_job JOB`: ask for its end at once."""

from jobs.console.wishes import WishCommand


class Command(WishCommand):
    help = "Kill jobs: as cancel_job, but at once and as killed by an administrator; it overrides a cancel that hangs."
    wish = "kill"

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--cleanup",
            action="store_true",
            help="also remove the container and the folder that are kept of jobs which ended with internal_error; they "
            "cannot be finalised again then",
        )

    def answer(self, *, cleanup: bool, **options) -> int:
        self.wish = "kill and clean up" if cleanup else "kill"
        return super().answer(**options)
