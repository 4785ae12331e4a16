"""HTML: what stands in attributes, declarations, templates and charts is read and counted like what a page shows."""

import io

import pytest

from runner.disclosure import Limits, Rule, Verdict, check

FEW = Limits(max_csv_rows=30)
PEOPLE = [(100000 + n, "MF"[n % 2]) for n in range(100)]
TABLE = "patient_id,sex\n" + "".join(f"{id},{sex}\n" for id, sex in PEOPLE)
QUOTED = '"patient_id","sex"\n' + "".join(f'"{id}","{sex}"\n' for id, sex in PEOPLE)


def verdict(inside: str, extension: str = ".html", limits: Limits = FEW) -> Verdict:
    content = f"<!DOCTYPE html>\n<html><body>{inside}</body></html>".encode()
    return check(io.BytesIO(content), f"output/report{extension}", len(content), limits)


def each(form: str) -> str:
    return "".join(form.format(id=id, sex=sex) for id, sex in PEOPLE)


FILES = {
    "in single quotes": f"<a download='d.csv' href='data:text/csv,{QUOTED}'>x</a>",
    "in double quotes": f"<a href=\"data:text/csv,'{TABLE}'\">x</a>",
    "behind a blank": f"<a href=' data:text/csv,{QUOTED}'>x</a>",
    "behind a backslash": f"<a href='data:text/csv,\\{TABLE}'>x</a>",
    "of no type": f"<a href='data:,{QUOTED}'>x</a>",
    "of a strange type": f"<a href='data:x/y,{QUOTED}'>x</a>",
    "without quotes": f"<a href=data:text/csv,{TABLE.strip().replace(chr(10), '%0A')}>x</a>",
    "in a script": f"<script>save('data:text/csv,{QUOTED.replace(chr(10), '%0A')}')</script>",
    "of Markdown": f"[x](data:text/csv,{QUOTED.replace(chr(10), '%0A')})",
    "as a picture": f"<img src='data:image/png,{QUOTED}'>",
    "as an icon": f"<img src='data:image/svg+xml,<svg>{'a' * 20_000}</svg>'>",
}


