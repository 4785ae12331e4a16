"""How often an address has come with a token that is none: a program with a wrong one must not fill logs and lines.

Only refusals are counted, in this process's memory: no failure costs a write. A valid token is never held up, because
behind a proxy many programs may come from one address, and guessing 256 bits needs no other defence.
"""

import threading
import time
from collections import OrderedDict

WINDOW_SECONDS = 60.0
MOST_FAILURES = 30
MOST_ADDRESSES = 10_000


class FailedTokens:
    """Counts for each address in windows of a minute. What has not been seen for longest is forgotten first."""

    def __init__(self):
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, address: str) -> int:
        """One more; returns the seconds that the address should wait, 0 while it has not failed too often."""
        now = time.monotonic()
        with self._lock:
            began, count = self._seen.pop(address, (now, 0))
            if now - began >= WINDOW_SECONDS:
                began, count = now, 0
            self._seen[address] = (began, count + 1)
            while len(self._seen) > MOST_ADDRESSES:
                self._seen.popitem(last=False)
        return max(1, round(began + WINDOW_SECONDS - now)) if count >= MOST_FAILURES else 0

    def clear(self) -> None:
        with self._lock:
            self._seen.clear()


failed_tokens = FailedTokens()
