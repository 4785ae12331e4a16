"""Does the engine answer, and how fast? Asked for its version now and then by a thread of its own, for the pages.

The loop asks the engine only while jobs run; an operator wants to know before the first one is started. What is found
here decides nothing about any job.
"""

import threading
import time
from collections import deque

from django.utils import timezone

from jobs.wire import clean, moment
from runner.engine_history import EngineHistory
from runner.executors.base import Executor, ExecutorUnavailable

ASK_SECONDS = 15.0
MOST_ANSWERS = 20
_MOST_TEXT = 200


class EngineWatch:
    """Asks until it is closed."""

    def __init__(self, executor: Executor, history: EngineHistory | None = None):
        self.history = history or EngineHistory()
        self.description = ""
        self.silent_since: float | None = None  # seconds since 1970
        self._executor = executor
        self._answers: deque[dict] = deque(maxlen=MOST_ANSWERS)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine-watch", daemon=True)
        self._thread.start()

    def answers(self) -> list[dict]:
        """The last ones, oldest first: `at`, and `ms` or `error`."""
        return list(self._answers)

    def close(self) -> None:
        """A call that hangs is left to itself: its thread is a daemon."""
        self._end.set()
        self._thread.join(0.1)

    def _run(self) -> None:
        while not self._end.is_set():
            self.ask()
            self._end.wait(ASK_SECONDS)

    def ask(self) -> None:
        """Once. Never raises: whatever goes wrong is what there is to tell."""
        began, answer = time.monotonic(), {"at": moment(timezone.now())}
        asked_at = time.time()
        try:
            self.description = clean(self._executor.describe(), _MOST_TEXT)
            answer["ms"] = round((time.monotonic() - began) * 1000, 1)
            self.silent_since = None
        except Exception as error:
            known = isinstance(error, ExecutorUnavailable)
            answer["error"] = clean(str(error) if known else type(error).__name__, _MOST_TEXT)
            self.silent_since = self.silent_since or asked_at
        self._answers.append(answer)
        self.history.note(timezone.now(), answer.get("ms"))
