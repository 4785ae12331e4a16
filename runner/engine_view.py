"""What the loop knows of the engine: the list of all containers, and since when there was no answer.

The engine is asked in a thread of its own and waited for only a moment: while it hangs, a turn goes on without it, so
that a waiting job can still be cancelled, be told why it waits, and the dashboard sees that the runner lives. There is
one call under way at most, however long it takes.
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting

from runner.executors.base import Executor, ExecutorUnavailable, Status

log = logging.getLogger(__name__)

# A list call takes a few milliseconds, on a loaded host some hundred. Whatever takes longer comes with a later turn.
PATIENCE_SECONDS = 2.0


class EngineView:
    """Used by the loop's thread only; `answered` is called from another one when a late answer has come."""

    def __init__(self, executor: Executor, answered: Callable[[], None]):
        self.unavailable_since: float | None = None  # seconds since 1970
        self.list_ms: float | None = None  # how long the last list took
        self.asked_at = 0.0  # when, by the monotonic clock, the list was asked for that was given out last
        self._executor, self._answered = executor, answered
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-list")
        self._call: Future | None = None

    def statuses(self) -> Mapping[str, Status] | None:
        """Name -> Status of all containers; None while the engine does not answer, which is nobody's failure.

        After a silence the first answer may be as old as the silence: it is only a reason to look at a job, and what
        a job is moved by is asked for anew.
        """
        began, clock = time.time(), time.monotonic()
        late = self._call is not None
        call = self._call = self._call or self._thread.submit(self._executor.statuses)
        if not late:
            self.asked_at = clock
        try:
            # A call that has been waited for once holds up no second turn.
            statuses = call.result(timeout=0 if late else PATIENCE_SECONDS)
        except StillWaiting:
            if not late:
                call.add_done_callback(lambda _: self._answered())
            self._note_silence(began, f"no answer within {PATIENCE_SECONDS:g} s")
            return None
        except ExecutorUnavailable as error:
            self._call = None
            self._note_silence(began, str(error))
            return None
        except BaseException:
            self._call = None
            raise
        self._call = None
        if not late:
            self.list_ms = round((time.monotonic() - clock) * 1000, 1)
        self._note_answer()
        return statuses

    def close(self) -> bool:
        """False if a call is still under way."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        return self._call is None or self._call.done()

    def _note_silence(self, since: float, why: str) -> None:
        if self.unavailable_since is None:
            self.unavailable_since = since
            log.warning("the engine does not answer: %s; jobs stay as they are", why)

    def _note_answer(self) -> None:
        if self.unavailable_since is not None:
            log.info("the engine answers again after %.0f s", time.time() - self.unavailable_since)
            self.unavailable_since = None
