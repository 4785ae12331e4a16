"""Time and memory: four times the file takes about four times as long, whatever its author thought of."""

import gzip
import io
import time

import pytest

from jobs.errors import Stopped
from runner.disclosure import Limits, Rule, check
from runner.disclosure.records import RecordWatch

UNIT_BYTES = 250_000
SVG, HTML = '<svg xmlns="http://www.w3.org/2000/svg">', "<!DOCTYPE html><html>"

HOSTILE = {
    "separators inside a name.csv": ("", "patient" + "_" * 5000 + "x,\n"),
    "encoded runs.txt": ("", "aB3/" * 450 + "\n"),
    "mentions.txt": ("", "patient word words 1 wordy\n"),
    "blanks.txt": ("", "1" + " " * 60_000),
    "blanks in a script.html": (HTML + "<script>", "[a" + " " * 60_000),
    "blanks in a list.log": ("", "[ " * 60_000 + "1\n"),
    "calls in calls.html": (HTML + "<script>", "f('"),
    "calls without end.html": (HTML + "<script>", "new f(1,"),
    "names of functions.html": (HTML + "<script>", "f.f"),
    "a run without end.html": (HTML + "<script>", "1 2,\\n"),
    "attributes in attributes.html": (HTML, "<p style='" + "a='" * 50 + ">"),
    "character data.html": (HTML, "<![CDATA[ a"),
    "charts in charts.html": (HTML, "<svg>" * 100 + "a"),
    "lines without words.html": (HTML, "\n"),
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


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("lines.txt", "patient_id x y\n"),
        ("cells.txt", "a b c, d e f, g h i, patient_id j k, l m n|o p;q r s\n"),
        ("wide lines.txt", "a b c, " * 600 + "patient_id x y z\n"),
        ("lines.md", "patient_id x y\n"),
        ("strings.json", '"[\\"patient_id x\\nfoo bar",'),
        ("attributes.html", "<a " + 'b="x patient_id y" ' * 990 + ">"),
    ],
)
def test_a_file_that_names_an_identifier_thousands_of_times_is_not_read_to_its_end(name, unit):
    start = {"json": "[", "html": HTML}.get(name.rpartition(".")[2], "")
    file = _Counted((start + unit * (4_000_000 // len(unit))).encode())

    checked = check(file, name, len(file.getvalue()), Limits())

    assert checked.rule == Rule.IDENTIFIER_COLUMN
    assert file.read_bytes < 2_000_000


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.json", "a.html", "a.svg", "a.png", "a.jpg"])
def test_a_stop_reaches_a_check_at_work(name):
    starts = {
        "a.png": b"\x89PNG\r\n\x1a\n",
        "a.jpg": b"\xff\xd8\xff\xda\0\2",
        "a.svg": SVG.encode(),
        "a.html": HTML.encode(),
    }
    file = _Counted(starts.get(name, b'["') + b"a" * 1_000_000)

    with pytest.raises(Stopped):
        check(file, name, 1_000_000, Limits(), should_stop=lambda: file.read_bytes > 7)


class _Counted(io.BytesIO):
    """A file that knows how much of it was read."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.read_bytes += len(content)
        return content


def test_lines_of_prose_cost_less_than_lines_with_a_figure():
    def seconds_of(line: str) -> float:
        begin = time.process_time()
        RecordWatch(Limits()).look_at([line] * 50_000)
        return time.process_time() - begin

    # About a quarter; looked at alike, they cost the same.
    assert min(seconds_of("w x y z") for _ in range(3)) < 0.6 * seconds_of("w x y 1")
