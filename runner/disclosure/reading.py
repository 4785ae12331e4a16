"""What do the bytes of a file say it is, whatever its name says?

Reads a file once, in chunks, whole; knows the signatures of the formats that hold data, and of pictures and fonts.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Protocol

from jobs.errors import Stopped
from runner.disclosure.rules import Refusal, Rule

CHUNK_BYTES = 64 * 1024
# A longer line is handed on in pieces of about this size, so that memory stays bounded.
LINE_CHARACTERS = 1024 * 1024

# The first bytes of formats that hold row-level data or hide it in a container; long enough that no header of a table
# (PARENT, ORCID) is taken for one.
_FOREIGN = (
    (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", "a zip archive or an Office document"),
    (rb"\x1f\x8b", "a gzip archive (or an R data file)"),
    (rb"BZh[1-9]1AY|\xfd7zXZ\x00|7z\xbc\xaf\x27\x1c|\x28\xb5\x2f\xfd|Rar!\x1a", "a compressed archive"),
    (rb"%PDF-|%!PS", "a PDF or PostScript document"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|\{\\rtf", "an old Office document"),
    (rb"ARROW1\x00|FEA1\x00|\xff{4}", "an Arrow or Feather file"),
    (rb"PAR1\x15", "a Parquet file"),
    (rb"RD[AXB][1-4]\n|X\n\x00\x00\x00|A\n[23]\n\d{5,}\n\d{5,}\n|B\n[\x01-\x04]\x00", "an R data file"),
    (rb"<stata_dta>|[\x69-\x73][\x01\x02]\x01\x00", "a Stata data file"),
    (rb"\x00{12}\xc2\xea\x81\x60|HEADER RECORD\*{7}", "a SAS data file"),
    (rb"\$FL[23]@\(#\)", "an SPSS data file"),
    (rb"SQLite format 3\x00|.{8}DUCK.\x00", "a database file"),
    (rb"\x89HDF\r\n|\x93NUMPY|Obj\x01|\x80[\x02-\x05][\x4b-\x9f]", "a binary data file"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP", "an image"),
)
_FOREIGN_STARTS = tuple((re.compile(start, re.DOTALL), what) for start, what in _FOREIGN)

# How the base64 of what a report may embed begins: PNG, JPEG, GIF, WebP, icon; WOFF, WOFF2, TrueType, OpenType, sets.
_PICTURE_OR_FONT = re.compile(r"iVBORw0KGgo|/9j/|R0lGOD|UklGR|AAABAA|d09GR|d09GM|AAEAAA|T1RUTw|dHRjZg|dHJ1ZQ")

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UTF32_BOMS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)

_SAVE_AS_UTF8 = 'Save it as UTF-8: in R with fileEncoding = "UTF-8", in Python with encoding="utf-8".'


class File(Protocol):
    """What the checks ask of a file."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


class StoppableFile:
    """A file that is read no further when a stop was asked for: then `read` raises `Stopped`."""

    def __init__(self, file: File, should_stop: Callable[[], bool]):
        self.file, self.should_stop = file, should_stop
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int, /) -> bytes:
        if self.should_stop():
            raise Stopped
        return self.file.read(size)


def chunks(file: File, size: int) -> Iterator[bytes]:
    """The whole file from its beginning. Refuses a file that is not `size` bytes long: it is being changed."""
    file.seek(0)
    seen = 0
    while chunk := file.read(CHUNK_BYTES):
        seen += len(chunk)
        if seen > size:
            break
        yield chunk
    if seen != size:
        raise Refusal(Rule.UNREADABLE, "The file changed while it was being checked. Run the action again.")


def wrong_content(expected: str, found: str = "something else") -> Refusal:
    return Refusal(
        Rule.CONTENT_TYPE,
        f"The file's name says {expected}, but its content is {found}. "
        "Write the format that the name promises, or mark the output highly_sensitive.",
    )


def text_pieces(file: File, size: int, expected: str) -> Iterator[str]:
    """The file's text, in pieces. Accepts UTF-8 and, with a byte order mark, UTF-16; refuses NUL and all else."""
    pieces = chunks(file, size)
    first = next(pieces, b"")
    refuse_foreign(first, expected)
    decoder = codecs.getincrementaldecoder(_encoding(first))()
    try:
        yield _without_nul(decoder.decode(first))
        for piece in pieces:
            yield _without_nul(decoder.decode(piece))
        yield _without_nul(decoder.decode(b"", final=True))
    except UnicodeDecodeError as error:
        found = "The file is not UTF-8 text; it may be Latin-1, Windows-1252 or damaged."
        raise Refusal(Rule.ENCODING, f"{found} {_SAVE_AS_UTF8}") from error


def refuse_foreign(start: bytes, expected: str) -> None:
    for pattern, found in _FOREIGN_STARTS:
        if pattern.match(start):
            raise wrong_content(expected, found)


def begins_as_picture_or_font(base64_text: str) -> bool:
    return _PICTURE_OR_FONT.match(base64_text) is not None


def _encoding(start: bytes) -> str:
    if start.startswith(_UTF32_BOMS):
        raise Refusal(Rule.ENCODING, f"The file is UTF-32 text. {_SAVE_AS_UTF8}")
    return next((name for bom, name in _BOMS if start.startswith(bom)), "utf-8")


def _without_nul(piece: str) -> str:
    if "\0" in piece:
        raise Refusal(
            Rule.ENCODING, f"The file has NUL characters, so it is binary, or UTF-16 without its mark. {_SAVE_AS_UTF8}"
        )
    return piece


def whole_lines(pieces: Iterator[str]) -> Iterator[str]:
    """The same text in blocks that end where a line ends, but for lines longer than LINE_CHARACTERS."""
    held = ""
    for piece in filter(None, pieces):
        # Cut only when more has come, so that a small file is one block. A "\r\n" cut in two only makes an empty line.
        end = max(held.rfind("\n"), held.rfind("\r")) + 1
        if not end and len(held) > LINE_CHARACTERS:
            end = len(held)
        if end:
            yield held[:end]
        held = held[end:] + piece
    if held:
        yield held
