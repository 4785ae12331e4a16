"""When something that fails is tried again: pauses that double up to a cap, each with jitter. Knows nothing of what."""

import random
import time
from collections.abc import Callable


class Backoff:
    """Counts failures in a row. Times are those of the monotonic clock, in seconds."""

    def __init__(self, first_seconds: float, most_seconds: float, clock: Callable[[], float] = time.monotonic):
        self._first, self._most, self._clock = first_seconds, most_seconds, clock
        self.failures = 0
        self._next = 0.0

    def is_over(self) -> bool:
        """Whether it may be tried (again) now."""
        return self._clock() >= self._next

    def seconds_left(self) -> float:
        return max(0.0, self._next - self._clock())

    def fail(self) -> None:
        # Half of the pause is chance: many clients of a server that comes back must not all come at once.
        pause = min(self._most, self._first * 2 ** min(self.failures, 30)) * random.uniform(0.5, 1.0)
        self.failures += 1
        self._next = self._clock() + pause

    def succeed(self) -> None:
        self.failures, self._next = 0, 0.0
