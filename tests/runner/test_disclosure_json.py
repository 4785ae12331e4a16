"""JSON: tables in strings, encoded files, rows that are grouped, in whatever form."""

import base64
import gzip
import io
import json

import pytest

from runner.disclosure import Limits, Rule, Verdict, check

FEW = Limits(max_csv_rows=5)
TABLE = "".join(f"{number},34,M\n" for number in range(1001, 1010))
FILE = "".join(f"{number},{number % 90},AB{number % 20}\n" for number in range(1001, 6000)).encode()


def verdict(value: object, limits: Limits | None = None) -> Verdict:
    content = json.dumps(value).encode()
    return check(io.BytesIO(content), "output/summary.json", len(content), limits or Limits())


@pytest.mark.parametrize(
    "value",
    [
        {"table": "patient_id,age\n1001,34\n"}, {"patient_id,age\n1001,34\n": 1}, {"header": "patient_id,age,sex"},
        {"header": "age;sex;Patient ID"}, {"header": "age\tpatient_id"}, ["patient_id | age"], {"patient_ids": [1]},
        {"inner": json.dumps([{"patient_id": 1}])}, {"inner": json.dumps({"x": json.dumps({"patient_id": 1})})},
        {"html": "<table><tr><th>patient_id</th></tr></table>"}, {"printed": "   patient_id  age\n0  1001   34\n"},
    ],
)  # fmt: skip
def test_an_identifier_in_a_table_in_a_string_is_refused(value):
    assert verdict(value).rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize(
    "value",
    [
        {"note": "one row per patient_id, dropped before the release"}, {"note": "joined by patient_id"},
        {"n_patients": 5, "patient_count": 5, "patients": 5, "patient_numbers": 5}, {"note": "[not JSON"},
        {"title": "Rates\nper 1,000\n"}, {"ci": "0.5, 0.7"}, {"sha256": "ab12" * 16},
    ],
)  # fmt: skip
def test_a_string_may_say_what_it_likes(value):
    assert verdict(value, FEW).allowed


@pytest.mark.parametrize(
    "value",
    [
        {"table": TABLE}, {"a": TABLE[:40], "b": TABLE[40:]}, {"inner": json.dumps([1, 2, 3, 4, 5, 6])},
        {"html": "<table>" + "<tr><td>1</td></tr>" * 7 + "</table>"},
    ],
)  # fmt: skip
def test_rows_in_strings_are_counted(value):
    assert verdict(value, FEW).rule == Rule.ROWS


@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(FILE).decode(), base64.urlsafe_b64encode(gzip.compress(FILE)).decode(), FILE.hex(),
        base64.encodebytes(FILE).decode(), f"data:text/csv;base64,{base64.b64encode(FILE).decode()}",
        f"data:image/png;base64,{base64.b64encode(FILE).decode()}",
    ],
)  # fmt: skip
def test_a_file_in_a_string_is_refused(encoded):
    assert verdict({"file": encoded}).rule == Rule.UNREADABLE


ROWS = {
    "records in groups": {"a": [{"n": 1, "m": 2}] * 3, "b": [{"n": 1, "m": 2}] * 3},
    "lists in groups": {"a": [[1, 2, 3, 4]] * 3, "b": [[1, 2, 3, 4]] * 3},
    "short lists under keys": {
        "a": {"1001": [3, 4], "1002": [3, 4], "1003": [5, 6]},
        "b": {str(n): [3] for n in range(3)},
    },
    "objects under keys": {"a": {str(n): {"age": 34} for n in range(3)}, "b": {str(n): {"age": 34} for n in range(3)}},
    "records beside a value": {"n": 6, "data": {"a": [{"n": 1, "m": 2}] * 3, "b": [{"n": 1, "m": 2}] * 3}},
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_counted_however_they_are_grouped(name):
    value = ROWS[name]

    assert verdict(value, Limits(max_csv_rows=6)).allowed
    assert verdict(value, FEW).rule == Rule.ROWS


def test_intervals_and_coordinates_are_no_rows():
    estimates = [{"rate": 0.1, "ci": [0.0, 0.2], "range": [0, 1]}] * 5
    outline = [[number, number] for number in range(5)]

    assert verdict({"estimates": estimates}, FEW).allowed
    assert verdict({"shapes": [[outline] * 2] * 5}, FEW).allowed


@pytest.mark.parametrize(("dtype", "size"), [("f8", 8), ("<i4", 4), ("i1", 1)])
def test_numbers_that_plotly_encodes_are_counted(dtype, size):
    def trace(numbers: int) -> dict:
        return {"x": {"dtype": dtype, "bdata": base64.b64encode(bytes(numbers * size)).decode()}}

    assert verdict(trace(3000), Limits(max_csv_rows=3000)).allowed
    assert verdict(trace(3100), Limits(max_csv_rows=3000)).rule == Rule.ROWS
