"""`manage.py notices`: what operators were told, and a test of whether they can be."""

from jobs.console.command import OperatorCommand
from jobs.console.notices import list_notices, send_test

MOST = 1000


class Command(OperatorCommand):
    help = (
        "The newest notices, and by which way each was told (NOTIFY_EMAILS, NOTIFY_WEBHOOK_URL). --test sends one now "
        "that says it is a test; exit code 1 if it was not taken."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--limit", type=int, default=20, choices=range(1, MOST + 1), metavar="N", help="so many")
        parser.add_argument("--test", action="store_true", help="send a test by each way")

    def answer(self, *, limit: int, test: bool, as_json: bool, **options) -> int | None:
        return send_test(as_json=as_json) if test else list_notices(limit=limit, as_json=as_json)
