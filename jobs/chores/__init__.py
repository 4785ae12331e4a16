"""Chores: what keeps a backend tidy beside the jobs: copies of the database, checks of storage, notices, old files.

A cluster of django-q2, a child of `manage.py run` in a process group of its own (`runner.chores`), does them. Nothing
that a job needs passes through it. What is to be done and what came of it are rows of `ChoreRun`, which are ours;
the queue's rows only make a worker look at them. So any of the queue's rows may be deleted, doubled or late:

* whoever wants a chore done adds a `ChoreRun` (`jobs.asking.ask_for_chore`), never a row of the queue;
* the runner's side puts it into the queue, again after a while if nobody has begun it;
* a worker claims the row by a conditional update, so what comes twice is done once;
* what a worker that is gone has begun waits again, three times at most;
* the schedules (rows of django-q2) are made anew whenever one is missing or has been changed.

The other rooms add their chores when Django starts (`register`), by name only: the pages' processes have no business
with Docker, git or mail servers. A chore is short (the queue ends it after ten minutes), may be killed at any line and
done again, and never waits for a job's container.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone

from jobs.models import ChoreRun
from jobs.text import duration_in_words

WORKSPACE, IMAGE, NOTHING = "workspace", "image", ""
OPERATORS, ADMINISTRATORS = "jobs.add_chorerun", "jobs.remove_leftovers"


_RHYTHMS = {timedelta(minutes=1): "each minute", timedelta(hours=1): "each hour", timedelta(days=1): "each day"}


# The schedule is looked at twice a minute, and workers may be at work.
_SLACK = timedelta(minutes=30)


class ChoreFailed(Exception):
    """It could not be done; the message says why and what to do."""


@dataclass(frozen=True)
class Done:
    """`said` is a sentence for operators; `detail` what a program may want to know, bounded."""

    said: str
    detail: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Chore:
    """`function` is where it is done ("jobs.chores.snapshot.snapshot"): it takes the ChoreRun and returns Done.

    `every`: how often the schedule does it; None: only when it is asked for. Daily ones begin at CHORES_HOUR. `takes`:
    what its argument is when somebody asks for it. `off`: why the schedule does not do it at this site, or nothing.
    """

    name: str
    title: str
    what: str
    function: str
    every: timedelta | None = None
    takes: str = NOTHING
    permission: str = OPERATORS
    off: Callable[[], str] = lambda: ""

    @property
    def is_scheduled(self) -> bool:
        return self.every is not None and not self.off()

    @property
    def rhythm(self) -> str:
        """How often the schedule does it, in words."""
        if self.every is None:
            return "when asked for"
        if self.off():
            return "off"
        return _RHYTHMS.get(self.every, f"every {duration_in_words(self.every)}")

    @property
    def needs_argument(self) -> bool:
        """Whether it can only be asked for with one."""
        return self.takes == WORKSPACE and self.every is None


def overdue(last: Mapping[str, ChoreRun]) -> list[str]:
    """Names of those that the schedule should have begun anew long ago. `last`: the newest run of each."""
    now = timezone.now()
    return [
        each.name
        for each in chores()
        if each.is_scheduled and each.name in last and now - last[each.name].started_at > 2 * each.every + _SLACK
    ]


Work = Callable[[ChoreRun], Done]
_chores: dict[str, Chore] = {}


def register(*chores: Chore) -> None:
    _chores.update({chore.name: chore for chore in chores})


def chores() -> list[Chore]:
    """In the order of registration."""
    return list(_chores.values())


def chore(name: str) -> Chore | None:
    return _chores.get(name)
