"""`manage.py snapshot_database`: a copy of the database that can be put in its place."""

from jobs.console.command import OperatorCommand
from jobs.console.snapshot import snapshot


class Command(OperatorCommand):
    help = (
        "Copy the database while everything runs, check the copy, and keep the newest SNAPSHOTS_KEPT of them in "
        "SNAPSHOT_DIR. To put one back: stop run, sync and the web, copy it over the database file and remove that "
        "file's -wal and -shm, then start them again."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--list", action="store_true", dest="only_list", help="make none, list those there are")

    def answer(self, *, only_list: bool, as_json: bool, **options) -> None:
        snapshot(only_list=only_list, as_json=as_json)
