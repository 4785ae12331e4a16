"""One line of a log: its timestamp, and its text made harmless and short enough to show."""

import re
from dataclasses import dataclass
from functools import cached_property

from django.utils.safestring import SafeString

from jobs.logs import ansi
from jobs.logs.error_lines import is_error

LONGEST_SHOWN = 4000  # characters of one line on a page
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z "
_STAMP = re.compile(STAMP)
_STAMP_BYTES = re.compile(STAMP.encode())


@dataclass(frozen=True)
class Line:
    """`offset` is where it begins in the file; `number` counts from 1, None if nobody has counted so far yet.

    `stamp` is the engine's timestamp; a line without one was written by the job runner, never by the container.
    `marked` is the text with colours as plain SGR sequences, `hidden_bytes` how much of a long line is not shown.
    """

    offset: int
    number: int | None
    stamp: str
    marked: str
    hidden_bytes: int = 0

    @property
    def clock(self) -> str:
        return self.stamp[11:19]

    @property
    def is_ours(self) -> bool:
        return not self.stamp

    @cached_property
    def text(self) -> str:
        """Without colours."""
        return ansi.without_colours(self.marked)

    @cached_property
    def html(self) -> SafeString:
        return ansi.to_html(self.marked)

    @property
    def is_error(self) -> bool:
        return is_error(self.text)


def parsed(raw: bytes, offset: int, number: int | None, colours: ansi.Colours, hidden_bytes: int = 0) -> Line:
    """A line from its bytes, without the newline. `colours` are those that the lines before have left switched on.

    Of what a progress bar has drawn over itself only the last state is shown, as on a terminal.
    """
    text = raw.decode("utf-8", "replace")
    stamp = _STAMP.match(text)
    text = text[stamp.end() :] if stamp else text
    text = text.rstrip("\r").rpartition("\r")[2]
    if len(text) > LONGEST_SHOWN:
        hidden_bytes += len(text[LONGEST_SHOWN:].encode())
        text = text[:LONGEST_SHOWN]
    return Line(offset, number, stamp[0][:-1] if stamp else "", colours.carried_into(ansi.harmless(text)), hidden_bytes)


def last_state(raw: bytes) -> bytes:
    """Of a line that a progress bar has drawn over, the timestamp and what is to be seen."""
    if b"\r" not in raw:
        return raw
    return raw[: text_start(raw)] + raw.rstrip(b"\r").rpartition(b"\r")[2]


def text_start(raw: bytes, at: int = 0) -> int:
    """Where the text of the line at this place begins, after its timestamp."""
    stamp = _STAMP_BYTES.match(raw, at)
    return stamp.end() if stamp else at
