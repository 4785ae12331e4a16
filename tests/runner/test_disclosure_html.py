"""HTML and HTML in Markdown: tables of any elements, hidden parts, data in scripts and attributes, embedded files."""

import base64
import io
import json
import struct
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.disclosure import Limits, Rule, Verdict, check
from runner.disclosure.html_tokens import Tokenizer
from runner.disclosure.reading import CHUNK_BYTES

FEW = Limits(max_csv_rows=5)
TABLE = "patient_id,age\n1001,34\n1002,35\n"
ROWS = "".join(f"{number},34,M\n" for number in range(1001, 1010))
FILE = base64.b64encode(ROWS.encode() * 3).decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 300).decode()


def verdict(inside: str, limits: Limits | None = None, extension: str = ".html") -> Verdict:
    content = f"<!DOCTYPE html>\n<html><body>{inside}</body></html>".encode()
    return check(io.BytesIO(content), f"output/report{extension}", len(content), limits or Limits())


def script(content: str, kind: str = "") -> str:
    return f"<script{kind and f' type={kind!r}'}>{content}</script>"


IDENTIFIED = {
    "markup in a word": "<table><tr><th>patient<b>_</b>id</th></tr></table>",
    "markup and lines": "<table><tr>\n<th>\n<span>patient</span>_<i>id</i>\n</th></tr></table>",
    "paragraph in a cell": "<table><tr><td><div><p>patient_id</p></div></td></tr></table>",
    "rows of <div>": "<div>patient_id age</div><div>1001 34</div>",
    "rows of <li>": "<ul><li>patient_id,age</li><li>1001,34</li></ul>",
    "rows of <p>": "<p>patient_id;age</p><p>1001;34</p>",
    "rows by <br>": "<p>patient_id,age<br>1001,34</p>",
    "cells of <div>": "<div><div>patient_id</div><div>age</div></div><div><div>1001</div><div>34</div></div>",
    "cells of <span>": "<p><span>patient_id</span><span>age</span></p><p><span>1001</span><span>34</span></p>",
    "comment": f"<!--{TABLE}-->",
    "comment with a table": "<!-- <table><tr><th>patient_id</th></tr></table> -->",
    "textarea": f"<textarea>{TABLE}</textarea>",
    "template": f"<template>{TABLE}</template>",
    "noscript": f"<noscript>{TABLE}</noscript>",
    "hidden": f"<div hidden>{TABLE}</div>",
    "input": f'<input type="hidden" value="{TABLE}">',
    "attribute with a table": f'<div data-x="{TABLE}"></div>',
    "attribute with a header": '<div data-columns="age,patient_id"></div>',
    "attribute with a name": '<td data-label="patient_id">1001</td>',
    "attribute given twice": f'<div data-x="{TABLE}" data-x=""></div>',
    "attribute with JSON": '<div data-x="[{&quot;patient_id&quot;:1001}]"></div>',
    "style": f"<style>/* {TABLE} */</style>",
    "chart": "<svg><text>patient_id</text></svg>",
    "JSON": script('{"x":["age","patient_id"]}', "application/json"),
    "header in JSON": script('{"container":"<table><th>patient_id<\\/th></table>"}', "application/json"),
    "name of a series": script('Plotly.newPlot("x",[{"name":"patient_id","x":[1,2]}])'),
    "unquoted name": script("var d = [{patient_id: 1001, age: 34}]"),
    "header in a string": script('var d = "age,patient_id\\n34,1001\\n"'),
    "header in a template": script(f"var d = `{TABLE}`"),
    "script of a text": script(TABLE, "text/csv"),
    "embedded script": '<script src="data:text/javascript;base64,{}"></script>'.format(
        base64.b64encode(b'var x = {"patient_id": [1001, 1002]};' + b" " * 100).decode()
    ),
    "embedded SVG": '<img src="data:image/svg+xml;base64,{}">'.format(
        base64.b64encode(b"<svg><text>patient_id</text>" + b" " * 100 + b"</svg>").decode()
    ),
}


