"""How many numbers are there in what Plotly and Bokeh write as base64?

Plotly: {"dtype": "f8", "bdata": "…"}. Bokeh, which may compress them by gzip: {"array": {"type": "bytes", "data": "…"},
"shape": [200], "dtype": "float64"}.
"""

import base64
import re
import zlib

from runner.disclosure.encoded import LONG_RUN, encoded_refusal, refuse_encoded
from runner.disclosure.rules import Limits, rows_refusal

_BASE64 = re.compile(r"[A-Za-z0-9+/]*+={0,2}")
_ESCAPED = re.compile(r"\\u[0-9a-fA-F]{4}|\\/")  # Plotly writes "/" so in HTML
_TEXT = re.compile(rb"[\t\n\r -~]*+")
_SHORTEST_TEXT = 100  # bytes
_MOST_BYTES = 8  # of a number
_TYPE = re.compile(r"[<>|=]?([a-z]{1,7})(\d{1,3})")


class EncodedNumbers:
    """Told of each key and value of data; raises `Refusal` for more numbers than rows, and for other encoded text."""

    def __init__(self, limits: Limits):
        self.limit = limits.max_csv_rows
        self.bytes_each = 1  # of the numbers that follow
        self.type = ""
        self.counted = 0  # numbers in the last
        self.waiting = 0  # bytes of Bokeh's, which says only behind them how many each number has

    def take(self, key: str, text: str) -> bool:
        """True if the text was encoded numbers, which say nothing else."""
        if key == "dtype":
            self.bytes_each = _bytes_of(text)
            self._count(self.waiting)
            self.waiting = 0
        elif key == "type":
            self.type = text
        elif key == "bdata" or (key == "data" and self.type == "bytes"):
            return self._take_numbers(key, text)
        if len(text) >= LONG_RUN:
            refuse_encoded(text, lines=())
        return False

    def end(self) -> None:
        """Numbers whose type was not told may be bytes."""
        self.bytes_each = 1
        self._count(self.waiting)
        self.waiting = 0

    def _take_numbers(self, key: str, text: str) -> bool:
        text = _ESCAPED.sub("/", text)
        if not _BASE64.fullmatch(text):
            return False
        size = self._size(text)
        if key == "bdata":
            self._count(size)
            self.bytes_each = 1
        else:
            self.end()
            self.waiting = size
        return True

    def _size(self, text: str) -> int:
        """In bytes, inflated. Raises `Refusal` for what is no numbers but text, or cannot be read."""
        try:
            content = base64.b64decode(text)
            if content.startswith(b"\x1f\x8b"):
                inflater = zlib.decompressobj(wbits=31)
                # As much as tells that there are too many.
                content = inflater.decompress(content, _MOST_BYTES * self.limit + _MOST_BYTES) + inflater.unused_data
        except (ValueError, zlib.error) as error:
            raise encoded_refusal("encoded numbers") from error
        if len(content) > _SHORTEST_TEXT and _TEXT.fullmatch(content):
            raise encoded_refusal("a text among encoded numbers")
        return len(content)

    def _count(self, size: int) -> None:
        self.counted = size // self.bytes_each
        if self.counted > self.limit:
            raise rows_refusal(f"a list of more than {self.limit:,} numbers in encoded form", self.limit)


def _bytes_of(dtype: str) -> int:
    """f8 and float64 are eight bytes."""
    found = _TYPE.fullmatch(dtype)
    if found is None:
        return 1
    number = int(found[2]) // 8 if len(found[1]) > 1 else int(found[2])
    return number if number in (1, 2, 4, 8) else 1
