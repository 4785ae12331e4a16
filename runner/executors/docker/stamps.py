"""Timestamps for the lines of an engine that tells only the second: with a number in the place of the nanoseconds.

Whoever follows a log asks after an interruption for what is later than the last line that he has, so no two lines may
have the same timestamp. Docker's have nanoseconds and stay as they are. Podman's API (seen on 4.3) gives whole seconds,
in the time of its host. Its log is one file, read in the same order each time: so the n-th line of a second gets n as
its nanoseconds, and gets it again by whoever reads from the beginning of that second.

A piece of a long line has no timestamp of its own here: it belongs to the piece before it, if that one was long or of
the same second. (A program that prints a point each minute and no newline would else have one line that never ends.)
"""

from datetime import UTC, datetime

_EXACT_LENGTH = len(b"1970-01-01T00:00:00.000000000Z")
# Podman's log takes what it reads, 8 KiB at most: a shorter piece is one that somebody wrote without a newline.
_LONG_PIECE_BYTES = 4096


class Stamps:
    """Of one log, from the beginning of a second on."""

    def __init__(self):
        self._told = self._second = b""
        self._number = 0
        self._open: tuple[int, bytes, bytes, bool] | None = None  # stream, what it told, what it got, was it long

    @staticmethod
    def is_exact(timestamp: bytes) -> bool:
        return len(timestamp) == _EXACT_LENGTH and timestamp.endswith(b"Z")

    def made_exact(self, told: bytes, stream: int, text: bytes) -> bytes:
        """The timestamp for this message; every message of the log has to be asked about, in order."""
        stamp = self._of_the_line_before(told, stream) or self._next(told)
        is_whole = text.endswith(b"\n")
        self._open = None if is_whole else (stream, told, stamp, len(text) >= _LONG_PIECE_BYTES)
        return stamp

    def _of_the_line_before(self, told: bytes, stream: int) -> bytes:
        if self._open is None or self._open[0] != stream:
            return b""
        _, told_before, stamp, was_long = self._open
        return stamp if was_long or told == told_before else b""

    def _next(self, told: bytes) -> bytes:
        if told != self._told:
            self._told, self._second, self._number = told, _second_of(told), 0
        self._number += 1
        return b"%s.%09dZ" % (self._second, self._number)


def _second_of(told: bytes) -> bytes:
    """In UTC; what is no time at all is kept, for a log that cannot be understood is better than none."""
    try:
        moment = datetime.fromisoformat(told.decode())
    except ValueError:
        return told
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
