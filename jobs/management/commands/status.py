"""`manage.py status`: whether this backend works."""

from jobs.console.command import OperatorCommand
from jobs.console.status import show_status


class Command(OperatorCommand):
    help = (
        "Say whether this backend works, and if not, why and what to do. Exit code 0: it works; 1: somebody should "
        "look, or has paused it; 2: somebody has to look now."
    )
    failure_code = 2

    def answer(self, *, as_json: bool, **options) -> int:
        return show_status(as_json=as_json)
