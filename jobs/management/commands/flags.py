"""`manage.py flags`: what is switched on, by whom, since when and why."""

from jobs.console.command import OperatorCommand
from jobs.console.switches import show_flags


class Command(OperatorCommand):
    help = "Show how the switches stand: paused, database maintenance, reboot."

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--history", action="store_true", help="also who has set them before")

    def answer(self, *, history: bool, as_json: bool, **options) -> None:
        show_flags(with_history=history, as_json=as_json)
