"""An executor that makes no call about a container in quarantine, and finds out which ones belong there.

One container that is wedged in the engine lets every question about it hang for the whole time limit, while the engine
answers all others. After MOST_SILENCES such questions in a row nobody asks about it any more, until it is released.

What counts is that nothing could be *learnt* about the container (`ContainerSilent`): one that only cannot be killed is
still answered about, and its job is tried again as ever. A silence counts only if the engine has answered somebody
since the question was asked, and of questions that waited side by side one counts. Knows nothing of jobs and of the
database; who keeps it through a restart is `runner.quarantine`.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from runner.executors.base import (
    ContainerSilent,
    ContainerSpec,
    Executor,
    ExecutorUnavailable,
    LogStream,
    Phase,
    Status,
    Usage,
)

MOST_SILENCES = 2
_Answer = TypeVar("_Answer")


@dataclass
class Held:
    """Why a container is in quarantine: since `since` (aware, UTC) nothing was learnt about it; the last `error`."""

    since: datetime
    error: str
    is_listed: bool = True  # a list of the engine's has named it
    held_at: float = field(default_factory=time.monotonic)


class InQuarantine(ExecutorUnavailable):
    """No call was made, or this one was the last: the container is in quarantine."""

    def __init__(self, name: str, held: Held):
        super().__init__(f"Container {name} is in quarantine, because Docker did not answer about it")
        self.held = held


@dataclass(frozen=True)
class _Silences:
    """In a row, of one container: how many, since when, and when the last one ended by the monotonic clock."""

    number: int
    since: datetime
    ended_at: float


class GuardedExecutor:
    """See `runner.executors.base.Executor`. `held_anew` is called, from any thread, when a quarantine begins."""

    def __init__(self, executor: Executor, held_anew: Callable[[], None] = lambda: None):
        self._executor, self._held_anew = executor, held_anew
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._silences: dict[str, _Silences] = {}
        self._listed: frozenset[str] = frozenset()
        # By the monotonic clock: the youngest question to the engine as a whole, and the youngest that was answered.
        self._asked_at = self._answered_of = float("-inf")

    # --- quarantine

    def held(self) -> dict[str, Held]:
        with self._lock:
            return dict(self._held)

    def hold(self, name: str, held: Held) -> None:
        with self._lock:
            self._held[name] = held

    def release(self, name: str) -> None:
        """Questions are asked again. If the first one hangs, the container is in quarantine again."""
        with self._lock:
            self._held.pop(name, None)
            self._silences[name] = _Silences(MOST_SILENCES - 1, datetime.now(UTC), time.monotonic())

    def forget(self, name: str) -> None:
        """There is no such container any more."""
        with self._lock:
            self._held.pop(name, None)
            self._silences.pop(name, None)

    # --- the contract

    def start(self, spec: ContainerSpec) -> None:
        with self._about(spec.name):
            self._executor.start(spec)

    def statuses(self) -> dict[str, Status]:
        found = self._engine_asked(self._executor.statuses)
        with self._lock:
            self._listed = frozenset(found)
            for name, held in self._held.items():
                held.is_listed |= name in found
        return found

    def status(self, name: str) -> Status:
        if name in self.held():
            return self._as_listed(name)
        with self._about(name):
            return self._executor.status(name)

    def logs(self, name: str, *, since: str = "", follow: bool = False) -> LogStream:
        with self._about(name):
            return self._executor.logs(name, since=since, follow=follow)

    def stop(self, name: str) -> None:
        with self._about(name):
            self._executor.stop(name)

    def remove(self, name: str) -> None:
        with self._about(name):
            self._executor.remove(name)

    def metadata(self, name: str) -> dict:
        with self._about(name):
            return self._executor.metadata(name)

    def usage(self, name: str) -> Usage | None:
        with self._about(name):
            return self._executor.usage(name)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return self._executor.watch(changed)

    def describe(self) -> str:
        return self._engine_asked(self._executor.describe)

    # --- inside

    def _as_listed(self, name: str) -> Status:
        """By the list alone, which knows no exit code: an end that it tells of must not move a job."""
        status = self.statuses().get(name, Status(Phase.ABSENT))
        if status.phase in (Phase.ABSENT, Phase.QUEUED, Phase.RUNNING):
            return status
        return replace(status, phase=Phase.LOST, reason=f"Container {name} is in quarantine.")

    @contextlib.contextmanager
    def _about(self, name: str) -> Iterator[None]:
        """Around each call about one container. Raises InQuarantine if it is in quarantine, or is from now on."""
        if held := self.held().get(name):
            raise InQuarantine(name, held)
        began = time.monotonic()
        try:
            yield
        except ContainerSilent as error:
            if held := self._note_silence(name, began, error):
                raise InQuarantine(name, held) from error
            raise
        with self._lock:
            self._silences.pop(name, None)

    def _note_silence(self, name: str, began: float, error: ContainerSilent) -> Held | None:
        """Returns the quarantine that has come of it, if so."""
        engine_answers = self._engine_answers_since(began)
        with self._lock:
            if name in self._held:
                return self._held[name]
            before = self._silences.get(name)
            if not engine_answers or (before and began < before.ended_at):
                return None
            number, since = (before.number + 1, before.since) if before else (1, datetime.now(UTC))
            self._silences[name] = _Silences(number, since, time.monotonic())
            if number < MOST_SILENCES:
                return None
            held = self._held[name] = Held(since, str(error), name in self._listed)
        self._held_anew()
        return held

    def _engine_answers_since(self, began: float) -> bool:
        """Whether the engine has answered a question that was asked after that moment."""
        if self._answered_of >= began:
            return True
        if self._asked_at >= began:  # somebody waits for that answer still, or has got none
            return False
        try:
            self.statuses()
        except ExecutorUnavailable:
            return False
        return True

    def _engine_asked(self, question: Callable[[], _Answer]) -> _Answer:
        began = time.monotonic()
        self._asked_at = max(self._asked_at, began)
        answer = question()
        self._answered_of = max(self._answered_of, began)
        return answer
