"""SVG, PNG and JPEG: a picture is one whole picture, and neither runs nor loads anything."""

import gzip
import io
import struct
import tracemalloc
import zlib

import pytest

from runner.disclosure import Limits, Rule, Verdict, check
from runner.disclosure.reading import CHUNK_BYTES

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'


def verdict(content: str | bytes, extension: str, limits: Limits | None = None) -> Verdict:
    if isinstance(content, str):
        content = content.encode()
    return check(io.BytesIO(content), f"output/file{extension}", len(content), limits or Limits())


def png(*, after: bytes = b"", chunks: tuple[tuple[bytes, bytes], ...] | None = None) -> bytes:
    frame = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = chunks or ((b"IHDR", frame), (b"tEXt", b"Software\0R"), (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + after


def segment(mark: int, content: bytes) -> bytes:
    return b"\xff" + bytes([mark]) + struct.pack(">H", len(content) + 2) + content


def jpeg(*segments: bytes, scan: bytes = b"\xd2\xcf\x20", after: bytes = b"") -> bytes:
    begin = b"\xff\xd8" + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    tables = segment(0xDB, b"\0" + b"\x08" * 64) + segment(0xC0, b"\x08\0\1\0\1\1\1\x11\0")
    return begin + b"".join(segments) + tables + segment(0xDA, b"\1\1\0\0\x3f\0") + scan + b"\xff\xd9" + after


ACTIVE = [
    "<script>alert(1)</script>",
    '<script xlink:href="#a"/>',
    '<x:script xmlns:x="http://www.w3.org/2000/svg">1</x:script>',
    "<SCRIPT>1</SCRIPT>",
    '<rect onload="alert(1)"/>',
    '<rect ONCLICK="alert(1)"/>',
    '<a href="javascript:alert(1)"><text>x</text></a>',
    '<a href=" java&#10;script:alert(1)"><text>x</text></a>',
    '<a xlink:href="https://example.org/"><text>x</text></a>',
    "<foreignObject><p>x</p></foreignObject>",
    '<image href="http://example.org/a.png"/>',
    '<image href="//example.org/a.png"/>',
    '<image xlink:href="file:///etc/passwd"/>',
    '<image href="data:image/svg+xml,&lt;svg/&gt;"/>',
    '<use href="other.svg#a"/>',
    '<rect fill="url(http://example.org/a.svg#g)"/>',
    "<rect style=\"fill: url( 'http://example.org/a.svg#g')\"/>",
    "<style>@import 'http://example.org/a.css';</style>",
    "<style><![CDATA[rect { background: url(http://example.org/) }]]></style>",
    '<set attributeName="href" to="#x"/>',
    '<animate attributeName="onclick" to="x"/>',
    '<set attributeName="x" to="javascript:alert(1)"/>',
    "<iframe/>",
    '<g xml:base="http://example.org/"/>',
    '<?xml-stylesheet href="http://example.org/a.css"?>',
]


@pytest.mark.parametrize("inside", ACTIVE)
def test_an_svg_that_runs_or_loads_something_is_refused(inside):
    refused = verdict(SVG.format(inside), ".svg")

    assert (refused.allowed, refused.rule) == (False, Rule.ACTIVE_CONTENT)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY a "x">', '<!ENTITY a SYSTEM "file:///etc/passwd">', '<!ENTITY % a SYSTEM "http://example.org/a">',
        '<!ENTITY a "xxxxxxxxxx"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">', '<!ATTLIST svg onload CDATA "alert(1)">',
    ],
)  # fmt: skip
def test_an_svg_that_declares_something_hidden_is_refused(declaration):
    assert verdict(f"<!DOCTYPE svg [{declaration}]><svg/>", ".svg").rule == Rule.ACTIVE_CONTENT


@pytest.mark.parametrize(
    "content", ["", "text", "<svg>", "<html><svg/></html>", "<svg></svg>more", "<svg/><svg/>", "{}"]
)
def test_what_is_not_svg_is_refused(content):
    assert verdict(content, ".svg").rule == Rule.CONTENT_TYPE


