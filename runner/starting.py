"""Which waiting jobs start in a turn of the loop, and the reason that the others are told.

What may start is decided by `runner.capacity` and `runner.window`; here are the queries before and the moves after it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping

from django.db.models import QuerySet

from jobs.models import Flag, InvalidTransition, Job
from jobs.states import StatusCode
from runner import capacity
from runner.window import Window

log = logging.getLogger(__name__)

# So many waiting jobs of a pool are told a new reason in one turn: what a turn costs stays bounded when a pause, or the
# end of one, gives 10,000 jobs another reason. The others hear of it in the turns that follow at once.
MOST_TOLD_IN_A_TURN = 1000


class Starter:
    """Used by the loop's thread only. `hand_over` sets a started job off, `again` asks for another turn at once.

    `room` and `held` are what the last turn found.
    """

    def __init__(
        self,
        limits: Mapping[str, int],
        weights: capacity.Weights,
        hand_over: Callable[[Job], None],
        again: Callable[[], None],
    ):
        self.room: capacity.Capacity | None = None
        self.held: Mapping[str, capacity.Hold] = {}
        self._limits, self._weights, self._hand_over, self._again = limits, weights, hand_over, again
        self._window = Window()

    def start_ready(self, running: Iterable[Job], flags: Mapping[str, Flag], no_room: str) -> None:
        """`running` jobs take their place; `no_room` says why disks let no job start, if so."""
        self.held, planned = capacity.holds(flags, no_room), capacity.planned_reboot_of(flags)
        self.room = capacity.Capacity(self._limits, self._weights, [_candidate(job) for job in running])
        for pool, requires_db in ((capacity.DATABASE, True), (capacity.ORDINARY, False)):
            ready, hold = Job.objects.ready().filter(requires_db=requires_db), self.held.get(pool)
            if hold is None and planned:
                self._start_before(planned, pool, ready)
                continue
            if hold is None and self.room.is_free(pool):
                fields = ("pk", "workspace", "action", "run_command", "requires_db")
                self._start(self.room.choose(capacity.Candidate(*row) for row in ready.values_list(*fields)))
            hold = hold or self.room.waiting(pool)
            untold = ready.not_told(hold.code, hold.message).order_by("pk")
            self._tell(untold.values_list("pk", flat=True)[:MOST_TOLD_IN_A_TURN], hold)

    def _start_before(self, planned: Flag, pool: str, ready: QuerySet) -> None:
        """Start what will be done before a planned reboot, and tell the others."""
        fitting, late = self._window.split(ready, planned.due_at)
        is_free = self.room.is_free(pool)
        chosen = set(self._start(self.room.choose(row.candidate for row in fitting)) if is_free else ())
        left = [row for row in fitting if row.candidate.pk not in chosen]
        for rows, hold in ((left, self.room.waiting(pool)), (late, capacity.until_planned_reboot(planned))):
            untold = [row.candidate.pk for row in rows if not row.is_told(hold)]
            self._tell(untold[:MOST_TOLD_IN_A_TURN], hold)

    def _tell(self, pks: Iterable[int], hold: capacity.Hold) -> None:
        """Give waiting jobs their reason."""
        if Job.objects.move_waiting([(pk, hold.code, hold.message) for pk in pks]) == MOST_TOLD_IN_A_TURN:
            self._again()

    def _start(self, chosen: list[int]) -> list[int]:
        found = Job.objects.pending().select_related("request").in_bulk(chosen)
        for pk in chosen:
            if pk in found and move_unless_gone(found[pk], StatusCode.INITIATED, "Starting."):
                self._hand_over(found[pk])
        return chosen


def move_unless_gone(job: Job, code: StatusCode, message: str) -> bool:
    """Move a waiting job unless somebody else just has."""
    try:
        job.move_to(code, message)
    except InvalidTransition as error:
        log.info("%s", error)
        return False
    return True


def _candidate(job: Job) -> capacity.Candidate:
    return capacity.Candidate(job.pk, job.workspace, job.action, job.run_command, job.requires_db)
