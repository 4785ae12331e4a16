"""Showing how jobs get on while a command waits for them.

On a terminal a table that is redrawn in place, elsewhere a line for each change. Both only read the database, from a
thread of their own: showing never delays or disturbs what is shown.
"""

import contextlib
import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, connection
from django.db.models import Case, Count, QuerySet, When
from django.utils import timezone
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jobs.log import escape
from jobs.models import Job
from jobs.states import State

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.2
MOST_ROWS = 20
# A row may become visible a little after the time it carries.
OVERLAP = timedelta(seconds=5)
LOOK = {
    State.PENDING: ("·", "dim"),
    State.RUNNING: ("▶", "cyan"),
    State.SUCCEEDED: ("✓", "green"),
    State.FAILED: ("✗", "bold red"),
}
# What a terminal has room for, most telling first.
IMPORTANCE = (State.RUNNING, State.FAILED, State.PENDING, State.SUCCEEDED)


class Progress:
    """A context manager that shows the jobs of a queryset until it is left."""

    def __init__(self, jobs: QuerySet, console: Console | None = None):
        self._jobs = jobs.order_by("pk")
        self._console = console or Console(stderr=True, highlight=False)
        self._over = threading.Event()
        self._said: dict[int, str] = {}
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._over.set()
        self._thread.join(timeout=5)

    def _show(self) -> None:
        try:
            if self._console.is_terminal:
                self._redraw()
            else:
                self._say_changes()
        except DatabaseError:
            log.warning("the progress display ends: the database could not be read", exc_info=True)
        except (OSError, ValueError):
            log.info("the progress display ends: nobody reads it any more")  # a closed pipe or stream
        finally:
            connection.close()

    def _redraw(self) -> None:
        live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=True)
        with live, _logging_to_stderr():
            while not self._over.wait(LOOK_EVERY_SECONDS):
                live.update(_board(self._jobs, self._rows()), refresh=True)

    def _rows(self) -> int:
        """As many as fit below the headline: what does not fit cannot be drawn over and would stay on the screen."""
        return max(1, min(MOST_ROWS, self._console.height - 3))

    def _say_changes(self) -> None:
        over, looked_at = False, datetime.min.replace(tzinfo=UTC)
        while not over:
            over = self._over.wait(LOOK_EVERY_SECONDS)
            last_look, looked_at = looked_at, timezone.now() - OVERLAP
            for job in self._jobs.filter(updated_at__gte=last_look).iterator():
                if self._said.get(job.pk) != job.status_code:
                    self._said[job.pk] = job.status_code
                    self._console.print(_line(job), soft_wrap=True)


@contextlib.contextmanager
def _logging_to_stderr() -> Iterator[None]:
    """Log records go to the stderr of this moment, where the live display prints them above itself."""
    handlers = [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]
    old = [(handler, handler.setStream(sys.stderr)) for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in old:
            if stream is not None:
                handler.setStream(stream)


def _line(job: Job) -> Text:
    sign, style = LOOK[State(job.state)]
    return Text(f"{sign} {escape(job.action):<24} {job.status_code:<24} {escape(job.status_message)}", style=style)


def _board(jobs: QuerySet, rows: int) -> Group:
    """Two queries, however many jobs there are."""
    counts = Counter(dict(jobs.order_by().values_list("state").annotate(Count("pk"))))
    importance = Case(*(When(state=state, then=number) for number, state in enumerate(IMPORTANCE)))
    shown = sorted(jobs.order_by(importance, "pk")[:rows], key=lambda job: job.pk)
    table = Table(box=None, padding=(0, 1), show_header=False)
    for job in shown:
        sign, style = LOOK[State(job.state)]
        message = Text(escape(job.status_message), overflow="ellipsis", no_wrap=True)
        table.add_row(
            Text(sign, style), Text(escape(job.action), style), Text(job.status_code, style), _took(job), message
        )
    done, total = counts[State.SUCCEEDED] + counts[State.FAILED], counts.total()
    more = f" ({total - len(shown)} more are not shown)" if total > len(shown) else ""
    return Group(Text(f"{done} of {total} jobs done{more}", style="bold"), table)


def _took(job: Job) -> str:
    """How long the job has been at it, or was."""
    if job.started_at is None:
        return ""
    return f"{((job.completed_at or timezone.now()) - job.started_at).total_seconds():.0f} s"