def test_a_compressed_svg_is_judged_by_its_content():
    assert verdict(gzip.compress(SVG.format("").encode()), ".svgz").allowed
    assert verdict(gzip.compress(SVG.format("<script/>").encode()), ".svgz").rule == Rule.ACTIVE_CONTENT
    assert verdict(gzip.compress(b"a,b\n1,2\n"), ".svgz").rule == Rule.CONTENT_TYPE


@pytest.mark.parametrize(
    "content",
    [
        b"", SVG.format("").encode(), gzip.compress(SVG.format("").encode())[:-9], b"\x1f\x8b", b"PK\x03\x04",
        gzip.compress(SVG.format("").encode()) + b"patient_id", gzip.compress(b"<svg/>") + gzip.compress(b"hidden"),
        gzip.compress(gzip.compress(b"<svg/>")),
    ],
)  # fmt: skip
def test_a_compressed_svg_must_be_one_whole_gzip_and_no_more(content):
    assert verdict(content, ".svgz").rule == Rule.CONTENT_TYPE


def test_a_compressed_svg_is_given_up_where_it_grows_too_big():
    bomb = gzip.compress(b"<svg>" + b" " * 50_000_000)
    tracemalloc.start()

    refused = verdict(bomb, ".svgz", Limits(max_file_size=1_000_000))

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.rule == Rule.SIZE
    assert peak_bytes < 4_000_000


@pytest.mark.parametrize(
    "content",
    [
        b"", b"a,b\n1,2\n", b"\xff\xd8\xff\xe0\xff\xd9", png()[:-1], png()[:-12], png()[:20], png()[:8],
        png(after=b"\n"),
        png(after=b"patient_id,age\n1,34\n"), png(after=gzip.compress(b"hidden")), png(chunks=((b"IEND", b""),)),
        png(chunks=((b"IHDR", b"x"), (b"IEND", b""))), png(chunks=((b"IDAT", b"x"), (b"IEND", b""))),
        b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffIHDR",
    ],
)  # fmt: skip
def test_what_is_not_one_whole_png_is_refused(content):
    assert verdict(content, ".png").rule == Rule.CONTENT_TYPE


@pytest.mark.parametrize("extension", [".jpg", ".jpeg", ".JPG"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        png(),
        b"\xff\xd8\xff\xe0",
        b"\xff\xd8\xff\xe0\xff\xd9more",
        b"\xff\xd8\xff\xe0\xff\xd9PK\x03\x04",
    ],
)
def test_what_is_not_one_whole_jpeg_is_refused(content, extension):
    assert verdict(content, extension).rule == Rule.CONTENT_TYPE


@pytest.mark.parametrize("size", range(CHUNK_BYTES - 2, CHUNK_BYTES + 4))
def test_a_jpegs_end_is_found_where_it_was_read_in_two_parts(size):
    assert verdict(jpeg(scan=b"\xff\0".ljust(size, b"x")), ".jpg").allowed
    assert verdict(jpeg(scan=b"x" * size + b"\xff\xd9" + b"x"), ".jpg").rule == Rule.CONTENT_TYPE


FRAME = (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
PICTURE = ((b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b""))
PROFILE = b"acsp".rjust(40).ljust(3000)
# Nothing of it names an identifier; that it is there is enough.
TABLE = b"".join(b"%d,%d,AB1 2CD\n" % (number, number % 90) for number in range(5000))


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        (b"tEXt", b"Comment\0patient_id,age"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"patient_id,age\n1,2\n")),
        (b"iTXt", b"Comment\0\1\0en\0\0" + zlib.compress(b"age,patient_id")),
        (b"iTXt", b"Comment\0\0\0en\0\0age,patient_id"),
        (b"eXIf", "patient_id".encode("utf-16-le")),
        (b"prVt", b"patient_id"),
    ],
)
def test_an_identifier_in_the_notes_of_a_png_is_refused(kind, note):
    refused = verdict(png(chunks=(FRAME, (kind, note), *PICTURE)), ".png")

    assert (refused.allowed, refused.rule) == (False, Rule.IDENTIFIER_COLUMN)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"tEXt", b"Comment\0" + TABLE), (b"zTXt", b"Comment\0\0" + zlib.compress(TABLE)), (b"prVt", TABLE),
        (b"zTXt", b"Comment\0\0not zlib"), (b"tEXt", b"Comment\0" + TABLE[:17_000]), (b"pHYs", TABLE),
        (b"iCCP", b"sRGB\0\0" + zlib.compress(TABLE)),
        (b"iCCP", b"sRGB\0\0" + zlib.compress(PROFILE) + b"x" * 1_100_000),
    ],
)  # fmt: skip
def test_more_notes_in_a_png_than_a_picture_needs_are_refused(chunk):
    assert verdict(png(chunks=(FRAME, chunk, *PICTURE)), ".png").rule == Rule.UNREADABLE


