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

_CHANGES = ("create", "start", "die", "oom", "kill", "pause", "unpause", "destroy")
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_END_SECONDS = 1.0


class EventWatcher:
    """A thread that follows the engine's events of one installation until it is told to stop."""

    def __init__(self, engine: Engine, instance: str, *, died: Callable[[str], None], changed: Callable[[], None]):
        filters = {"type": ["container"], "label": [f"{INSTANCE_LABEL}={instance}"], "event": list(_CHANGES)}
        self._parameters = {"filters": json.dumps(filters)}
        self._engine = engine
        self._died, self._changed = died, changed
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
                self._note(json.loads(event))
            self._changed()

    def _note(self, event: dict) -> None:
        if event.get("Action") == "die":
            self._died(event["Actor"]["ID"])
