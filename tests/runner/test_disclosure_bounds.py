"""Time and memory: four times the file takes about four times as long, whatever its author thought of."""

import gzip
import io
import time

import pytest

from runner.disclosure import Limits, check

UNIT_BYTES = 250_000
SVG, HTML = '<svg xmlns="http://www.w3.org/2000/svg">', "<!DOCTYPE html><html>"

HOSTILE = {
    "separators inside a name.csv": ("", "patient" + "_" * 5000 + "x,\n"),
    "encoded runs.txt": ("", "aB3/" * 450 + "\n"),
    "mentions.txt": ("", "patient word words 1 wordy\n"),
    "URLs.txt": ("", "data:text/csv,'"),
    "lists in strings.json": ('["', "[\\n"),
    "a string without end.json": ('["', "patient_ideas "),
    "tags without end.html": (HTML, '<a b="'),
    "less than.html": (HTML, "<"),
    "declarations without end.html": (HTML, "<!"),
    "comments in comments.html": (HTML, "<!--"),
    "lists without end in a script.html": (HTML + "<script>", "[{a:1},"),
    "a string in a script.html": (HTML + '<script>[{a:"', "b,c"),
    "escaped quotes in a script.html": (HTML + "<script>", '\\"'),
    "a line of values in a script.html": (HTML + "<script>1", ", 2"),
    "attributes without values.html": (HTML, "<p " + "a" * 120_000 + ">"),
    "attributes.html": (HTML + "<p", ' a="patient b"'),
    "tags in Markdown.md": ("", "a <b c 'd \n"),
    "a tag without end.svg": (SVG + "<g", " "),
    "tags in a text.svg": (SVG + "<text>" + "patient " * 8000, "<tspan/>"),
    "a picture without end.svg": (SVG + '<image href="data:image/png;base64,iVBORw0KGgo', "AAAA"),
}


def seconds(content: bytes, name: str) -> float:
    begin = time.process_time()
    check(io.BytesIO(content), name, len(content), Limits())
    return time.process_time() - begin


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_takes_time_that_grows_faster_than_the_file(name):
    start, unit = (text.encode() for text in HOSTILE[name])
    small, big = (start + unit * (size // len(unit)) for size in (UNIT_BYTES, 4 * UNIT_BYTES))

    once = min(seconds(small, name) for _ in range(2))

    # Quadratic would be sixteen times; short times are mostly noise.
    assert seconds(big, name) < 9 * once + 0.2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + b"\0" * 17 + b"\0\0\0\0IDAT\0\0\0\0" * 400_000),
        ("a.jpg", b"\xff\xd8" + b"\xff\xe0\0\2" * 1_000_000),
        ("b.jpg", b"\xff\xd8" + b"\xff\xda\0\2" * 1_000_000),
        ("a.html", (HTML + "<b>" * 1_500_000).encode()),
        ("b.html", (HTML + "<!---->" * 600_000).encode()),
        ("a.svg", (SVG + "<g " + " ".join(f'a{number:x}=""' for number in range(400_000))).encode()),
        ("a.svgz", gzip.compress(SVG.encode() + b" " * 15_000_000)),
    ],
)  # fmt: skip
def test_endless_parts_are_given_up(name, content):
    checked = check(io.BytesIO(content), name, len(content), Limits(max_csv_rows=500))

    assert not checked.allowed
