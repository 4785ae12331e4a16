"""SVG: a chart passes; one mark or text per person, or an identifier in what is seen or never shown, does not."""

import base64
import gzip
import io

import pytest

from runner.disclosure import Limits, Rule, Verdict, check

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'
FEW = Limits(max_csv_rows=5)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 300).decode()


def verdict(inside: str, limits: Limits | None = None) -> Verdict:
    content = SVG.format(inside).encode()
    return check(io.BytesIO(content), "output/chart.svg", len(content), limits or Limits())


IDENTIFIED = [
    "<text>patient_id</text>",
    "<text>Patient ID</text>",
    "<text>Figure 1. One point per patient_id.</text>",
    "<text>patient<tspan>_</tspan>id</text>",
    "<text><tspan>patient_id</tspan><tspan>age</tspan></text>",
    "<text>pati&#101;nt_id</text>",
    "<title>patient_id: 1001</title>",
    "<desc>patient_id,age\n1001,34\n</desc>",
    "<desc><![CDATA[patient_id,age\n1001,34\n]]></desc>",
    "<metadata><x:row xmlns:x='urn:x'>patient_id</x:row></metadata>",
    "<!-- patient_id,age -->",
    '<g data-row="patient_id=1001"/>',
    '<g aria-label="patient_id: 1001; age: 34"/>',
    '<g id="patient_id"/>',
    '<g class="patient-id"/>',
    '<path d="patient_id"/>',
    "<style>/* patient_id,age */</style>",
]


@pytest.mark.parametrize("inside", IDENTIFIED)
def test_an_identifier_is_refused_wherever_an_svg_holds_it(inside):
    assert verdict(inside).rule == Rule.IDENTIFIER_COLUMN


def test_a_compressed_svg_hides_nothing():
    content = gzip.compress(SVG.format("<text>patient_id</text>").encode())

    assert check(io.BytesIO(content), "output/a.svgz", len(content), Limits()).rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize(
    ("flag", "note"), [(0b10000, b"age 34\0"), (0b00100, b"\x06\0age 34"), (0b01000, b"a" * 300 + b"\0")]
)
def test_a_compressed_svg_has_no_notes_in_its_header(flag, note):
    plain = gzip.compress(SVG.format("").encode(), mtime=0)
    content = plain[:3] + bytes([flag]) + plain[4:10] + note + plain[10:]

    assert check(io.BytesIO(content), "output/a.svgz", len(content), Limits()).rule == Rule.CONTENT_TYPE


@pytest.mark.parametrize(
    "mark",
    [
        '<circle cx="1" r="1"/>', '<use xlink:href="#m1" x="1"/>', '<path d="M1 2h0"/>', "<text>34</text>",
        "<tspan>34</tspan>", '<rect width="1"/>', "<g/>", "<x/>", "<!-- 34 -->",
        '<polygon points="1,2"/>', "<title>34</title>",
    ],
)  # fmt: skip
def test_a_chart_has_no_more_marks_or_texts_than_a_table_may_have_rows(mark):
    assert verdict(f"<defs/>{mark * 3}", FEW).allowed
    refused = verdict(mark * 6, FEW)

    assert (refused.allowed, refused.rule) == (False, Rule.ROWS)
    assert "PNG" in refused.message


def test_points_in_one_path_are_marks_and_a_line_is_one_mark():
    points = "".join(f"M{number} {number}h0" for number in range(6))
    line = "M0 0" + "".join(f"L{number} {number}" for number in range(10_000))

    assert verdict(f'<path d="{points}"/>', FEW).rule == Rule.ROWS
    assert verdict(f'<path d="{line}"/><polyline points="{"1,2 " * 10_000}"/>', FEW).allowed


@pytest.mark.parametrize(
    "href", ["#DejaVuSans-30", "#ArialMT-2e", "#STIXGeneral-Regular-3b1", "#glyph0-12", "#glyph-3-1"]
)
def test_letters_that_are_drawn_count_as_letters(href):
    assert verdict(f'<use xlink:href="{href}"/>' * 80, FEW).allowed
    assert verdict(f'<use xlink:href="{href}"/>' * 81, FEW).rule == Rule.ROWS


@pytest.mark.parametrize("text", ["1001,34,M\n" * 6, "1001,34,M;" * 6, "1001 34 M " * 12, "x" * 81])
@pytest.mark.parametrize(
    "place",
    [
        "<text>{}</text>", "<desc>{}</desc>", "<metadata>{}</metadata>", "<!--{}-->", "<text><tspan>{}</tspan></text>",
        "<style>/*{}*/</style>",
    ],
)  # fmt: skip
def test_a_table_in_one_text_is_counted_by_its_lines_and_letters(place, text):
    assert verdict(place.format(text), FEW).rule == Rule.ROWS


@pytest.mark.parametrize("attribute", ["data-rows", "aria-label", "id", "class", "style"])
def test_a_table_in_one_attribute_is_counted_too(attribute):
    assert verdict(f'<g {attribute}="{"1001 34 M " * 300}"/>', FEW).rule == Rule.ROWS


def test_an_embedded_picture_must_begin_as_one():
    table = base64.b64encode(b"age,sex\n34,M\n" * 30).decode()

    assert verdict(f'<image xlink:href="data:image/png;base64,{PNG}"/>').allowed
    assert verdict(f'<image xlink:href="data:image/png;base64,{table}"/>').rule == Rule.ACTIVE_CONTENT
    assert verdict(f'<image xlink:href="data:image/png;base64,{PNG} 1001,34"/>').rule == Rule.ACTIVE_CONTENT


def test_an_element_of_endless_attributes_is_refused():
    attributes = " ".join(f'a{number}=""' for number in range(40_000))

    assert verdict(f"<g {attributes}/>").rule == Rule.CONTENT_TYPE


def test_an_identifier_in_a_style_between_its_elements_is_seen():
    assert verdict("<style><x/>@import 'http://example.org/a.css';</style>").rule == Rule.ACTIVE_CONTENT
