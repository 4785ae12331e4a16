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
    assert verdict(b"\xff\xd8\xff".ljust(size - 2, b"x") + b"\xff\xd9", ".jpg").allowed