@pytest.mark.parametrize("extension", [".html", ".md"])
@pytest.mark.parametrize("name", IDENTIFIED)
def test_an_identifier_is_refused_wherever_a_report_holds_its_values(name, extension):
    assert verdict(IDENTIFIED[name], extension=extension).rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize(
    "inside",
    [
        '<h2 id="patient_id">How patient_id was made</h2><a href="#patient_id">See there.</a>',
        '<code><span class="st">"patient_id"</span>: drop(<span>patient_id</span>), age</code>',
        "<p>There were <b>12</b> patients; the <code>patient_id</code> was dropped.</p><p>34</p>",
        "<table><tr><th>n_patients</th><th>Patient numbers</th></tr><tr><td>10</td><td>20</td></tr></table>",
        script('var note = "patient note"; var a = f(patients, id)'), "<!-- patient_id is dropped in step 2 -->",
        "<ul><li>age</li><li>patient_id</li><li>sex</li></ul>",
    ],
)  # fmt: skip
def test_a_report_may_mention_an_identifier(inside):
    assert verdict(inside).allowed


NUMBERS = list(range(1001, 1500))
ENCODED_NUMBERS = base64.b64encode(struct.pack("<499d", *NUMBERS)).decode()
MANY = {
    "rows of <div>": "<div>1001 34</div>" * 7,
    "rows of <li>": "<li>1001 34</li>" * 7,
    "rows of <p>": "<p>1001 34</p>" * 7,
    "rows by <br>": "1001 34<br>" * 7,
    "cells of <span>": "<p><span>1001</span><span>34</span></p>" * 7,
    "one line": f"<p>{'1001 ' * 7}</p>",
    "comment": f"<!--{ROWS}-->",
    "comments": "<!-- 1001 34 -->\n" * 7,
    "textarea": f"<textarea>{ROWS}</textarea>",
    "template": f"<template>{ROWS}</template>",
    "noscript": f"<noscript>{ROWS}</noscript>",
    "attribute": f'<div data-x="{ROWS * 20}"></div>',
    "JSON in an attribute": f"<div data-x='{json.dumps(NUMBERS)}'></div>",
    "points of a chart": f"<svg>{'<circle/>' * 6}</svg>",
    "numbers": script(f"var x = {json.dumps(NUMBERS)};"),
    "numbers in lines": script("var x = [\n" + ",\n".join(map(str, NUMBERS)) + "\n];"),
    "records": script(f"f({json.dumps([{'a': number, 'b': 'M'} for number in NUMBERS])})"),
    "records of unquoted names": script("f([" + "{a: 1001, b: true}," * 100 + "])"),
    "JSON in a string": script(f"JSON.parse({json.dumps(json.dumps([{'a': number} for number in NUMBERS]))})"),
    "lines in a template": script(f"var x = `{ROWS}`"),
    "JSON": script(json.dumps({"x": {"data": [NUMBERS]}}), "application/json"),
    "script of a text": script(ROWS, "text/csv"),
    "encoded numbers": script('f([{"x":{"dtype":"f8","bdata":"' + ENCODED_NUMBERS + '"}}])'),
    "a chart that is never closed": "<svg>" + "<div>1001 34</div>" * 7 + ROWS,
    "lines in a chart": f"<svg>{ROWS}</svg>",
    "short data": script("f([1001,1002,1003,1004,1005,1006])"),
    "tags": "<b>" * 501,
}


@pytest.mark.parametrize("name", MANY)
def test_rows_are_counted_whatever_a_report_makes_them_of(name):
    refused = verdict(MANY[name], FEW)

    assert (refused.allowed, refused.rule) == (False, Rule.ROWS)


