"""`manage.py prune_outputs WORKSPACE`: delete outputs that their action no longer makes."""

from jobs.console.command import OperatorCommand
from runner.console.prune import prune_outputs


class Command(OperatorCommand):
    help = (
        "Show, then delete, outputs of a workspace that their action no longer makes (out_of_date_output in the "
        "manifest), with their released copies. Current outputs are never touched."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("workspace", help="its whole name")
        parser.add_argument("--action", help="only those that this action made")
        parser.add_argument("--dry-run", action="store_true", help="show them, and delete nothing")
        parser.add_argument("--reason", help="why; kept in the audit")
        parser.add_argument("--yes", action="store_true", help="do not ask whether to go on")

    def answer(self, *, workspace: str, **options) -> None:
        kept = {name: options[name] for name in ("action", "dry_run", "reason", "yes", "as_json")}
        prune_outputs(workspace, **kept)
