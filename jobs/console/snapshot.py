"""`manage.py snapshot_database`: a copy of the database now, and which there are."""

from django.utils import timezone
from rich.table import Table
from rich.text import Text

from jobs.console.asker import at_this_terminal
from jobs.console.command import Refused, print_json
from jobs.log import escape
from jobs.models import AuditEntry
from jobs.results import terminal
from jobs.snapshots import NoSnapshot, Snapshot, snapshots, take
from jobs.text import duration_in_words, size_in_words
from jobs.wire import moment


def snapshot(*, only_list: bool, as_json: bool) -> None:
    """Raises Refused."""
    if not only_list:
        try:
            made = take()
        except NoSnapshot as error:
            raise Refused(escape(str(error))) from error
        AuditEntry.note(at_this_terminal(), "snapshot", object_kind="database", object_id=made.path.name[:255])
    found = snapshots()
    if as_json:
        print_json({"snapshots": [_told(each) for each in found]})
    else:
        _print(found)


def _told(each: Snapshot) -> dict:
    return {"path": str(each.path), "at": moment(each.at), "bytes": each.size}


def _print(found: list[Snapshot]) -> None:
    console = terminal()
    if not found:
        console.print("There is no snapshot yet.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for each in found:
        age = duration_in_words(max(0.0, (timezone.now() - each.at).total_seconds()))
        table.add_row(Text(escape(str(each.path)), overflow="fold"), Text(size_in_words(each.size)), Text(f"{age} old"))
    console.print(table)
