"""An executor without an engine: a small state machine with the real one's manners.

For tests, and for `EXECUTOR=fake manage.py run` on a machine without Docker. The same contract suite runs against this
one and the real one; what a real container can do but a fake one does not (limits, isolation) is not pretended.
"""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from runner.executors.base import (
    ContainerSilent,
    ContainerSpec,
    ExecutorUnavailable,
    ImageMissing,
    LogStream,
    Phase,
    Status,
    Usage,
)
from runner.executors.fake_outputs import files_for

_KILLED = 137
_INTERRUPTED = "the engine went down while the container ran"
_LOOK_SECONDS = 0.05  # how soon a reader notices that the engine has become unavailable


@dataclass(frozen=True)
class FakeRun:
    """What the command of one container does. It logs at its start and writes its files at its end."""

    exit_code: int = 0
    out_of_memory: bool = False
    log: bytes = b""
    errors: bytes = b""  # what it writes to standard error, after `log`
    files: Mapping[str, bytes] = field(default_factory=dict)  # path in the workspace -> content
    seconds: float = 0.0  # that it takes at most
    until: threading.Event | None = None  # it ends when this is set, and never before


def promised_outputs(spec: ContainerSpec) -> FakeRun:
    """The run that every study hopes for: each promised output is made."""
    return FakeRun(log=f"The fake executor runs {spec.image}.\n".encode(), files=files_for(spec.output_patterns))


@dataclass(eq=False)
class _Container:
    spec: ContainerSpec
    run: FakeRun
    status: Status
    log: list[tuple[str, bytes, bool]] = field(default_factory=list)  # timestamp, line, whether to standard error
    ended: threading.Event = field(default_factory=threading.Event)

    def end(self, phase: Phase, exit_code: int | None, out_of_memory: bool) -> None:
        self.status = replace(
            self.status,
            phase=phase,
            exit_code=exit_code,
            out_of_memory=out_of_memory,
            finished_at=datetime.now(UTC),
            reason=_INTERRUPTED if phase is Phase.INTERRUPTED else "",
        )
        self.ended.set()


