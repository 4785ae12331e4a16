"""How long git may take altogether, and whether what it does is still wanted: every wait in `jobs.git` looks here.

A fetch may take minutes; a runner that is to end, or a job that was cancelled, must not wait for it. Whoever makes many
calls and must be done by a certain moment bounds them all at once, with `within`.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from django.conf import settings

from jobs.errors import Stopped
from jobs.git.errors import GitUnavailable

# As long as a wait for anything may last without a look at whether it is still wanted.
LOOK_EVERY_SECONDS = 0.1

ShouldStop = Callable[[], bool]


def never() -> bool:
    return False


@dataclass(frozen=True)
class _Block:
    """What was bounded by one `within`."""

    seconds: float
    end: float
    should_stop: ShouldStop

    def seconds_left(self) -> float:
        """More than 0. Raises Stopped, and GitUnavailable when the block has had its time."""
        if self.should_stop():
            raise Stopped
        left = self.end - time.monotonic()
        if left <= 0:
            raise GitUnavailable(f"Reading the study took longer than {self.seconds:g} seconds.")
        return left


# The innermost block is the last. Each thread has its own.
_blocks: ContextVar[tuple[_Block, ...]] = ContextVar("blocks", default=())


@contextlib.contextmanager
def within(seconds: float, should_stop: ShouldStop = never) -> Iterator[None]:
    """All of git's work inside of the `with` block, in this thread, ends within so many seconds, however many calls.

    When they are over the call at work raises GitUnavailable, which says so, and so do all later ones that wait for
    git. `should_stop` is asked several times a second; when it says so, calls raise Stopped. Each call keeps its own,
    shorter time (GIT_TIMEOUT_SECONDS). Blocks may be nested: the stricter counts.
    """
    before = _blocks.set((*_blocks.get(), _Block(seconds, time.monotonic() + seconds, should_stop)))
    try:
        yield
    finally:
        _blocks.reset(before)


class Deadline:
    """A moment by which something must have ended, however many steps it takes; earlier if `should_stop` says so."""

    def __init__(self, seconds: float, should_stop: ShouldStop = never, blocks: tuple[_Block, ...] = ()):
        self._end = time.monotonic() + seconds
        self._should_stop = should_stop
        self._blocks = blocks

    @classmethod
    def of_settings(cls, should_stop: ShouldStop = never) -> "Deadline":
        return cls(settings.GIT_TIMEOUT_SECONDS, should_stop, _blocks.get())

    def seconds_left(self) -> float:
        """What is left, 0 when it has passed.

        Raises Stopped if nobody wants it any more, and GitUnavailable if the time of a whole block is over.
        """
        if self._should_stop():
            raise Stopped
        left = [self._end - time.monotonic(), *(block.seconds_left() for block in self._blocks)]
        return max(0.0, min(left))

    def next_look(self) -> float:
        """How long a wait may last now, in seconds: 0 when the deadline has passed. Raises as `seconds_left`."""
        return min(self.seconds_left(), LOOK_EVERY_SECONDS)

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the deadline. Raises as `seconds_left`."""
        end = time.monotonic() + seconds
        while (left := min(self.next_look(), end - time.monotonic())) > 0:
            time.sleep(left)
