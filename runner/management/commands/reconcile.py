"""`manage.py reconcile`: remove what is left over on the engine and the disks without a job that needs it."""

from jobs.console.command import OperatorCommand
from runner.console.reconciliation import reconcile


class Command(OperatorCommand):
    help = (
        "Show, then remove, containers, job folders and staged outputs of this installation that no job needs any "
        "more. Never touches what does not bear its label, what is younger than ten minutes, or what an operator may "
        "still have finalised. Exit code 1: something is left."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="show it, and remove nothing")
        parser.add_argument("--reason", help="why; kept in the audit")
        parser.add_argument("--yes", action="store_true", help="do not ask whether to go on")

    def answer(self, *, dry_run: bool, reason: str, yes: bool, as_json: bool, **options) -> int:
        return reconcile(dry_run=dry_run, reason=reason, yes=yes, as_json=as_json)