@pytest.mark.parametrize(
    "url",
    [
        f"data:text/csv;base64,{FILE}", f"data:text/csv;charset=utf-8,{quote(ROWS * 3)}", f"data:,{quote(ROWS * 3)}",
        f"data:text/html;base64,{FILE}", f"data:application/octet-stream;base64,{FILE}", f"DATA:Text/CSV;Base64,{FILE}",
        f"data:application/vnd.ms-excel;base64,{FILE}", f"data:image/png;base64,{FILE}",
        f"data:font/woff;base64,{FILE}", f"data:text/plain;charset=utf-8;name=x;base64,{FILE}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("extension", [".html", ".md"])
def test_an_embedded_file_that_is_no_picture_font_or_script_is_refused(url, extension):
    assert verdict(f'<a download="x" href="{url}">Download</a>', extension=extension).rule == Rule.UNREADABLE


def test_pictures_fonts_styles_and_scripts_may_be_embedded():
    urls = [
        f"data:image/png;base64,{PNG}", "data:image/jpeg;base64,/9j/" + "A" * 200,
        "data:font/woff2;base64,d09GMg" + "A" * 200,
        "data:text/css,body%20%7Bmargin%3A0%7D" * 20, "data:application/javascript;base64," + "dmFyIGEgPSAxOwog" * 30,
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg>" + b"<g/>" * 50 + b"</svg>").decode(),
        "data:image/svg+xml;utf8,%3Csvg%20viewBox%3D" + "%20" * 100,
    ]  # fmt: skip

    for url in urls:
        assert verdict(f'<img src="{url}">').allowed, url[:40]


@pytest.mark.parametrize("characters_before_the_cut", range(0, 60, 3))
def test_an_embedded_file_is_found_where_it_was_read_in_two_parts(characters_before_the_cut):
    padding = " " * (CHUNK_BYTES - 60 - characters_before_the_cut)

    assert verdict(f'{padding}<a href="data:text/csv;base64,{FILE}">x</a>').rule == Rule.UNREADABLE
    assert verdict(f'{padding}<img src="data:image/png;base64,{PNG}">').allowed


def test_what_stands_behind_an_embedded_picture_is_still_read():
    assert verdict(f'<img src="data:image/png;base64,{PNG}"><th>patient_id</th>').rule == Rule.IDENTIFIER_COLUMN


def test_data_in_a_script_must_be_well_formed():
    assert verdict(script('{"a": [1, 2}', "application/json")).rule == Rule.CONTENT_TYPE
    assert verdict(script(" \n", "application/json") + script("", "application/json")).allowed


def test_a_tag_of_endless_attributes_is_refused():
    assert verdict(f"<p {'a=1 ' * 1001}>").rule == Rule.UNREADABLE


def test_tags_whose_quotes_are_never_closed_are_given_up():
    assert verdict('<a b="' + "<p>text</p>\n" * 5).allowed
    assert verdict("<a b=\"'>" * 3 + "<th>patient_id</th>").rule == Rule.IDENTIFIER_COLUMN


@given(
    text=st.lists(
        st.sampled_from(
            ["<b>", "</b>", "<!--", "-->", "<script>", "</script>", "<", ">", '"', "'", "a", " ", "=", "</"]
        ),
        max_size=20,
    ),
    size=st.integers(1, 7),
)
def test_no_character_of_a_page_is_lost_wherever_it_is_cut(text, size):
    page = "".join(text)
    tokenizer = Tokenizer()
    tokens = [token for at in range(0, len(page), size) for token in tokenizer.feed(page[at : at + size])]
    tokens += tokenizer.close()

    whole = Tokenizer()
    expected = [*whole.feed(page), *whole.close()]
    assert _joined(tokens) == _joined(expected)


def _joined(tokens: list) -> list[tuple[str, str, str]]:
    joined: list[tuple[str, str, str]] = []
    for token in tokens:
        if joined and joined[-1][0] == token.kind and token.kind in ("text", "comment", "script"):
            joined[-1] = (token.kind, joined[-1][1] + token.text, "")
        elif token.text or token.name:
            joined.append((token.kind, token.text, token.name))
    return joined
