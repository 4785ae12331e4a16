"""Finds lines in a whole log: plain words, regular expressions, or what looks like an error.

What viewers search for is as hostile as logs are. Expressions are RE2's, which take linear time and bounded memory
whatever they say; one search reads for at most `SECONDS` and says how far it came. What is searched is what is shown:
not the timestamps, not the colours, and of a progress bar its last state.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import re2

from jobs.logs.ansi import without_sequences
from jobs.logs.error_lines import PATTERN as ERROR_PATTERN
from jobs.logs.lines import STAMP, last_state, text_start
from jobs.logs.reading import LogReader

SECONDS = 2.0
MOST_HITS = 2000
LONGEST_WORDS = 500
_BLOCK_BYTES = 256 * 1024
_MOST_MEMORY = 8 * 1024**2
# An expression piece by piece: escapes and classes as wholes, so that a "^" of its own is an anchor.
_EXPRESSION = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_BEGINNING = f"^(?:{STAMP})?"


class BadSearch(ValueError):
    """The expression cannot be used. The message is a sentence for whoever wrote it."""


@dataclass
class Found:
    """Numbers of the lines that match, at most MOST_HITS of `count`; and the bytes of the log that were searched."""

    numbers: list[int] = field(default_factory=list)
    count: int = 0
    searched_bytes: int = 0
    is_whole: bool = True


@dataclass(frozen=True)
class Search:
    """What is looked for. Raises BadSearch when compiled."""

    words: str
    is_regex: bool = False
    is_case_sensitive: bool = False

    def compiled(self) -> "re2._Regexp":
        words = self.words[:LONGEST_WORDS]
        if not words:
            raise BadSearch("Say what to look for.")
        return _compiled(words if self.is_regex else re2.escape(words), self.is_case_sensitive)


def _compiled(expression: str, is_case_sensitive: bool) -> "re2._Regexp":
    """Of lines that begin with a timestamp: "^" is where the text after it begins."""
    pieces = (_BEGINNING if piece == "^" else piece for piece in _EXPRESSION.findall(expression))
    try:
        pattern = re2.compile(("(?m)" + "".join(pieces)).encode("utf-8", "replace"), _options(is_case_sensitive))
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace").replace("(?m)", "", 1) if error.args else "unknown"
        raise BadSearch(f"This is not a regular expression that can be used here: {reason}.") from error
    if pattern.search(b""):
        raise BadSearch("This expression matches every line: say more.")
    return pattern


def _options(is_case_sensitive: bool) -> re2.Options:
    options = re2.Options()
    options.case_sensitive = is_case_sensitive
    options.never_nl = True
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    return options


def search(reader: LogReader, wanted: Search, clock: Callable[[], float] = time.monotonic) -> Found:
    """Raises BadSearch."""
    return _found(reader, wanted.compiled(), clock)


def error_lines(reader: LogReader, clock: Callable[[], float] = time.monotonic) -> Found:
    """The lines that `jobs.logs.error_lines.is_error` is true of."""
    return _found(reader, _ERROR, clock)


_ERROR = _compiled(ERROR_PATTERN, True)


def _found(reader: LogReader, pattern: "re2._Regexp", clock: Callable[[], float]) -> Found:
    found, lines, deadline = Found(), 0, clock() + SECONDS
    for block in _blocks(reader):
        if clock() >= deadline:
            found.is_whole = False
            break
        for line in _matching_lines(_shown(block), pattern):
            found.count += 1
            if len(found.numbers) < MOST_HITS:
                found.numbers.append(lines + line + 1)
        lines += block.count(b"\n")
        found.searched_bytes += len(block)
    return found


def _blocks(reader: LogReader) -> Iterator[bytes]:
    """The log in blocks that end with a line; a line that is longer than a block is torn."""
    offset = 0
    while offset < reader.end:
        block = os.pread(reader.descriptor, min(_BLOCK_BYTES, reader.end - offset), offset)
        if not block:
            return
        if offset + len(block) < reader.end:
            block = block[: block.rfind(b"\n") + 1] or block
        offset += len(block)
        yield block


def _shown(block: bytes) -> bytes:
    if b"\r" in block:
        block = b"\n".join([last_state(line) for line in block.split(b"\n")])
    return without_sequences(block) if b"\x1b" in block else block


def _matching_lines(text: bytes, pattern: "re2._Regexp") -> Iterator[int]:
    """Numbers of lines, from 0, that match not only in their stamps."""
    line = line_start = line_end = text_at = 0
    is_told = False
    for match in pattern.finditer(text):
        start, end = match.span()
        if start >= line_end:
            line += text.count(b"\n", line_start, start)
            line_start = text.rfind(b"\n", line_start, start) + 1 or line_start
            line_end = text.find(b"\n", start) + 1 or len(text)
            text_at = text_start(text, line_start)
            is_told = False
        if is_told or end <= text_at > line_start:
            continue
        is_told = True
        if start >= text_at or pattern.search(text[text_at:line_end].removesuffix(b"\n")):
            yield line
