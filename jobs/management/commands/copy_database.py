"""`manage.py copy_database`: move a site from SQLite to PostgreSQL."""

from jobs.console.command import OperatorCommand
from jobs.console.copy_database import copy_database


class Command(OperatorCommand):
    help = (
        "Copy every row of an SQLite database into the one that DATABASE_URL names, which is on PostgreSQL and empty: "
        "its tables are made first, as by `manage.py migrate`. Stop run, sync and the web first. All or nothing: after "
        "an error, or when it is killed, the new database has no row. The old one is only read."
    )

    needs_database = False  # it has no tables yet, and is not yet this installation's

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--from",
            dest="source",
            default="",
            metavar="FILE",
            help="the old database: a path, or its address (sqlite:////…); by default WORK_DIR/db.sqlite3 or "
            "WORK_DIR/database/db.sqlite3",
        )

    def answer(self, *, source: str, as_json: bool, **options) -> None:
        copy_database(source, as_json=as_json)
