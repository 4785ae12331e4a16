"""Is a file hidden inside a text?

Reports embed their pictures, fonts, styles and scripts as `data:` URLs. Pictures and fonts (by their first bytes) are
left out of what the other checks read; SVGs and scripts are decoded and read by their own checks; anything else, such
as the table behind a download button, is refused, because no reviewer sees it. So is a long run of encoded text that
says nothing about what it is.
"""

import base64
import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol
from urllib.parse import unquote

from runner.disclosure.reading import begins_as_picture_or_font
from runner.disclosure.rules import Limits, Refusal, Rule
from runner.disclosure.svg_files import SvgReader

# More than any digest, key or address; a table of some hundred people takes more, compressed too.
LONG_RUN = 2000
_RUN = re.compile(rf"(?<![\w+/-])[\w+/-]{{{LONG_RUN},}}", re.ASCII)
_WRAPPED_LINE = re.compile(r"[ \t>#]*([A-Za-z0-9+/_-]{40,})={0,2}\s*", re.ASCII)
_FEWEST_WRAPPED_LINES = 30
_MOST_LISTED_CHARACTERS = 16_000  # 250 digests (SHA-256) of files
_FEWEST_DIFFERENT = 12  # characters in something encoded; a ruler of dashes has one

_HEAD = re.compile(
    r"(?<![\w.-])data:(?P<type>[a-z]{1,20}/[a-z0-9.+-]{1,80})?(?P<options>(?:;[a-z0-9=._+ -]{1,60}){0,4}),",
    re.IGNORECASE,
)
_LONGEST_HEAD = 400
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/=]|%2[BbFf]|%3[Dd]|\\/)*+")
# Older notebooks break the base64 of their pictures into lines.
_MORE_LINES = re.compile(r"\s*(?:[A-Za-z0-9+/=]{16,}\s+)*+[A-Za-z0-9+/=]*+\s*")
_PLAIN_CONTENT = re.compile(r"[^\"'`<>\\]*+")
# "data:text/csv," + rows: what follows the quote is code.
_CODE_GOES_ON = re.compile(r"[\"'`]\s*(?:[+,;:)\]}?&|.]|\Z)|\$\{")
_QUOTE_BEFORE = re.compile(r"(\\*[\"'`]|\()\s*\Z")
_LONGEST_MARGIN = 40  # characters between a quote and the URL in it
_TOP_TYPES = re.compile(r"(?:text|application|audio|video|image|font|multipart|message|model|chemical)/", re.IGNORECASE)
_PICTURE_OR_FONT = re.compile(
    r"image/|font/|application/(?:x-)?font|application/vnd\.ms-fontobject|application/octet-str"
)
_CODE = re.compile(r"text/css|(?:text|application)/(?:x-)?javascript|application/ecmascript")
_SVG = "image/svg+xml"
# Long enough to hold something, longer than what a script has in store to complete: "data:text/csv;charset=utf-8,".
_FEWEST_CHARACTERS = 100


def refuse_encoded(text: str, lines: Iterable[str]) -> None:
    """Raises `Refusal` for a run of encoded text, in one line or wrapped; `lines` are the text's."""
    for run in _RUN.finditer(text):
        if _looks_encoded(run[0]):
            raise encoded_refusal("a long run of encoded text")
    wrapped = _Wrapped()
    for line in lines:
        found = len(line) >= 40 and _WRAPPED_LINE.fullmatch(line)
        wrapped.take(found[1] if found and _looks_encoded(found[1]) else "")


class _Wrapped:
    """Lines of encoded text below each other. Lists of digests or of long names look alike, and are shorter."""

    def __init__(self) -> None:
        self.lines = self.characters = self.length = 0
        self.is_base64 = False  # lines of one length with capital and small letters

    def take(self, encoded: str) -> None:
        if not encoded:
            self.lines = self.characters = 0
            return
        if not self.lines:
            self.length, self.is_base64 = len(encoded), True
        self.lines += 1
        self.characters += len(encoded)
        mixed = not (encoded.islower() or encoded.isupper())
        self.is_base64 = self.is_base64 and mixed and len(encoded) == self.length
        if (self.is_base64 and self.lines >= _FEWEST_WRAPPED_LINES) or self.characters > _MOST_LISTED_CHARACTERS:
            raise encoded_refusal("many lines of encoded text")


def _looks_encoded(run: str) -> bool:
    start = run[: 2 * LONG_RUN]
    has_both = re.search(r"\d", start) and re.search(r"[A-Za-z]", start)
    return bool(has_both) and len(set(start)) >= _FEWEST_DIFFERENT


def encoded_refusal(found: str) -> Refusal:
    return Refusal(
        Rule.UNREADABLE,
        f"The file has {found} that cannot be examined, such as a compressed table or the file behind a download "
        "button. Write the report without it, or mark the output highly_sensitive.",
    )


class _Reader(Protocol):
    """What reads an embedded file once it is decoded."""

    def feed(self, piece: bytes) -> None: ...

    def close(self) -> None: ...


