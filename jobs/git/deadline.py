"""How long git may take altogether, and whether what it does is still wanted: every wait in `jobs.git` looks here.

A fetch may take minutes; a runner that is to end, or a job that was cancelled, must not wait for it.
"""

import time
from collections.abc import Callable

from django.conf import settings

from jobs.errors import Stopped

# As long as a wait for anything may last without a look at whether it is still wanted.
LOOK_EVERY_SECONDS = 0.1

ShouldStop = Callable[[], bool]


def never() -> bool:
    return False


class Deadline:
    """A moment by which something must have ended, however many steps it takes; earlier if `should_stop` says so."""

    def __init__(self, seconds: float, should_stop: ShouldStop = never):
        self._end = time.monotonic() + seconds
        self._should_stop = should_stop

    @classmethod
    def of_settings(cls, should_stop: ShouldStop = never) -> "Deadline":
        return cls(settings.GIT_TIMEOUT_SECONDS, should_stop)

    def seconds_left(self) -> float:
        """What is left, 0 when it has passed. Raises Stopped if nobody wants it any more."""
        if self._should_stop():
            raise Stopped
        return max(0.0, self._end - time.monotonic())

    def next_look(self) -> float:
        """How long a wait may last now, in seconds: 0 when the deadline has passed. Raises Stopped."""
        return min(self.seconds_left(), LOOK_EVERY_SECONDS)

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the deadline. Raises Stopped."""
        end = time.monotonic() + seconds
        while (left := min(self.next_look(), end - time.monotonic())) > 0:
            time.sleep(left)
