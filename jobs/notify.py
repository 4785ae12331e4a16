"""What systemd is told of a process that it has started: ready, at work, stopping. Nothing where nobody listens.

One datagram each to the socket that NOTIFY_SOCKET named (`settings` takes it out of the environment, so children do not
speak). Nothing here may fail or block: a service manager that does not listen is no reason not to work.
"""

import contextlib
import socket
import time

from django.conf import settings

# systemd's own word for "do not give up on the start yet", in microseconds; longer than a database is waited for once.
_STILL_STARTING = "EXTEND_TIMEOUT_USEC=120000000"


def tell(*lines: str) -> None:
    """ "READY=1", "STOPPING=1", "STATUS=…", "WATCHDOG=1"; several at once belong together."""
    if not settings.NOTIFY_SOCKET:
        return
    # "@" is how the name of an abstract socket is written in a variable.
    place = settings.NOTIFY_SOCKET
    place = "\0" + place[1:] if place.startswith("@") else place
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto("\n".join(lines).encode(), place)


class Life:
    """What a loop says of itself: READY with its first turn, then that it lives, and a line for `systemctl status`."""

    def __init__(self) -> None:
        self._is_ready, self._said, self._last = False, "", 0.0

    def turned(self, status: str) -> None:
        """After each turn. Only a loop that turns says that it lives; one that hangs is started again."""
        lines = [] if self._is_ready else ["READY=1"]
        self._is_ready = True
        self._lives(status, lines)

    def waits(self, status: str) -> None:
        """After a turn that could not be done for now. A first one like that makes nobody ready."""
        self._lives(status, [] if self._is_ready else [_STILL_STARTING])

    def _lives(self, status: str, lines: list[str]) -> None:
        now = time.monotonic()
        if status != self._said:
            lines.append(f"STATUS={status}")
        if settings.WATCHDOG_SECONDS and (now - self._last >= settings.WATCHDOG_SECONDS / 10 or "READY=1" in lines):
            lines.append("WATCHDOG=1")
            self._last = now
        if lines:
            tell(*lines)
        self._said = status

    def stopping(self) -> None:
        tell("STOPPING=1", "STATUS=stopping; the next start goes on from here")


def pause_of(seconds: float) -> float:
    """A pause of a loop, shortened where it would look like a hang."""
    return min(seconds, settings.WATCHDOG_SECONDS / 4) if settings.WATCHDOG_SECONDS else seconds