class FakeExecutor:
    """See `runner.executors.base.Executor`. `behaviour` says what a container of a specification does.

    While `unavailable` is not "", every verb fails with it; images in `missing` are not there; about a container in
    `silent` nothing can be learnt or done while it is there. The methods `create`, `occupy`, `finish`, `interrupt` and
    `vanish` are what happens to containers in the world outside.
    """

    def __init__(self, behaviour: Callable[[ContainerSpec], FakeRun] = promised_outputs):
        self.unavailable = ""
        self.missing: set[str] = set()
        self.silent: set[str] = set()
        self._occupied: set[str] = set()
        self._behaviour = behaviour
        self._containers: dict[str, _Container] = {}
        self._watchers: list[Callable[[], None]] = []
        self._changed = threading.Condition()
        self._last_stamp = 0

    # --- the contract

    def start(self, spec: ContainerSpec) -> None:
        self._answer(spec.name)
        if spec.image in self.missing:
            raise ImageMissing(f"The image {spec.image} is not here; the fake executor can only be told that it is.")
        if spec.name in self._occupied:
            raise ExecutorUnavailable(f"The name {spec.name} is taken by a container that is not this installation's.")
        self.create(spec)
        with self._changed:
            container = self._containers[spec.name]
            if container.status.phase is not Phase.STARTING:
                return
            container.status = Status(Phase.RUNNING, started_at=datetime.now(UTC), image_id="sha256:" + "0" * 64)
            texts = ((container.run.log, False), (container.run.errors, True))
            container.log = [(self._stamp(), line, errs) for text, errs in texts for line in _lines(text)]
        self._tell()
        threading.Thread(target=self._execute, args=(container,), name=f"fake-{spec.name}", daemon=True).start()

    def statuses(self) -> dict[str, Status]:
        self._answer()
        with self._changed:
            return {name: container.status for name, container in self._containers.items()}

    def status(self, name: str) -> Status:
        self._answer(name)
        return self.statuses().get(name, Status(Phase.ABSENT))

    def logs(self, name: str, *, since: str = "", follow: bool = False) -> LogStream:
        self._answer(name)
        with self._changed:
            container = self._containers.get(name)
        if container is None:
            return LogStream((), lambda: None)
        closed, error_stamps = threading.Event(), []
        return LogStream(self._log(container, since, follow, closed, error_stamps), closed.set, error_stamps)

    def stop(self, name: str) -> None:
        self._answer(name)
        self._end(name, Phase.EXITED, _KILLED)

    def remove(self, name: str) -> None:
        self._answer(name)
        self.vanish(name)

    def metadata(self, name: str) -> dict:
        self._answer(name)
        with self._changed:
            container = self._containers.get(name)
        return {} if container is None else {"Name": name, "Image": container.spec.image, "Executor": "fake"}

    def usage(self, name: str) -> Usage | None:
        """Most of one processor, and memory that grows for a minute and then goes up and down a little."""
        status, now = self.status(name), datetime.now(UTC)
        if status.phase is not Phase.RUNNING or status.started_at is None:
            return None
        seconds = (now - status.started_at).total_seconds()
        memory = 40 + 160 * min(1.0, seconds / 60) + 15 * math.sin(seconds / 7)
        return Usage(now, 0.9 * seconds, int(memory * 1024**2))

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        with self._changed:
            self._watchers.append(changed)
        return lambda: self._unwatch(changed)

    def describe(self) -> str:
        self._answer()
        return "the fake executor: no container runs, each promised output is made up"

    # --- what happens outside

    def create(self, spec: ContainerSpec) -> None:
        """As if a runner had been killed between creating and starting a container."""
        with self._changed:
            if spec.name not in self._containers:
                self._containers[spec.name] = _Container(spec, self._behaviour(spec), Status(Phase.STARTING))

    def occupy(self, name: str) -> None:
        """Another installation has a container of this name; no verb sees or touches it."""
        self._occupied.add(name)

    def finish(self, name: str, exit_code: int) -> None:
        """The container's command ends by itself, without writing its files."""
        self._end(name, Phase.EXITED, exit_code)

    def interrupt(self, name: str) -> None:
        """The container ends because its engine does, or it has ended and nobody can say any more how."""
        self._end(name, Phase.INTERRUPTED, None, of=(Phase.RUNNING, Phase.EXITED))

    def vanish(self, name: str) -> None:
        """The container disappears, whatever it was doing."""
        with self._changed:
            container = self._containers.pop(name, None)
            if container is not None:
                container.ended.set()
        self._tell()

    # --- inside

    def _answer(self, name: str = "") -> None:
        if self.unavailable:
            raise ExecutorUnavailable(self.unavailable)
        if name in self.silent and name in self._containers:
            raise ContainerSilent(f"The engine did not answer in time when asked about {name}.")

    def _execute(self, container: _Container) -> None:
        run = container.run
        if run.until is None:
            container.ended.wait(run.seconds)
        while run.until is not None and not container.ended.is_set() and not run.until.wait(_LOOK_SECONDS):
            pass
        with self._changed:
            if container.ended.is_set():
                return
            for path, content in run.files.items():
                file = container.spec.workspace_folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            container.end(Phase.EXITED, run.exit_code, run.out_of_memory)
        self._tell()

    def _end(self, name: str, phase: Phase, exit_code: int | None, of: tuple[Phase, ...] = (Phase.RUNNING,)) -> None:
        with self._changed:
            container = self._containers.get(name)
            if container is None or container.status.phase not in of:
                return
            container.end(phase, exit_code, False)
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
            watchers = list(self._watchers)
        for changed in watchers:
            changed()

    def _unwatch(self, changed: Callable[[], None]) -> None:
        with self._changed, contextlib.suppress(ValueError):
            self._watchers.remove(changed)

    def _log(
        self, container: _Container, since: str, follow: bool, closed: threading.Event, error_stamps: list[bytes]
    ) -> Iterator[bytes]:
        told = 0
        while not closed.is_set():
            with self._changed:
                has_ended = container.ended.is_set()
                new, told = container.log[told:], len(container.log)
            for stamp, line, is_error in new:
                if stamp > since:
                    error_stamps += [stamp.encode()] if is_error else []
                    yield f"{stamp} ".encode() + line
            if has_ended or not follow:
                return
            with self._changed:
                self._changed.wait(_LOOK_SECONDS)
            self._answer()

    def _stamp(self) -> str:
        """Never the same twice, as the engine's hardly ever are."""
        self._last_stamp = max(time.time_ns(), self._last_stamp + 1)
        seconds, nanoseconds = divmod(self._last_stamp, 10**9)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def _lines(text: bytes) -> list[bytes]:
    return [line + b"\n" for line in text.removesuffix(b"\n").split(b"\n")] if text else []
