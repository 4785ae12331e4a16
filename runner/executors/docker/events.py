"""Wakes the loop when the engine says that one of our containers may have changed.

Only a hint: polling is the truth, so nothing here may fail loudly or needs to be complete.
"""

import json
import logging
import threading
from collections.abc import Callable

from runner.executors.base import ExecutorUnavailable
from runner.executors.docker.engine import Engine, Stream
from runner.executors.docker.profile import INSTANCE_LABEL

log = logging.getLogger(__name__)

# The last two are what Podman's filter calls "die" and "destroy"; it tells of the former as "die" all the same.
_CHANGES = ("create", "start", "die", "oom", "kill", "pause", "unpause", "destroy", "died", "remove")
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_END_SECONDS = 1.0
# No event is nearly as long: what goes on without a line's end is no event and must not fill the memory.
_LONGEST_EVENT_BYTES = 1024**2


class EventWatcher:
    """A thread that follows the engine's events of one installation until it is told to stop."""

    def __init__(
        self,
        engine: Engine,
        instance: str,
        *,
        died: Callable[[str], None],
        changed: Callable[[], None],
    ):
        """`died` gets the id of each container that ends; `changed` comes after it."""
        filters = {"type": ["container"], "label": [f"{INSTANCE_LABEL}={instance}"], "event": list(_CHANGES)}
        self._parameters = {"filters": json.dumps(filters)}
        self._engine = engine
        self._changed = changed
        self._died = died
        self._has_complained = False
        self._stop = threading.Event()
        self._stream: Stream | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="engine-events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._lock:
            self._stop.set()
            if self._stream is not None:
                self._stream.close()
        if self._thread is not threading.current_thread():
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        """Between two connections anything may have happened, so each new one is a hint of its own."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            try:
                stream = self._engine.stream("to tell its events", "/events", self._parameters, patient=True)
                if self._take(stream):
                    pause = _FIRST_PAUSE_SECONDS
                    self._follow(stream)
            except ExecutorUnavailable as error:
                log.debug("no events for %.1f s: %s", pause, error)
            self._stop.wait(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    def _take(self, stream: Stream) -> bool:
        """Make the stream known to `stop`; false if that has come before."""
        with self._lock:
            self._stream = stream
            if self._stop.is_set():
                stream.close()
            return not self._stop.is_set()

    def _follow(self, stream: Stream) -> None:
        self._changed()
        rest = b""
        for block in stream:  # which may end anywhere in a line
            *events, rest = (rest + block).split(b"\n")
            for event in filter(None, events):
                self._note(event)
            if len(rest) > _LONGEST_EVENT_BYTES:
                self._complain(rest)
                rest = b""
            self._changed()

    def _note(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            action, container_id = event["Action"], event["Actor"]["ID"]
        except (ValueError, KeyError, TypeError):
            action = container_id = None
        if not isinstance(action, str) or not isinstance(container_id, str):
            self._complain(line)
        elif action == "die":
            self._died(container_id)

    def _complain(self, line: bytes) -> None:
        """Once: an engine that talks nonsense tends to go on."""
        level = logging.DEBUG if self._has_complained else logging.WARNING
        self._has_complained = True
        log.log(level, "the engine told an event that is none and was skipped; it began with %r", line[:200])