@pytest.mark.parametrize("extension", [".html", ".md"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_behind_a_link_is_refused_whatever_quotes_are_in_it(name, extension):
    assert verdict(FILES[name], extension, Limits()).rule == Rule.UNREADABLE


@pytest.mark.parametrize("name", ["in single quotes", "in double quotes", "of Markdown"])
def test_a_file_in_a_link_in_a_text_is_refused_too(name):
    assert verdict(FILES[name], ".txt", Limits()).rule == Rule.UNREADABLE


@pytest.mark.parametrize(
    "inside",
    [
        "<script>a.href = 'data:text/csv;charset=utf-8,' + encodeURIComponent(rows.join('\\n')) + '"
        + "something long behind it, that has nothing to do with it at all, for a hundred characters'</script>",
        '<script>b=\'<a href="data:text/csv,\'+c(d)+\'" download>\'' + ";f()" * 60 + "</script>",
        "<script>a = `data:text/csv;charset=utf-8,${encodeURIComponent(csv)}`" + ";f()" * 60 + "</script>",
        "<img src=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E" + "%3Cg/%3E" * 25 + '%3C/svg%3E">',
        "<div x-data='data: {a: 1}'></div>",
    ],
)  # fmt: skip
def test_a_script_may_make_a_file_and_a_page_may_have_icons(inside):
    assert verdict(inside, limits=Limits()).allowed


@pytest.mark.parametrize(
    "inside",
    [
        f"<!{TABLE}>", f"<?{TABLE}?>", f"<![CDATA[{TABLE}]]>", f"<svg><text><![CDATA[{TABLE}]]></text></svg>",
        f"<script type='text/template'><table><tr><th>patient_id</th></tr></table>{'x' * 70_000}</script>",
        f"<script type='text/x-handlebars-template'>{TABLE}</script>",
        f'<a href="javascript:dl(\'{TABLE.replace(chr(10), "%5Cn")}\')">x</a>', f'<p class="{TABLE}">x</p>',
        f'<a href="mailto:?body={TABLE.replace(chr(10), "%0A")}">x</a>', "<i data-patient-id='1001'>x</i>",
        "<i patient_id=1001>x</i>",
    ],
)  # fmt: skip
@pytest.mark.parametrize("extension", [".html", ".md"])
def test_an_identifier_is_read_in_declarations_templates_and_attributes(inside, extension):
    assert verdict(inside, extension, Limits()).rule == Rule.IDENTIFIER_COLUMN


ROWS = {
    "declarations": each("<!{id} {sex}>"),
    "an entity": f'<!DOCTYPE html [<!ENTITY d "{TABLE}">]>',
    "an instruction": f'<?xml version="1.0"?><?data {TABLE}?>',
    "instructions": each("<?{id} {sex}?>"),
    "character data": f"<![CDATA[{each('{id} {sex}#').replace('#', chr(10))}]]>",
    "a template": f"<script type='text/x-handlebars-template'>{each('<p>{id} {sex}</p>')}</script>",
    "elements": each("<i data-person='{id}' data-sex='{sex}'>x</i>"),
    "fields": each("<input type=hidden value='{id}'>"),
    "letters": each("<input type=hidden value='{sex}'>"),
    "options": each("<option value='{id}'>{sex}"),
    "titles": each("<span title='{id} {sex}'></span>"),
    "names": each("<p{id}>{sex}</p{id}>"),
    "attributes without values": each("<a {id} {sex}>x</a>"),
    "ends of tags": each("</p {id} {sex}>"),
    "cells": f"<table><tr>{each('<td data-a={id}>x</td>') * 4}</tr></table>",
    "styles": each("<b style='a" + "b" * 200 + " {id}'>{sex}</b>"),
}


@pytest.mark.parametrize("extension", [".html", ".md"])
@pytest.mark.parametrize("name", ROWS)
def test_a_record_in_each_tag_is_a_row(name, extension):
    assert verdict(ROWS[name], extension).rule == Rule.ROWS


CIRCLES = each("<circle r='{id}'/>")
CHARTS = {
    "a path of many pens": f"<path d='{each('M {id} 1 h0 ')}'/>",
    "a chart in the chart": f"<svg></svg>{CIRCLES}",
    "empty charts": each("<circle r='{id}'/><svg/>"),
    "a text": f"<text>{each('{id},{sex};')}</text>",
    "a description": f"<desc>{each('{id} {sex} ')}</desc>",
    "metadata": f"<metadata>{each('{id} {sex}|')}</metadata>",
    "titles": each("<g><title>{id} {sex}</title></g>"),
    "groups": each("<g transform='translate({id},1)'></g>"),
    "stops": each("<stop offset='{id}'/>"),
    "an attribute": f"<g data-x='{each('{id},{sex};')}'/>",
    "foreign elements": f"<foreignObject>{each('<p>{id} {sex}</p>')}</foreignObject>",
    "spans": f"<text>{each('<tspan>{id} {sex}</tspan>')}</text>",
    "many places": f"<animate values='{each('{id} ') * 4}'/>",
}


@pytest.mark.parametrize("extension", [".html", ".md", ".svg"])
@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_in_a_page_is_judged_like_an_svg(name, extension):
    chart = f"<svg xmlns='http://www.w3.org/2000/svg'>{CHARTS[name]}</svg>"
    content = chart.encode()
    alone = check(io.BytesIO(content), "a.svg", len(content), FEW)

    assert (verdict(chart, extension) if extension != ".svg" else alone).rule in (Rule.ROWS, Rule.ACTIVE_CONTENT)


def test_a_curve_in_a_page_is_one_mark_and_each_chart_has_its_own():
    curve = f"<path d='M0 0 {each('L {id} 1 ')}'/><polyline points='{each('{id},1 ')}'/>"
    page = f"<svg>{curve}{'<circle/>' * 20}</svg><p>Next</p>" * 20

    assert verdict(page).allowed
    assert verdict("<svg><g/></svg>" * 31).rule == Rule.ROWS


def test_what_says_how_a_tag_looks_is_no_record():
    cell = (
        '<td id="T_1_row0_col0" class="data row0" style="width: 10px" colspan=2 rowspan="1" data-line-number="3">x</td>'
    )
    line = '<span id="cb1-1"><a href="#cb1-1" aria-hidden="true" tabindex="-1"></a>x</span><img width="672" height=480>'

    assert verdict(f"<table>{f'<tr>{cell * 10}</tr>' * 20}</table>{line * 300}").allowed
