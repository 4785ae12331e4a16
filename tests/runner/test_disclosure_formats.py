"""Texts, JSON and HTML: what is refused there, and that no format needs memory for the whole file."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.disclosure import Limits, Rule, Verdict, check
from runner.disclosure.reading import CHUNK_BYTES

FEW = Limits(max_csv_rows=5)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'


def verdict(content: str | bytes, extension: str, limits: Limits | None = None) -> Verdict:
    if isinstance(content, str):
        content = content.encode()
    return check(io.BytesIO(content), f"output/file{extension}", len(content), limits or Limits())


TABLES_IN_TEXT = {
    "CSV": "patient_id,age\n1,34\n",
    "CSV with quotes": '"age","Patient ID"\n34,1\n',
    "CSV below a title": "My cohort\n\npatient_id;age\n1;34\n",
    "tabs": "age\tpatient_id\tsex\n34\t1\tF\n",
    "Markdown table": "# Results\n\n| patient_id | age |\n|------------|-----|\n| 1          | 34  |\n",
    "printed by pandas": "   patient_id  age sex\n0        1001   34   F\n1        1002   35   M\n",
    "printed by R": "> head(df)\n  patient_id age\n1       1001  34\n2       1002  35\n",
    "printed in R Markdown": "##   patient_id age\n## 1       1001  34\n",
    "listed by Stata": "   +----------------+\n   | patient_id age |\n   |----------------|\n1. |       1001  34 |\n",
    "one column": "patient_id\n1001\n1002\n",
    "on its side": "age,34,35,36\npatient_id,1001,1002,1003\n",
    "quoted figures": '"patient_id","n"\n"1001","2"\n',
}


@pytest.mark.parametrize("extension", [".txt", ".log", ".md"])
@pytest.mark.parametrize("name", TABLES_IN_TEXT)
def test_a_column_of_identifiers_is_refused_in_a_text(name, extension):
    refused = verdict(TABLES_IN_TEXT[name], extension)

    assert (refused.allowed, refused.rule) == (False, Rule.IDENTIFIER_COLUMN)


@pytest.mark.parametrize(("start", "extension"), [("", ".txt"), ("<html>\n", ".html")])
def test_a_header_at_the_end_of_what_is_read_at_once_still_heads_the_figures(start, extension):
    filler = start + "A sentence.\n" * (CHUNK_BYTES // 12 - 4)
    header = "patient_id age\n"
    padding = "." * (CHUNK_BYTES - len(filler) - len(header) - 1) + "\n"

    refused = verdict(f"{filler}{padding}{header}1001 34\n", extension)

    assert refused.rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize(
    "text",
    [
        "Dropped 3 rows without patient_id.\nWrote 20 rows.\n",
        "columns: age, sex, patient_id\n1 column dropped, 2 kept\n",
        "Columns: ['patient_id', 'age', 'sex']\n",
        "patient_id     int64\nage            int64\nsex           object\n",
        " #   Column      Non-Null Count  Dtype\n 0   patient_id  10 non-null  int64\n 1   age  10 non-null  int64\n",
        '[1] "patient_id" "age"        "sex"\n[1] 3\n',
        "Key: patient_id\nRows: 1234\n",
        "patient_id\nage_2020\nsex\n",
        "select(\n  patient_id,\n  age,\n  bmi2\n)\n",
        "| variable | meaning |\n|---|---|\n| patient_id | pseudonym, never released |\n| age | in years |\n",
        "2024-01-01 12:00:00,123 INFO join on patient_id\n2024-01-01 12:00:01,456 INFO 1000 rows\n",
        "The `patient_id` column is dropped in `analysis/01_clean.R`; see patient_id, above.\n",
    ],
)
def test_a_text_may_mention_an_identifier(text):
    assert verdict(text, ".log").allowed


def test_a_text_with_more_records_than_a_csv_may_have_is_refused():
    for record in ("a{},M,2020-01-01", "{}", "{} 34 2.5 F", "{};x", "{}\tJane Doe", "| {} | F |"):
        at_limit = "".join(f"{record.format(number)}\n" for number in range(6))
        above = at_limit + record.format(7) + "\n"

        assert verdict(at_limit, ".txt", FEW).allowed, record
        assert verdict(above, ".txt", FEW).rule == Rule.ROWS, record


def test_long_prose_and_logs_are_no_tables():
    prose = "In 2020 the number of people with a first record fell, and it rose again in the year after.\n" * 50
    commas = "first of all, this is prose\n" * 50
    log = "2024-01-01 12:00:00,123 INFO finished the next step of the study\n2024-01-01 12:00:00,123 done\n" * 50
    rules = "|----|----|\n=====\n\n" * 50

    assert all(verdict(text, ".log", FEW).allowed for text in (prose, commas, log, rules))


@pytest.mark.parametrize("extension", [".txt", ".log", ".md", ".html", ".json"])
@pytest.mark.parametrize("content", [b"caf\xe9", b"a\x00b", "plain".encode("utf-16-le"), "plain".encode("utf-32")])
def test_every_text_type_must_be_unicode_text(extension, content):
    refused = verdict(b'<p>"' + content, extension)

    assert (refused.allowed, refused.rule) == (False, Rule.ENCODING)


@pytest.mark.parametrize(
    "document",
    [
        '[{"patient_id": 1}]', '{"a": {"Patient ID": [1, 2]}}', '{"columns": ["age", "patient_id"], "data": [[34, 1]]}',
        r'{"patient\u005fid": 1}', r'{"pati\u200bent_id": 1}', '{" patient_id ": 1}', '\ufeff{"patientId": 1}',
    ],
)  # fmt: skip
def test_an_identifier_is_refused_in_json(document):
    assert verdict(document, ".json").rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize(
    "document",
    ["[1, 2, 3, 4, 5, 6]", '{"age": {"0": 1, "1": 2, "2": 3, "3": 4, "4": 5, "5": 6}}', "[[[],[],[],[],[],[]]]"],
)
def test_json_with_more_members_than_a_csv_may_have_rows_is_refused(document):
    assert verdict(document, ".json", FEW).rule == Rule.ROWS


def test_json_with_too_many_values_in_all_is_refused():
    pairs = [[[0, 0]] * 5] * 5

    assert verdict(json.dumps([pairs] * 2), ".json", FEW).allowed
    assert verdict(json.dumps([pairs] * 3), ".json", FEW).rule == Rule.ROWS
    assert verdict(f"[{','.join(['[' * 150 + ']' * 150] * 4)}]", ".json", FEW).rule == Rule.ROWS


@pytest.mark.parametrize(
    "document",
    [
        "", "   ", "{", "[1,]", '{"a" 1}', '{"a":1,}', "[1 2]", '{"a"}', "{1: 2}", "nul", "01", "1.", "1 2", '"a\nb"',
        '"a', r'"\q"',
        "'a'", "a,b\n1,2\n", "<html>", '{"a":1}\n{"a":2}\n', "[" * 1000, "[" * 201 + "]" * 201, "]", ":", ",",
        "[}",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(document):
    assert verdict(document, ".json").rule == Rule.CONTENT_TYPE


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON_VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 2]))
def test_all_that_json_writes_is_read(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    assert verdict(text.encode("utf-8", "replace"), ".json").allowed


@given(
    text=st.lists(
        st.sampled_from(["[", "]", "{", "}", ",", ":", '"a"', "1", "-", ".5", "e3", "null", " "]), max_size=12
    )
)
def test_our_reader_and_pythons_agree_on_what_json_is(text):
    document = "".join(text)
    try:
        json.loads(document)
        expected = True
    except ValueError:
        expected = False

    assert verdict(document, ".json").allowed == expected


@pytest.mark.parametrize("characters_before_the_cut", range(45))
def test_a_token_that_was_read_in_two_parts_is_one_token(characters_before_the_cut):
    document = r'[-1.5e+3, 20.25, "a\u00e9\"b", true, null, []]'

    assert verdict(" " * (CHUNK_BYTES - characters_before_the_cut) + document, ".json").allowed


def test_a_token_longer_than_what_is_read_at_once_is_read_whole():
    document = json.dumps(
        {"picture": "data:image/png;base64,iVBORw0KGgo" + "QUJD" * 400_000, "number": 10**300, "end": [1, 2]}
    )

    assert verdict(document, ".json").allowed
    assert verdict(document[:-1], ".json").rule == Rule.CONTENT_TYPE


@pytest.mark.parametrize(
    "inside",
    [
        "<table><tr><th>patient_id</th><th>age</th></tr></table>",
        '<table><thead><tr><th class="x"><b> Patient ID </b></th></tr></thead></table>',
        "<table><tr><td>age</td><td>\npatient_id\n</td></tr></table>",
        "<TABLE><TR><TH>patient&#95;id</TH></TR></TABLE>",
        '<script>{"container":"<table><th>patient_id<\\/th></table>"}</script>',
        '<script>var data = {"patient_id": [1001, 1002]}</script>',
        '<script>[{\\"patient_id\\":1001}]</script>',
        "<pre><code>##   patient_id age\n## 1       1001  34\n</code></pre>",
        "<pre>\npatient_id,age\n1001,34\n</pre>",
    ],
)
def test_an_identifier_is_refused_in_the_table_of_a_report(inside):
    assert verdict(f"<html><body>{inside}</body></html>", ".html").rule == Rule.IDENTIFIER_COLUMN


def test_a_report_with_more_table_rows_than_a_csv_may_have_is_refused():
    at_limit, above = ("<table>" + "<tr><td>1</td></tr>" * count + "</table>" for count in (6, 7))

    assert verdict(at_limit, ".html", FEW).allowed
    assert verdict(above, ".html", FEW).rule == Rule.ROWS


@pytest.mark.parametrize("content", ["", "patient,age\n1,34\n", "{}", "< 5", "plain text <p>"])
def test_what_does_not_begin_as_html_is_refused(content):
    assert verdict(content, ".html").rule == Rule.CONTENT_TYPE


def test_a_report_may_mention_an_identifier_in_its_code():
    code = '<pre><code><span class="st">&quot;patient_id&quot;</span>: drop(patient_id), age</code></pre>'

    assert verdict(f"<!DOCTYPE html>\n<html>{code}<p>One row per patient_id.</p></html>", ".html").allowed


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        (".csv", "0.1234,0.4321,south\n" * 210_000),
        (".txt", "The study has one more sentence and no table at all.\n" * 80_000),
        (".json", json.dumps([["A long label of one of the points of a chart. " * 20] * 100] * 50)),
        (".html", "<html>" + f"<p>{'A paragraph of a report, without tables. ' * 50}</p>\n" * 2500),
        (".svg", SVG.format(f"<text>{'A long label of one of the points of a chart. ' * 20}</text>\n" * 5000)),
        (".jpg", b"\xff\xd8\xff\xda\0\2" + b"\0" * 5_000_000 + b"\xff\xd9"),
    ],
)  # fmt: skip
def test_memory_does_not_grow_with_the_file(extension, content):
    content = content if isinstance(content, bytes) else content.encode()
    file = io.BytesIO(content)
    tracemalloc.start()

    checked = check(file, f"file{extension}", len(content), Limits(max_csv_rows=10**7))

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert checked.allowed and len(content) > 4_000_000
    assert peak_bytes < 2_500_000
