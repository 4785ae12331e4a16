"""Is a PNG or JPEG one whole picture and nothing beside it?

Pixels are not judged: people look at them. What nobody sees is: notes in the file (EXIF, XMP, comments, text chunks)
and whatever stands between or behind the parts of the picture. Charts of R and Python carry a line or two of notes.
"""

import re
import zlib
from collections.abc import Iterator

from runner.disclosure.identifier import fold, identifiers, named_anywhere
from runner.disclosure.reading import CHUNK_BYTES, File, wrong_content
from runner.disclosure.rules import Limits, Refusal, Rule, identifier_refusal

# Room for a program's name, a date and the usual XMP block with its padding, and for no table of people.
_MAX_NOTE_BYTES = 16 * 1024
_MAX_PROFILE_BYTES = 1024 * 1024  # a printer's colour profile; a screen's takes 3 KB
_MAX_TABLE_BYTES = 64 * 1024  # how a JPEG is coded; a picture of many scans needs 4 KB
_MAX_PNG_CHUNKS, _MAX_JPEG_SEGMENTS = 100_000, 10_000

_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the colour type
_PNG_PICTURE = {b"IDAT", b"fdAT"}
# Each has at most 768 bytes by the specification.
_PNG_SMALL = {
    b"IHDR", b"PLTE", b"IEND", b"tRNS", b"acTL", b"fcTL", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD", b"sBIT", b"hIST",
    b"tIME", b"cICP", b"oFFs", b"sTER",
}  # fmt: skip

_JPEG_TABLES = {*range(0xC0, 0xD0), 0xDB, 0xDC, 0xDD}  # and the headers of frames, which lie between them
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_JPEG_PROFILE = b"ICC_PROFILE\0"
_PROFILE_GOES_ON = b"acsp".rjust(40)
# In a scan FF is followed by 00 (it is data), a restart mark or another FF; anything else ends the scan.
_JPEG_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class _Notes:
    """What a picture carries that nobody sees."""

    def __init__(self, limits: Limits):
        self.wanted = identifiers(limits.identifier_columns)
        self.bytes = 0
        self.profile_bytes = 0
        self.table_bytes = 0

    def take(self, content: bytes) -> None:
        self.bytes += len(content)
        if self.bytes > _MAX_NOTE_BYTES:
            raise _too_much(f"more than {_MAX_NOTE_BYTES:,} bytes of notes (EXIF, XMP, comments) that nobody sees")
        # A NUL ends a keyword, or is half a letter of UTF-16. Latin-1 reads every byte.
        for text in (content.replace(b"\0", b" "), content.replace(b"\0\0", b" ").replace(b"\0", b"")):
            if found := named_anywhere(self.wanted, fold(text.decode("latin-1"))):
                raise identifier_refusal(found[0], "in the notes of the picture")

    def take_profile(self, size: int, start: bytes) -> None:
        if start[36:40] != b"acsp":  # ICC.1, 7.2: every profile has that there
            raise _too_much("a colour profile that is none")
        self.profile_bytes += size
        if self.profile_bytes > _MAX_PROFILE_BYTES:
            raise _too_much(f"a colour profile of more than {_MAX_PROFILE_BYTES:,} bytes")

    def take_table(self, size: int) -> None:
        self.table_bytes += size
        if self.table_bytes > _MAX_TABLE_BYTES:
            raise _too_much(f"more than {_MAX_TABLE_BYTES:,} bytes of tables that a picture does not need")


def _too_much(found: str) -> Refusal:
    return Refusal(
        Rule.UNREADABLE,
        f"The picture has {found}. Write it anew from R or Python (ggsave, savefig), which adds none of that.",
    )


def _too_many_parts(what: str, limit: int) -> Refusal:
    return wrong_content(what, f"a {what} of more than {limit:,} parts")


def check_png(file: File, size: int, limits: Limits) -> None:
    """A PNG from its signature over each chunk to IEND, with nothing after it. Source: PNG specification, 5.2, 5.3."""
    file.seek(0)
    if file.read(8) != b"\x89PNG\r\n\x1a\n":
        raise wrong_content("PNG")
    notes, kinds, position, room = _Notes(limits), set(), 8, 0
    for kind, length in _png_chunks(file, size):
        if kind == b"IHDR":
            room = _room_for_pixels(file.read(13))
        elif kind == b"IDAT":
            room -= length
            if room < 0 or (kind not in kinds and not _begins_as_pixels(file.read(min(length, CHUNK_BYTES)))):
                raise wrong_content("PNG", "a PNG with something else where its pixels should be")
        kinds.add(kind)
        if kind == b"iCCP":
            _, _, profile = file.read(min(length, _MAX_NOTE_BYTES)).partition(b"\0")
            notes.take_profile(length, _inflated(profile[1:]))
        elif kind in _PNG_SMALL and length <= 768:
            notes.take_table(length)
        elif kind not in _PNG_PICTURE:
            notes.take(_png_note(kind, file.read(min(length, _MAX_NOTE_BYTES + 1))))
        position += 12 + length
        file.seek(position)
    if b"IDAT" not in kinds or position != size or file.read(1):
        raise wrong_content("PNG", "a PNG with no picture in it or with something after its end")


