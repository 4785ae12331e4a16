"""From the engine's log stream to whole lines, in constant memory.

The stream is a row of frames: one byte for the stream (1 stdout, 2 stderr, 3 the engine itself), three zero bytes,
four bytes of length, and a message that begins with its timestamp and a blank. What a real engine (20.10) does with
long lines shaped this module:

* A line over 16 KiB comes in pieces of 16 KiB. Each has a frame and a timestamp of its own, the same for all pieces.
* With the log driver `local` the last piece has lost its newline, as has a last line that never had one.
* Between two pieces of a line on one stream there may be lines of the other stream.

Podman (4.3) tells a whole second only, in its host's own time, and marks its pieces truly: see `stamps`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from runner.executors.docker.stamps import Stamps

_HEADER_BYTES = 8
_PIECE_BYTES = 16 * 1024
_ERRORS, _FROM_THE_ENGINE = 2, 3
_NO_TIME = b"1970-01-01T00:00:00.000000000Z"
_BLANK = b" "


def engine_since(timestamp: str) -> str:
    """An RFC 3339 timestamp as the engine's parameter `since`: the beginning of the second before.

    Lines of a whole second more than are needed cost nothing, and those that `stamps` numbers have to be counted anew
    from the first of their second.
    """
    return f"{int(datetime.fromisoformat(timestamp).timestamp()) - 1}.0"


def lines(blocks: Iterable[bytes], since: str, error_stamps: list[bytes]) -> Iterator[bytes]:
    """The messages later than `since` as text whose lines all begin with a timestamp and end with a newline.

    The timestamps of those from standard error are appended to `error_stamps` before their text is given.
    A line that is torn by a line of the other stream becomes two, each with the timestamp; nothing is lost.
    """
    joiner = _Joiner(since.encode(), error_stamps)
    for frames in _frames(blocks):
        text = b"".join(joiner.join(*frame) for frame in frames)
        if text:
            yield text
    if end := joiner.end():
        yield end


def _frames(blocks: Iterable[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """The complete frames (stream, message) that each block brings; blocks may end anywhere in a frame."""
    left = b""
    for block in blocks:
        data, at, found = left + block, 0, []
        while len(data) - at >= _HEADER_BYTES:
            start = at + _HEADER_BYTES
            end = start + int.from_bytes(data[at + 4 : start], "big")
            if len(data) < end:
                break
            found.append((data[at], data[start:end]))
            at = end
        left = data[at:]
        yield found


class _Joiner:
    """Remembers which line is still open: its stream and its timestamp."""

    def __init__(self, since: bytes, error_stamps: list[bytes]):
        self._since, self._error_stamps = since, error_stamps
        self._open: tuple[int, bytes] | None = None
        self._latest = since or _NO_TIME
        self._stamps = Stamps()

    def join(self, stream: int, message: bytes) -> bytes:
        """The message as it goes on from what was returned before; nothing if it is not later than `since`."""
        if stream == _FROM_THE_ENGINE:
            return self._trouble(message)
        timestamp, blank, text = message.partition(_BLANK)
        is_exact = self._stamps.is_exact(timestamp)
        if not is_exact:
            timestamp = self._stamps.made_exact(timestamp, stream, text)
        if timestamp <= self._since:
            return b""
        self._latest = timestamp
        goes_on = self._open == (stream, timestamp)
        before = b"" if goes_on else self.end()
        if stream == _ERRORS and not goes_on:
            self._error_stamps.append(timestamp)
        is_whole = text.endswith(b"\n")
        if not is_whole and is_exact and len(text) < _PIECE_BYTES:
            text, is_whole = text + b"\n", True
        self._open = None if is_whole else (stream, timestamp)
        return before + (text if goes_on else timestamp + blank + text)

    def end(self) -> bytes:
        """What closes the open line, if there is one."""
        was_open, self._open = self._open is not None, None
        return b"\n" if was_open else b""

    def _trouble(self, message: bytes) -> bytes:
        """A log that the engine cannot read (after a power cut, say) stays so: note it there and let the job end."""
        text = b"[the engine could not read the log here: " + message.strip().replace(b"\n", _BLANK) + b"]\n"
        return self.end() + self._latest + _BLANK + text