def test_data_in_the_last_part_of_a_png_is_refused():
    assert verdict(png(chunks=(FRAME, PICTURE[0], (b"IEND", TABLE))), ".png").rule == Rule.UNREADABLE


def test_a_png_with_a_colour_profile_and_the_notes_of_a_program_passes():
    chunks = (
        FRAME, (b"iCCP", b"Display\0\0" + zlib.compress(PROFILE)), (b"tIME", b"\x07\xea\1\1\0\0\0"),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta/>" + b" " * 4000), (b"PLTE", b"\0" * 768), *PICTURE,
    )  # fmt: skip

    assert verdict(png(chunks=chunks), ".png").allowed


@pytest.mark.parametrize(
    "note",
    [
        segment(0xFE, b"patient_id,age\n1,34"), segment(0xE1, b"Exif\0\0" + b"age,patient_id"),
        segment(0xE1, b"Exif\0\0" + "patient_id".encode("utf-16-le")), segment(0xED, b"Photoshop 3.0\0patient_id"),
    ],
)  # fmt: skip
def test_an_identifier_in_the_notes_of_a_jpeg_is_refused(note):
    assert verdict(jpeg(note), ".jpg").rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize(
    "notes",
    [
        segment(0xFE, TABLE[:60_000]), segment(0xFE, TABLE[:9_000]) * 2,
        segment(0xE2, b"ICC_PROFILE\0\1\1" + TABLE[:60_000]), segment(0xDB, TABLE[:60_000]) * 2,
    ],
)  # fmt: skip
def test_more_notes_in_a_jpeg_than_a_picture_needs_are_refused(notes):
    assert verdict(jpeg(notes), ".jpg").rule == Rule.UNREADABLE


@pytest.mark.parametrize(
    "content",
    [
        jpeg(after=TABLE), jpeg(after=TABLE + b"\xff\xd9"), jpeg(after=jpeg()), jpeg(after=b"\0" * 65), jpeg()[:-2],
        b"\xff\xd8\xff" + TABLE + b"\xff\xd9", b"\xff\xd8" + segment(0xFE, b"x") + b"\xff\xd9",
    ],
)  # fmt: skip
def test_a_jpeg_ends_where_its_picture_ends(content):
    assert verdict(content, ".jpg").rule == Rule.CONTENT_TYPE


def test_a_jpeg_in_several_scans_with_a_profile_passes():
    scans = b"x\xff\0\xff\xd0y" + segment(0xC4, b"\0" * 20) + segment(0xDA, b"\1\1\0\0\x3f\0") + b"z"
    profile = segment(0xE2, b"ICC_PROFILE\0\1\2" + PROFILE) + segment(0xE2, b"ICC_PROFILE\0\2\2" + b"more")

    assert verdict(jpeg(profile, scan=scans, after=b"\0\0"), ".jpg").allowed


@pytest.mark.parametrize(
    ("header", "pixels"),
    [
        ((2, 2, 8, 2), b"patient_id,sex\n1001,F\n"), ((2, 2, 8, 2), b""), ((2, 2, 8, 2), b"\x78\x9cno deflate"),
        ((2, 2, 8, 2), zlib.compress(bytes(range(256)) * 20, 0)), ((0, 2, 8, 2), zlib.compress(b"\0")),
        ((2, 2, 8, 5), zlib.compress(b"\0")), ((2, 2, 7, 2), zlib.compress(b"\0")),
    ],
)  # fmt: skip
def test_a_png_holds_pixels_where_they_should_be(header, pixels):
    start = struct.pack(">IIBB", *header) + b"\0\0\0"

    assert verdict(png(chunks=((b"IHDR", start), (b"IDAT", pixels), (b"IEND", b""))), ".png").rule == Rule.CONTENT_TYPE
