"""What several viewers ask for at the same moment is made once, and kept for a moment, by each process of the web.

A hundred people watch the same page; one change must not be rendered a hundred times. Nothing that differs from person
to person may come here: the key has to hold all that the answer depends on, what somebody may see above all.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

_UNSET = object()


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: Any = _UNSET
        self.until = 0.0

    def is_fresh(self) -> bool:
        return self.value is not _UNSET and time.monotonic() < self.until


class Shared:
    """At most `most` answers, each for a while. Safe for threads: who asks for what is just being made waits for it."""

    def __init__(self, most: int):
        self._most = most
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, seconds: float, make: Callable[[], Any]) -> Any:
        """The answer for the key. What `make` raises is raised to whoever made it, and kept by nobody."""
        if seconds <= 0:
            return make()
        slot = self._slot(key)
        with slot.lock:
            if not slot.is_fresh():
                slot.value = make()
                # Counted from its end: what takes longer than it is kept would else be made by everybody.
                slot.until = time.monotonic() + seconds
            return slot.value

    def _slot(self, key: Hashable) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            while len(self._slots) > self._most:
                self._slots.popitem(last=False)
            return slot
