"""`manage.py release_container NAME`: have a container tried again that Docker did not answer about."""

from jobs.console.command import OperatorCommand
from jobs.console.containers import release


class Command(OperatorCommand):
    help = (
        "Have the runner ask again about containers in quarantine: those about which Docker did not answer, though it "
        "answers otherwise. A stop that was asked for is done then. What hangs again is in quarantine again. Exit code "
        "1 if it could not be asked of each."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("called", nargs="+", metavar="name", help="a container, or its job's identifier")
        parser.add_argument("--reason", help="why; kept in the audit")
        parser.add_argument("--yes", action="store_true", help="do not ask whether to go on")
        parser.add_argument("--dry-run", action="store_true", help="say which are meant, and do nothing")

    def answer(self, *, called: list[str], **options) -> int:
        kept = {name: options[name] for name in ("reason", "yes", "dry_run", "as_json")}
        return 0 if release(called, **kept) else 1
