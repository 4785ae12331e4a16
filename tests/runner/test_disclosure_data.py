"""Data in strings of JSON and scripts, in calls, and in numbers written as base64."""

import base64
import gzip
import io
import json
import struct

import pytest

from runner.disclosure import Limits, Rule, Verdict, check

FEW = Limits(max_csv_rows=30)
REGIONS = ("North East", "London", "South West")
PEOPLE = [(100000 + n, "MF"[n % 2], REGIONS[n % 3]) for n in range(100)]
HUNDRED = Limits(max_csv_rows=100)


def verdict(content: str, extension: str = ".html", limits: Limits = FEW) -> Verdict:
    file = content.encode()
    return check(io.BytesIO(file), f"output/file{extension}", len(file), limits)


def script(content: str, kind: str = "text/javascript") -> str:
    return f"<html><script type='{kind}'>{content}</script></html>"


def each(form: str, between: str = "") -> str:
    return between.join(form.format(id=id, sex=sex, region=region) for id, sex, region in PEOPLE)


SCRIPTS = {
    "a line of CSV": 'const csv = "person,sex\\n' + each("{id},{sex},{region}", "\\n") + '\\n"; save(csv)',
    "lines added up": 'var csv = ""+\n' + each('"{id},{sex},{region}\\n"', "+\n"),
    "quoted cells": 'var csv = "' + each('\\"{id}\\",\\"{sex}\\"', "\\n") + '"',
    "records parted by a mark": 'var d = "' + each("{id}~{sex}~{region}", "#") + '".split("#")',
    "a template": "const t = `\n" + each("{id} {sex} {region}", "\n") + "\n`",
    "calls": "var d=[];" + each('d.push([{id},"{sex}","{region}"]);'),
    "calls in lines": "var d=[];\n" + each('d.push({{p:{id},s:"{sex}",r:"{region}"}});\n'),
    "calls with values": each('add({id}, "{sex}");\n'),
    "objects made": "var d=[" + each('new P({id},"{sex}","{region}")', ",") + "];",
    "dates in lists": "var d=[" + each('[new Date(2020,1,3),{id},"{sex}","{region}"]', ",") + "];",
    "dates in objects": "var d=[" + each('{{date:parse("2020-01-3"),p:{id},s:"{sex}"}}', ",") + "];",
    "rows of a Google chart": "data.addRows([" + each('[{{v:new Date(2020,1,3),f:"x"}},{id},"{sex}"]', ",\n") + "]);",
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("characters_before_the_cut", [0, 700, 1400])
def test_records_in_a_script_are_counted_however_they_are_written(name, characters_before_the_cut):
    padding = ";" + "x();" * ((65_536 - characters_before_the_cut) // 4) if characters_before_the_cut else ""

    assert verdict(script(padding + SCRIPTS[name])).rule == Rule.ROWS


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_many_records_as_rows_are_allowed(name):
    assert verdict(script(SCRIPTS[name]), limits=Limits()).allowed


def test_the_calls_of_code_are_no_records():
    code = "a.slice(0,1);if(b){rgb(0,0,255);f(a)}" * 100 + "n(1);" + "e.x(a);" * 100

    assert verdict(script(code)).allowed


STRINGS = {
    "records parted by a semicolon": each("{id},{sex}", ";"),
    "records parted by a bar": each("{id},{sex}", "|"),
    "values in a line": each("{id} {sex} {region}", " "),
    "words and marks": "<b>All</b> " + each("{id},{sex}", ";"),
}


@pytest.mark.parametrize("name", STRINGS)
def test_a_line_in_a_string_of_json_has_no_more_values_than_rows_are_allowed(name):
    assert verdict(json.dumps({"d": STRINGS[name]}), ".json").rule == Rule.ROWS
    assert verdict(script(json.dumps({"d": STRINGS[name]}), "application/json")).rule == Rule.ROWS


@pytest.mark.parametrize("between", [";", "|", "#", "~", "\\n", "\n"])
@pytest.mark.parametrize("rows", [3, 4000])
def test_a_header_in_a_string_of_json_is_found_before_any_mark(between, rows):
    text = between.join(["patient_id,sex", *(f"{number},M" for number in range(rows))])

    assert verdict(json.dumps({"d": text}), ".json", Limits()).rule == Rule.IDENTIFIER_COLUMN


def test_a_string_may_hold_a_curve_or_a_sentence():
    curve = f'<svg><path d="M0 0 {"L 1001 34 " * 100}"/></svg>'
    sentence = "patients, who had no patient_id, were dropped; others (17) were not. " * 3

    assert verdict(json.dumps({"html": curve, "note": sentence, "labels": ["[0,10)"] * 20}), ".json").allowed


def encoded(numbers: int, form: str = "d") -> str:
    return base64.b64encode(struct.pack(f"<{numbers}{form}", *(n + (n % 7) / 8 for n in range(numbers)))).decode()


def bokeh(data: str, dtype: str = "float64") -> dict:
    return {
        "type": "ndarray",
        "array": {"type": "bytes", "data": data},
        "shape": [1],
        "dtype": dtype,
        "order": "little",
    }


def compressed(numbers: int) -> str:
    return base64.b64encode(gzip.compress(base64.b64decode(encoded(numbers)))).decode()


@pytest.mark.parametrize("numbers", [100, 300, 5000])
@pytest.mark.parametrize("data", [encoded, compressed])
def test_numbers_of_bokeh_are_counted(numbers, data):
    chart = {"data": [["x", bokeh(data(numbers))], ["y", bokeh(data(numbers))]]}
    pages = [script(json.dumps(chart), "application/json"), script(f"const docs = '{json.dumps(chart)}';")]

    for page in pages:
        assert verdict(page, limits=Limits(max_csv_rows=numbers)).allowed
        assert verdict(page, limits=Limits(max_csv_rows=numbers - 1)).rule == Rule.ROWS


@pytest.mark.parametrize(
    ("chart", "rule"),
    [
        ({"type": "bytes", "data": encoded(50)}, Rule.ROWS),
        ([{"type": "bytes", "data": encoded(50)}, bokeh(encoded(10))], Rule.ROWS),
        (bokeh(encoded(50), "object"), Rule.ROWS), (bokeh(encoded(50), "uint8"), Rule.ROWS),
        (bokeh(base64.b64encode(b"1001,34,M\n" * 20).decode()), Rule.UNREADABLE),
        (bokeh(base64.b64encode(gzip.compress(b"1001,34,M\n" * 20)).decode()), Rule.UNREADABLE),
        (bokeh(base64.b64encode(b"\x1f\x8b" + b"no gzip" * 20).decode()), Rule.UNREADABLE),
        ({"data": encoded(400)}, Rule.UNREADABLE),
        ([{"dtype": "f8", "bdata": encoded(9)}, {"bdata": encoded(20)}], Rule.ROWS),
    ],
)  # fmt: skip
def test_what_is_said_of_encoded_numbers_is_not_believed_to_hide_more(chart, rule):
    assert verdict(json.dumps(chart), ".json", HUNDRED).rule == rule


def test_the_letters_of_an_escape_are_no_numbers():
    text = base64.b64encode(b"\xff\xff\xff" * 264).decode().replace("/", "\\u002f")  # 99 numbers of 8 bytes

    assert verdict(script('f([{"dtype":"f8","bdata":"' + text + '"}])'), limits=HUNDRED).allowed


def traces(numbers: int, **how: object) -> list[dict]:
    """A chart coloured by three groups, each with as many points."""
    lists = {"x": list(range(numbers)), "y": [number / 7 for number in range(numbers)]}
    return [{"name": group, **lists, "text": [f"a{n}" for n in range(numbers)], **how} for group in REGIONS]


def encoded_traces(numbers: int) -> list[dict]:
    points = {"dtype": "f8", "bdata": encoded(numbers)}
    customdata = {"dtype": "f8", "bdata": encoded(2 * numbers), "shape": f"{numbers}, 2"}
    return [
        {"customdata": customdata, "mode": "markers", "name": group, "x": points, "y": points, "type": "scattergl"}
        for group in REGIONS
    ]


def in_pages(data: list[dict]) -> list[tuple[str, str]]:
    figure = json.dumps({"data": data, "layout": {"title": {"text": "People"}}})
    quoted = figure.replace("\\", "\\\\").replace('"', '\\"')
    return [
        (figure, ".json"), (script(figure, "application/json"), ".html"),
        (script(f'Plotly.newPlot("a", {json.dumps(data)}, {{"title": "People"}})'), ".html"),
        (script(f'f(JSON.parse("{quoted}"))'), ".html"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "how", [{"mode": "markers"}, {"mode": "lines+markers"}, {"type": "box"}, {"type": "histogram"}]
)
def test_the_points_of_all_traces_of_a_chart_are_counted_together(how):
    for content, extension in in_pages(traces(60, **how)):
        assert verdict(content, extension, Limits(max_csv_rows=180)).allowed
        assert verdict(content, extension, Limits(max_csv_rows=179)).rule == Rule.ROWS


def test_so_are_encoded_points():
    for content, extension in in_pages(encoded_traces(60))[:3]:
        assert verdict(content, extension, Limits(max_csv_rows=180)).allowed
        assert verdict(content, extension, Limits(max_csv_rows=179)).rule == Rule.ROWS


@pytest.mark.parametrize("how", [{"mode": "lines"}, {"type": "bar"}, {"type": "scattergl", "mode": "lines"}])
def test_lines_and_bars_of_a_chart_are_no_points(how):
    for content, extension in in_pages(traces(60, **how)):
        assert verdict(content, extension, HUNDRED).allowed