class _Content:
    """The base64 of one embedded file: decoded in pieces of any length for its reader, or left out unread."""

    def __init__(self, reader: _Reader | None):
        self.reader = reader
        self.held = ""

    def feed(self, base64_text: str) -> None:
        if self.reader:
            text = self.held + base64_text.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")
            whole = len(text) - len(text) % 4
            self.held = text[whole:]
            self.reader.feed(_decoded(text[:whole]))

    def close(self) -> None:
        if self.reader:
            self.reader.feed(_decoded(self.held + "=" * (-len(self.held) % 4)))
            self.reader.close()


class Embedded:
    """Takes the embedded files out of a text; what may be hidden in them is read or refused."""

    def __init__(self, limits: Limits, read_code: Callable[[str], None] | None = None):
        self.limits = limits
        self.read_code = read_code  # reads decoded scripts and styles; None: they are refused
        self.content: _Content | None = None  # of the base64 that is being left out
        self.held = ""

    def left_out_of(self, pieces: Iterator[str]) -> Iterator[str]:
        """The text without the base64 of embedded files. Raises `Refusal` for one that may not be there."""
        for piece in pieces:
            yield "".join(self._take(self.held + piece, more=True))
        yield "".join(self._take(self.held, more=False))
        if self.content:
            self.content.close()

    def _take(self, text: str, *, more: bool) -> Iterator[str]:
        position, self.held = 0, ""
        while position < len(text):
            if self.content:
                position = self._take_base64(text, position, self.content, more=more)
                continue
            head = _HEAD.search(text, position)
            keep = head.start() if head else max(position, len(text) - _LONGEST_HEAD)
            if more and (head is None or len(text) - head.end() < _LONGEST_HEAD):
                yield text[position:keep]
                self.held = text[keep:]
                return
            end = head.end() if head else len(text)
            yield text[position:end]
            position = end
            if head:
                self.content = self._content_of(head, text)

    def _take_base64(self, text: str, position: int, content: _Content, *, more: bool) -> int:
        found = _BASE64.match(text, position)
        end = found.end() if found else position
        # An escape such as %2B may be cut in two.
        if more and len(text) - end < 3:
            self.held = text[end:]
            end_of_text = len(text)
        else:
            end_of_text = end
            self.content = None
        content.feed(text[position:end].replace("\\", ""))
        if self.content is None:
            content.close()
        return end_of_text

    def _content_of(self, head: re.Match, text: str) -> "_Content | None":
        kind = (head["type"] or "text/plain").lower()
        plain = not head["options"].lower().endswith(";base64")
        start = text[head.end() : head.end() + _LONGEST_HEAD]
        if plain:
            content = _plain_content(text[max(0, head.start() - _LONGEST_MARGIN) : head.start()], start)
        else:
            content = _first(_BASE64, start)
        if not _TOP_TYPES.match(kind) or len(content) < _FEWEST_CHARACTERS:
            return None
        if plain:
            if kind != _SVG and not _CODE.match(kind):
                raise encoded_refusal("an embedded file")
            return None
        return self._reader_of(kind, start)

    def _reader_of(self, kind: str, start: str) -> "_Content":
        if kind == _SVG:
            return _Content(SvgReader(self.limits))
        if self.read_code and (_CODE.match(kind) or kind == "application/json"):
            return _Content(_Code(self.read_code))
        if _PICTURE_OR_FONT.match(kind) and (
            begins_as_picture_or_font(start) or kind == "application/vnd.ms-fontobject"
        ):
            return _Content(None)
        raise encoded_refusal("an embedded file")


def _plain_content(before: str, start: str) -> str:
    """The part of `start` that belongs to an embedded file, which ends where the quote before it is closed."""
    quote = _QUOTE_BEFORE.search(before)
    if quote is None or _CODE_GOES_ON.match(start):
        return _first(_PLAIN_CONTENT, start)
    return start.partition(")" if quote[1] == "(" else quote[1])[0]


def _first(pattern: re.Pattern, text: str) -> str:
    found = pattern.match(text)
    return found[0] if found else ""


def embedded_in_url(url: str) -> tuple[str, bool]:
    """What a whole `data:`, `javascript:` or `mailto:` URL holds, decoded, and whether that is an SVG.

    Raises `Refusal` for a file that is no picture, style or script. The first line of base64 has been taken out before.
    """
    head = _HEAD.match(url.strip())
    if head is None:
        # A mail's "?body=" stands before the first column's name.
        return unquote(url).replace("=", "=\n"), False
    kind, content = (head["type"] or "text/plain").lower(), url.strip()[head.end() :]
    if _PICTURE_OR_FONT.match(kind) and head["options"].lower().endswith(";base64") and _MORE_LINES.fullmatch(content):
        return "", False
    if len(content) >= _FEWEST_CHARACTERS and kind != _SVG and not _CODE.match(kind):
        raise encoded_refusal("an embedded file")
    return unquote(content), kind == _SVG


def _decoded(base64_text: str) -> bytes:
    try:
        return base64.b64decode(base64_text)
    except ValueError as error:
        raise encoded_refusal("an embedded file") from error


class _Code:
    """An embedded script or style, as text."""

    def __init__(self, read_code: Callable[[str], None]):
        self.read_code = read_code
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, piece: bytes) -> None:
        self.read_code(self.decoder.decode(piece))

    def close(self) -> None:
        self.read_code(self.decoder.decode(b"", final=True))
