"""CSV: a summary passes; one row (or column) per person, an identifier in any spelling, or any doubt does not."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.disclosure import Limits, Rule, Verdict, check

FEW = Limits(max_csv_rows=5)


def verdict(content: str | bytes, limits: Limits | None = None) -> Verdict:
    if isinstance(content, str):
        content = content.encode()
    return check(io.BytesIO(content), "output/table.csv", len(content), limits or Limits())


IDENTIFIED = {
    "plain": "patient_id,age\n1,34\n",
    "last column": "age,patient_id\n34,1\n",
    "upper case": "PATIENT_ID,age\n1,34\n",
    "mixed case": "Patient_ID,age\n1,34\n",
    "blanks around": "age, patient_id ,sex\n34,1,F\n",
    "quoted": '"patient_id","age"\n1,34\n',
    "quoted with blanks inside": '" patient_id ",age\n1,34\n',
    "single quotes": "'patient_id',age\n1,34\n",
    "byte order mark": "\ufeffpatient_id,age\n1,34\n",
    "byte order mark and quotes": '\ufeff"patient_id",age\n1,34\n',
    "two byte order marks": "\ufeff\ufeffpatient_id,age\n1,34\n",
    "semicolons": "patient_id;age\n1;34\n",
    "tabs": "age\tpatient_id\n34\t1\n",
    "bars": "age|patient_id|sex\n34|1|F\n",
    "colons": "age:patient_id\n34:1\n",
    "carets": "age^patient_id\n34^1\n",
    "blanks as delimiter": "age patient_id sex\n34 1 F\n",
    "only column": "patient_id\n1\n2\n",
    "no line end": "patient_id",
    "blank line first": "\n\npatient_id,age\n1,34\n",
    "title line first": "Table 1. Cohort\npatient_id,age\n1,34\n",
    "comment line first": "# made by study.R\npatient_id,age\n1,34\n",
    "commented header": "#patient_id,age\n1,34\n",
    "separator line of Excel": "sep=;\npatient_id;age\n1;34\n",
    "second table below": "sex,n\nF,10\nM,20\n\npatient_id,n\n1,2\n",
    "far below": "sex,n\n" + "F,10\n" * 4000 + "patient_id,n\n",
    "turned on its side": "age,34,35\npatient_id,1,2\n",
    "blank inside": "Patient ID,age\n1,34\n",
    "hyphen inside": "patient-id,age\n1,34\n",
    "full stop inside": "patient.id,age\n1,34\n",
    "nothing inside": "patientid,age\n1,34\n",
    "camel case": "age,patientId\n34,1\n",
    "no-break blank inside": "patient\u00a0id,age\n1,34\n",
    "no-break hyphen inside": "patient\u2011id,age\n1,34\n",
    "full width": "".join(chr(ord(letter) + 0xFEE0) for letter in "patient_id") + ",age\n1,34\n",
    "zero-width space inside": "pati\u200bent_id,age\n1,34\n",
    "soft hyphen inside": "pa\u00adtient_id,age\n1,34\n",
    "control character inside": "patient\x01_id,age\n1,34\n",
    "wrapped in quotes": 'age,"patient\nid"\n34,1\n',
    "after a merge in pandas": "patient_id_x,patient_id_y\n1,1\n",
    "after a merge in R": "patient_id.x,age\n1,34\n",
    "doubled in pandas": "age,patient_id.1\n34,1\n",
    "with its table": "patients.patient_id,age\n1,34\n",
    "old Mac line ends": "age,patient_id\r34,1\r",
    "Windows line ends": "age,patient_id\r\n34,1\r\n",
    "line separator": "sex,n\u2028patient_id,age\n",
    "formula": "=patient_id,age\n1,34\n",
    "hidden in a quoted cell": 'note,n\n"x\npatient_id,age\n1,34\n",2\n',
}


@pytest.mark.parametrize("name", IDENTIFIED)
def test_an_identifier_is_refused_however_and_wherever_it_is_written(name):
    refused = verdict(IDENTIFIED[name])

    assert (refused.allowed, refused.rule) == (False, Rule.IDENTIFIER_COLUMN)
    assert '"patient_id"' in refused.message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_an_identifier_is_refused_in_every_encoding(encoding):
    refused = verdict("age,patient_id\n34,1\n".encode(encoding))

    expected = Rule.ENCODING if encoding in ("utf-16-le", "utf-16-be") else Rule.IDENTIFIER_COLUMN
    assert (refused.allowed, refused.rule) == (False, expected)


def test_a_refused_identifier_is_found_by_its_line():
    assert "in line 4," in verdict("Title\n\n\npatient_id,n\n1,2\n").message


def test_an_identifier_at_any_place_of_a_big_file_is_found():
    line = "0.123456,0.654321,summary\n"
    content = line * 30_000 + "x,patient_id,y\n" + line * 10_000

    refused = verdict(content, Limits(max_csv_rows=10**6))

    assert refused.rule == Rule.IDENTIFIER_COLUMN
    assert "in line 30,001," in refused.message
    assert (refused.row_count, refused.col_count) == (40_000, 3)


@pytest.mark.parametrize(
    "header",
    [
        "n_patient_id,n", "patient_id_count,n", "patients,identified", "patient,id", "patient\tid",
        "inpatient_id_total,n", "patient_identifiable,n", "n patients,idx", "impatient,idle", "patient;id",
        "outpatient_ident,n",
    ],
)  # fmt: skip
def test_a_header_that_only_resembles_an_identifier_passes(header):
    assert verdict(f"{header}\n1,2\n").allowed


def test_a_site_chooses_its_identifiers():
    limits = Limits(identifier_columns=("nhs_number", "", "_", "C++ id"))

    assert verdict("patient_id,n\n1,2\n", limits).allowed
    assert verdict("NHS Number,n\n1,2\n", limits).rule == Rule.IDENTIFIER_COLUMN
    assert verdict("cid,n\n1,2\n", limits).rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize(
    "content",
    [
        b"name,n\ncaf\xe9,2\n",
        b"name,n\n\x93quoted\x94,2\n",
        b"name,n\n\xc3",
        b"name,n\nx\xff\xfe,2\n",
        b"a\x00,b\n1,2\n",
        b"a,b\n1,2\n" + b"\x00" * 600_000,
        "a,b\n1,2\n".encode("utf-16-le"),
        "a,b\n1,2\n".encode("utf-32"),
        b"\xff\xfea,b\n1",
        b"\xfe\xff\xd8\x00\x00a",
        b"a,b\n" + b"1,2\n" * 100_000 + b"\xe9\n",
    ],
)
def test_text_that_is_not_unicode_is_refused_with_the_way_to_save_it(content):
    refused = verdict(content, Limits(max_csv_rows=10**6))

    assert (refused.allowed, refused.rule) == (False, Rule.ENCODING)
    assert "UTF-8" in refused.message


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n"1,2\n3,4\n',
        'a,b\n"1"x,2\n',
        "a,b\n" + "x" * 131_073 + ",2\n",
        'a,b\n"' + "x\n" * 100_000 + '",2\n',
        "x" * 1_100_000,
        "," * 1_100_000,
    ],
)
def test_what_a_csv_reader_cannot_read_is_refused(content):
    refused = verdict(content, Limits(max_csv_rows=10**6))

    assert (refused.allowed, refused.rule) == (False, Rule.UNREADABLE)


@pytest.mark.parametrize("content", ["<html><table>", "<?xml version='1.0'?>", " \n<svg>", "<!DOCTYPE html>"])
def test_markup_is_not_a_csv(content):
    assert verdict(content).rule == Rule.CONTENT_TYPE


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\u2028", "\x1e", "\x0b"])
def test_rows_are_counted_whatever_ends_them(line_end):
    at_limit = line_end.join(["a,b"] + ["1,2"] * 5)
    above = line_end.join(["a,b"] + ["1,2"] * 6)

    allowed, refused = verdict(at_limit, FEW), verdict(above, FEW)

    assert (allowed.allowed, allowed.row_count, allowed.col_count) == (True, 5, 2)
    assert (refused.allowed, refused.rule, refused.row_count) == (False, Rule.ROWS, 6)
    assert "6 rows" in refused.message and "at most 5" in refused.message


def test_a_quoted_line_end_hides_no_row():
    refused = verdict('a,b\n"' + "1,2\n" * 8 + '",3\n', FEW)

    assert (refused.allowed, refused.rule) == (False, Rule.ROWS)


def test_blank_lines_are_no_rows():
    assert verdict("a,b\n\n1,2\n   \n\r\n" + "\n" * 100, FEW).row_count == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_turned_on_its_side_has_too_many_columns(delimiter):
    lines = [delimiter.join(["age", *["34"] * count]) for count in (4, 5)]

    assert verdict(lines[0] + "\n", FEW).allowed
    refused = verdict(lines[1] + "\n", FEW)

    assert (refused.allowed, refused.rule, refused.col_count) == (False, Rule.COLUMNS, 6)


def test_rows_behind_another_delimiter_are_seen():
    refused = verdict("a,b\n1,2\n3,4\n" + ";".join("56789ab") + "\n", FEW)

    assert (refused.allowed, refused.rule) == (False, Rule.COLUMNS)


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        ("", (0, 0)),
        ("a,b,c\n", (0, 3)),
        ("a;b\n1,5;2,5\n3,5;4,5\n", (2, 2)),
        ("a\tb\tc\n1\t2\t3\n", (1, 3)),
        ("Table 1, rounded\n\na;b;c\n1;2;3\n4;5;6\n", (3, 3)),
        ('a,b\n"x, y",2\n', (1, 2)),
        ("a,b\n1\n1,2,3\n", (2, 3)),
        ("a|b\n1|2\n", (1, 2)),
        ("total\n5\n", (1, 1)),
        ("\ufeffa,b\r\n1,2\r\n", (1, 2)),
    ],
)
def test_an_allowed_csv_has_its_rows_and_columns_recorded(content, shape):
    allowed = verdict(content)

    assert (allowed.rule, allowed.message) == (Rule.PASSED, "")
    assert (allowed.row_count, allowed.col_count) == shape


def test_utf16_with_its_mark_is_read():
    allowed = verdict("région,n\nÎle,10\n".encode("utf-16"))

    assert (allowed.allowed, allowed.row_count, allowed.col_count) == (True, 1, 2)


def test_a_formula_is_no_matter_of_disclosure():
    assert verdict("a,b\n=1+1,\"=cmd|'/C calc'!A0\"\n").allowed


CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=8
)


@given(table=st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=4), place=st.integers(0, 20))
def test_no_table_around_an_identifier_hides_it(table, place):
    rows = [*table, ["x", "y"]]
    row = rows[place % len(rows)]
    row[place % len(row)] = "patient_id"
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)

    assert not verdict(stream.getvalue()).allowed


def test_a_line_of_cells_that_only_blanks_part_is_refused():
    content = " ".join(f"{number} M" for number in range(1001, 1010)).encode()
    noted = b"a,b\n1," + b"a note of many words about it " * 40 + b"\n"

    assert check(io.BytesIO(content), "a.csv", len(content), Limits(max_csv_rows=5)).rule == Rule.COLUMNS
    assert check(io.BytesIO(noted), "a.csv", len(noted), Limits(max_csv_rows=5)).allowed
