"""What `manage.py copy_database` says, and that nobody works on either database meanwhile."""

import contextlib
import os
import time
from pathlib import Path

from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection
from rich.table import Table

from jobs import belonging
from jobs.console.asker import at_this_terminal
from jobs.console.command import Refused, print_json
from jobs.lock import AlreadyRunning, hold_file, only_one
from jobs.models import AuditEntry
from jobs.moving import CannotMove, Moved, default_source, move, require_new, require_postgresql
from jobs.results import terminal
from jobs.schema import no_answer
from jobs.text import counted

_WHY = "both databases have to rest while one is copied into the other"


def copy_database(source: str, *, as_json: bool) -> None:
    """Raises Refused."""
    began = time.monotonic()
    try:
        require_postgresql()
        path = Path(source.removeprefix("sqlite:///")) if source else default_source()
        if not path.is_file():
            raise CannotMove(f"There is no file {path}: name the old database by --from.")
        with _at_rest(path):
            _require_new()
            _make_tables()
            moved = _move_and_note(path)
    except (AlreadyRunning, CannotMove) as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(f"Nothing was copied, for the work directory cannot be written: {error}.") from error
    if as_json:
        print_json({"rows": moved.rows, "texts_changed": moved.texts_changed})
    else:
        _print(moved, path, time.monotonic() - began)


def _require_new() -> None:
    """Before anything is made there: another installation's tables must not be changed. Raises CannotMove."""
    try:
        connection.ensure_connection()
    except OperationalError as error:
        raise no_answer(error) from error
    try:
        require_new()
    except CannotMove:
        if _is_done():
            raise CannotMove("It is copied already, and all of it: start run, sync and the web.") from None
        raise


def _is_done() -> bool:
    """A copy whose end nobody was told: killed, or the connection lost, just after it."""
    try:
        return belonging.is_here()
    except DatabaseError:
        return False


def _make_tables() -> None:
    """A killed try has perhaps made them already. `migrate` would ask whose database it is; here it is yet to become
    this installation's."""
    call_command("migrate", interactive=False, verbosity=0, skip_checks=True)


def _move_and_note(path: Path) -> Moved:
    with belonging.moved(str(path)):
        moved = move(path, lambda *_: None)
        AuditEntry.note(
            at_this_terminal(), "copy database", object_kind="database", object_id=str(path)[-255:],
            after=counted(sum(moved.rows.values()), "row"),
        )  # fmt: skip
    return moved


@contextlib.contextmanager
def _at_rest(path: Path):
    with contextlib.ExitStack() as held:
        for command in ("run", "sync"):
            if path.is_file():
                held.enter_context(hold_file(Path(f"{os.path.realpath(path)}.{command}.lock"), command, _WHY))
            held.enter_context(only_one(command, _WHY))
        yield


def _print(moved: Moved, path: Path, seconds: float) -> None:
    console = terminal()
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(justify="right")
    for name, number in sorted(moved.rows.items(), key=lambda each: -each[1]):
        if number:
            table.add_row(str(number), name)
    console.print(table)
    console.print(f"{counted(sum(moved.rows.values()), 'row')} copied and counted again in {seconds:.0f} s.")
    if moved.texts_changed:
        console.print(f"{counted(moved.texts_changed, 'text')} held a NUL, which PostgreSQL cannot store: it is � now.")
    console.print(f"Start run, sync and the web with this DATABASE_URL. Keep {path} until all is well, then remove it.")
