"""What a worker does with an entry of the queue: claim the row, do the chore, store what came of it.

The queue calls `asked` and `scheduled` by name. Neither raises for a chore that fails: its row says so, and the queue
has nothing to try again. Only the end of the worker itself (its time is over) passes through.
"""

import logging
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.module_loading import import_string

from jobs.chores import ChoreFailed, Done, chore
from jobs.log import about
from jobs.models import ChoreRun, Heartbeat
from jobs.models.chore_run import LONGEST_SAID
from jobs.processes import this_process
from jobs.wire import clean

log = logging.getLogger(__name__)

_PING = "chores"

# A schedule's row may be doubled, and a killed worker's entry comes again: what was begun so lately is not due.
LONGEST_LATELY = timedelta(hours=1)


def asked(pk: int) -> None:
    """What somebody has asked for; nothing if it is another worker's, or done."""
    if run := ChoreRun.objects.claim(pk, this_process()):
        _do(run)


def scheduled(name: str) -> None:
    """What the schedule wants; nothing if it is under way, or was just done."""
    known = chore(name)
    if known is None or not known.is_scheduled:
        return
    lately = timezone.now() - min(known.every / 2, LONGEST_LATELY)
    if run := ChoreRun.objects.begin_by_schedule(name, this_process(), not_after=lately):
        _do(run)


def answer_ping() -> None:
    """Show that the queue is served."""
    Heartbeat.beat(_PING, worker=this_process())


def last_answer() -> datetime | None:
    """When a worker has last answered a ping."""
    return Heartbeat.objects.filter(name=_PING).values_list("at", flat=True).first()


def _do(run: ChoreRun) -> None:
    with about(chore=run.chore):
        outcome, done = ChoreRun.Outcome.FAILED, Done("Its process was stopped in the middle of it.")
        try:
            known = chore(run.chore)
            if known is None:
                raise ChoreFailed("This version knows no such chore.")
            done = import_string(known.function)(run)
            outcome = ChoreRun.Outcome.DONE
        except ChoreFailed as error:
            done = Done(str(error))
        except Exception as error:
            log.exception("chore %s: failed by a fault of the job runner", run)
            done = Done(f"A fault of the job runner ({type(error).__name__}): see the runner's log.")
        except SystemExit:  # the queue says: too late
            done = Done(
                "It took longer than a chore may, and was ended. Ask for it again, or use its command at the machine."
            )
            raise
        finally:
            said = clean(done.said, LONGEST_SAID)
            if run.end(outcome, said, done.detail):
                log.log(logging.WARNING if run.failed else logging.INFO, "chore %s: %s. %s", run, outcome, said)
