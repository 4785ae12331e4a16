"""Texts and names: the spellings of an identifier, printed tables of any shape, encoded files, long lines."""

import base64
import gzip
import hashlib
import io

import pytest

from runner.disclosure import Limits, Rule, Verdict, check

FEW = Limits(max_csv_rows=5)
FILE = "".join(f"{number},{number % 90},AB{number % 20}\n" for number in range(1001, 6000)).encode()
TEXTS = [".txt", ".log", ".md"]


def verdict(text: str, extension: str = ".csv", limits: Limits | None = None) -> Verdict:
    content = text.encode()
    return check(io.BytesIO(content), f"output/file{extension}", len(content), limits or Limits())


@pytest.mark.parametrize("extension", [".csv", *TEXTS])
@pytest.mark.parametrize(
    "name",
    [
        "patient_ids", "patient_identifier", "patient_identifiers", "PatientIdentifier", "patient_number", "patient_no",
        "Patient No.", "patient nr", "patient_num", "id_patient", "IDPatient", "identifier_patient", "id_patients",
        "patients_id", "patient's id", "patientid2", "patient_id_2", "patient id 2", "patient_ids_x",
        "patient_id_right", "patient_id_left", "patient.id.right", "patient/id", "patient id number", "Patient ID No.",
        "new_patient_id",
        "old patient id", "linked_patient_id", "index_patient_number",
    ],
)  # fmt: skip
def test_the_name_of_an_identifier_may_be_derived(name, extension):
    assert verdict(f"{name},age,sex\n1001,34,F\n", extension).rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize("extension", [".csv", *TEXTS])
@pytest.mark.parametrize(
    "name",
    [
        "n_patients", "patient_count", "patients", "Patient numbers", "number of patients", "no_patients",
        "num_patients", "covid patients", "patient_note", "patient_node", "patient_ideas", "patient_nose",
        "paid patients", "n_patient_ids", "has_patient_id", "new patients", "patient_id_rights", "renew_patient_idx",
    ],
)  # fmt: skip
def test_a_count_of_patients_is_no_identifier(name, extension):
    assert verdict(f"{name},age,sex\n1001,34,F\n", extension).allowed


@pytest.mark.parametrize(
    ("name", "refused", "allowed"),
    [
        ("nhs_number", ["nhs_number", "NHS No", "nhs_id", "nhs_numbers", "id_nhs"], ["nhs", "nhs_notes", "number"]),
        ("uid", ["uid", "UID", "uid_2"], ["id_u", "number"]),
        ("pseudonym", ["Pseudonym"], ["id_pseudonym", "pseudonym_no"]),
    ],
)
def test_names_are_derived_from_those_of_the_site(name, refused, allowed):
    limits = Limits(identifier_columns=(name,))

    passed = [each for each in refused + allowed if verdict(f"{each},n\n1,2\n", limits=limits).allowed]

    assert passed == allowed


TABLES = {
    "fixed width with a blank in a name": "Patient ID  age  postcode\n1001        34   AB1 2CD\n",
    "in colours": "\x1b[1mpatient_id\x1b[0m \x1b[1mage\x1b[0m\n1001 34\n",
    "in a comment": "/* patient_id,age */\n// patient_id,age\n1001,34\n",
    "quoted in a mail": "> patient_id,age\n> 1001,34\n",
    "bold in Markdown": "| **patient_id** | age |\n|---|---|\n| 1001 | 34 |\n",
    "printed by str() in R": "'data.frame':\n $ patient_id: int  1001 1002 1003 1004 ...\n",
    "printed by glimpse() in R": "Rows: 3\n$ patient_id <int> 1001, 1002, 1003\n",
    "text printed by glimpse()": '$ patient_id <chr> "A1", "A2", "A3"\n',
    "a line for each person": "".join(f"now working on patient_id={number} of them\n" for number in range(1001, 1200)),
    "lists of fields": "".join(f"patient_id: {number}\nage: 34\n\n" for number in range(1001, 1200)),
    "records in one line": str([{"patient_id": number, "age": 34} for number in range(1001, 1200)]),
}


@pytest.mark.parametrize("extension", TEXTS)
@pytest.mark.parametrize("name", TABLES)
def test_a_column_of_identifiers_is_refused_however_it_is_printed(name, extension):
    assert verdict(TABLES[name], extension).rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize(
    "text",
    [
        "Rows without patient_id: 17\n" * 50,
        "$ patient_id <int> dropped\n",
        "patient_id  1000.0  500.5  288.8\nage  1000.0  50.1  12.3\n",
        "The patient number was 1,230 before and 980 after.\n",
        "\x1b[32mjoined by patient_id\x1b[0m in 3 s\n",
    ],
)
def test_a_log_may_say_how_many_identifiers_there_were(text):
    assert verdict(text, ".log").allowed


ENCODED = {
    "base64 in a line": base64.b64encode(FILE).decode(),
    "base64 in lines": base64.encodebytes(FILE).decode(),
    "compressed": base64.b64encode(gzip.compress(FILE)).decode(),
    "hexadecimal": FILE.hex(),
    "data: URL": f"data:text/csv;base64,{base64.b64encode(FILE).decode()}",
    "in a quotation": "".join(f"> {line}\n" for line in base64.encodebytes(FILE).decode().splitlines()),
}


@pytest.mark.parametrize("extension", [".csv", *TEXTS])
@pytest.mark.parametrize("name", ENCODED)
def test_an_encoded_file_in_a_text_is_refused(name, extension):
    assert verdict(f"note\n{ENCODED[name]}\n", extension).rule == Rule.UNREADABLE


def test_digests_rulers_and_numbers_are_not_encoded_files():
    text = f"{'sha256:' + 'ab12' * 16}\n{'=-' * 2000}\n{'7' * 3000}\n" + f"{'0a1b' * 10}  output/a.csv\n" * 50

    assert verdict(text, ".log").allowed


DIGESTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(300)]
NAMES = [f"tmp_Out_date_covid_hospital_admission_2020_{number}_primary" for number in range(200)]


def test_lists_of_digests_and_long_names_are_no_encoded_files():
    assert verdict("\n".join(DIGESTS[:240]), ".log").allowed
    assert verdict("\n".join(NAMES), ".log").allowed
    assert verdict("variable\n" + "\n".join(NAMES)).allowed
    assert verdict("file,digest\n" + "\n".join(f"a.csv,{digest}" for digest in DIGESTS)).allowed


def test_hexadecimal_lines_beyond_a_list_of_digests_are_an_encoded_file():
    assert verdict("\n".join(DIGESTS), ".log").rule == Rule.UNREADABLE


@pytest.mark.parametrize("line", ["1001,34;" * 6, "1001 " * 6, "(1001, 34), " * 3, "1001\t" * 6])
@pytest.mark.parametrize("extension", TEXTS)
def test_a_line_has_no_more_values_than_a_table_may_have_rows(line, extension):
    assert verdict(f"All of them: {line}\n", extension, FEW).rule == Rule.ROWS


def test_html_in_markdown_is_read_as_html():
    assert verdict("# A\n\n<table><tr><th>patient<b>_</b>id</th></tr></table>\n", ".md").rule == Rule.IDENTIFIER_COLUMN
    assert verdict("# A\n\n" + "<div>1001 34</div>" * 7, ".md", FEW).rule == Rule.ROWS
    assert verdict("If a <b and c> d then `x <- y`; 5 < 6.\n" * 20, ".md").allowed