def _png_chunks(file: File, size: int) -> Iterator[tuple[bytes, int]]:
    """Kind and length of each chunk to IEND, with the file standing at its content; the caller moves to the next."""
    for number in range(_MAX_PNG_CHUNKS):
        header = file.read(8)
        length, kind = int.from_bytes(header[:4]), header[4:]
        first_is_right = number > 0 or kind == b"IHDR"
        if len(header) < 8 or not first_is_right or file.tell() + length + 4 > size:
            raise wrong_content("PNG", "a damaged or unfinished PNG")
        yield kind, length
        if kind == b"IEND":
            return
    raise _too_many_parts("PNG", _MAX_PNG_CHUNKS)


def _room_for_pixels(header: bytes) -> int:
    """How many bytes all pixels can take at most. Source: PNG specification, 11.2.1 (IHDR), 8 (interlaced rows)."""
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    bits, samples = (header[8], _PNG_SAMPLES.get(header[9], 0)) if len(header) == 13 else (0, 0)
    if not (width and height and samples and bits in (1, 2, 4, 8, 16)):
        raise wrong_content("PNG", "a PNG whose header is wrong")
    # Twice, for the rows of an interlaced picture and what a coder that does not compress adds.
    return 2 * height * (2 + width * bits * samples // 8) + 1024


def _begins_as_pixels(content: bytes) -> bool:
    """True for zlib's header and compressed data behind it."""
    try:
        zlib.decompressobj().decompress(content, _MAX_NOTE_BYTES)
    except zlib.error:
        return False
    return len(content) > 1


def _png_note(kind: bytes, content: bytes) -> bytes:
    """The note as its reader would see it. Source: PNG specification, 11.3.3 (zTXt, iTXt)."""
    keyword, _, rest = content.partition(b"\0")
    if kind == b"zTXt":
        return keyword + b" " + _inflated(rest[1:])
    if kind == b"iTXt" and rest[:1] == b"\x01":
        language, _, rest = rest[2:].partition(b"\0")
        translated, _, text = rest.partition(b"\0")
        return b" ".join((keyword, language, translated, _inflated(text)))
    return content


def _inflated(content: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        return inflater.decompress(content, _MAX_NOTE_BYTES + 1)
    except zlib.error as error:
        raise _too_much("a note that cannot be read") from error


def check_jpeg(file: File, size: int, limits: Limits) -> None:
    """A JPEG from SOI over each segment and scan to EOI; only padding may follow. Source: ITU T.81, annex B."""
    file.seek(0)
    if file.read(3) != b"\xff\xd8\xff":
        raise wrong_content("JPEG")
    file.seek(2)
    notes, has_scan = _Notes(limits), False
    for mark in _jpeg_marks(file):
        if mark == _JPEG_END:
            break
        content = _jpeg_segment(file, size)
        if mark == _JPEG_SCAN or mark in _JPEG_TABLES:
            notes.take_table(len(content))
        elif mark == 0xE2 and content.startswith(_JPEG_PROFILE):
            profile = content[len(_JPEG_PROFILE) :]
            # The first of several parts begins the profile.
            notes.take_profile(len(content), profile[2:] if profile[:1] == b"\x01" else _PROFILE_GOES_ON)
        else:
            notes.take(content)
        if mark == _JPEG_SCAN:
            has_scan = True
            _skip_scan(file)
    tail = file.read(65)
    if not has_scan or len(tail) > 64 or tail.strip(b"\0 \r\n"):
        raise wrong_content("JPEG", "a JPEG with no picture in it or with something after its end")


def _jpeg_marks(file: File) -> Iterator[int]:
    for _ in range(_MAX_JPEG_SEGMENTS):
        byte = file.read(1)
        mark = file.read(1)
        while byte == b"\xff" and mark == b"\xff":  # fill bytes
            mark = file.read(1)
        if byte != b"\xff" or not mark or mark == b"\0":
            raise wrong_content("JPEG", "a damaged or unfinished JPEG")
        yield mark[0]
    raise _too_many_parts("JPEG", _MAX_JPEG_SEGMENTS)


def _jpeg_segment(file: File, size: int) -> bytes:
    length = int.from_bytes(file.read(2))
    if length < 2 or file.tell() + length - 2 > size:
        raise wrong_content("JPEG", "a damaged or unfinished JPEG")
    return file.read(length - 2)


def _skip_scan(file: File) -> None:
    """Moves the file to the mark that ends the picture's data."""
    while chunk := file.read(CHUNK_BYTES):
        if found := _JPEG_MARK.search(chunk):
            file.seek(found.start() - len(chunk), 1)
            return
        if chunk.endswith(b"\xff") and len(chunk) > 1:
            file.seek(-1, 1)
    raise wrong_content("JPEG", "a JPEG that is unfinished")
