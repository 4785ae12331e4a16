"""Tables and lists in texts, whatever parts their cells, and the honest logs beside them."""

import io
import json

import pytest

from runner.disclosure import Limits, Rule, Verdict, check

FEW = Limits(max_csv_rows=30)
REGIONS = ("North East", "London", "South West")
PEOPLE = [(100000 + n, "MF"[n % 2], REGIONS[n % 3], ("White", "Asian", "Black")[n % 7 % 3]) for n in range(100)]
TEXTS = [".txt", ".log", ".md"]


def verdict(text: str, extension: str = ".log", limits: Limits = FEW) -> Verdict:
    content = text.encode()
    return check(io.BytesIO(content), f"output/file{extension}", len(content), limits)


def lines(form: str) -> str:
    return "".join(form.format(id=id, sex=sex, region=region, eth=eth) for id, sex, region, eth in PEOPLE)


TABLES = {
    "two words": lines("{id} {sex}\n"),
    "written by write.table() in R": '"person" "sex" "region"\n' + lines('"{id}" "{sex}" "{region}"\n'),
    "fixed width": lines("{id:<10}{sex:<10}{region:<15}{eth:<10}\n"),
    "printed by pandas": lines("{id:>8}  {sex:>2} {region:>11} {eth:>9}\n"),
    "dictionaries": lines("{{'person': {id}, 'sex': '{sex}', 'region': '{region}'}}\n"),
    "fields": lines("person={id} sex={sex} region={region} eth={eth}\n"),
    "sentences": lines("- Person {id} lives in {region} and is {eth}\n"),
    "a logger": lines("2024-01-01 10:00:00,123 INFO processing person {id} sex {sex} region {region}\n"),
    "several lines for each": lines("Reading the record\nperson {id} of them all, who is {sex}\nDone\n"),
    "the figure last": lines("{sex} {region} {eth} asthma {id}\n"),
}


@pytest.mark.parametrize("extension", TEXTS)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_needs_no_delimiter(name, extension):
    assert verdict(TABLES[name], extension).rule == Rule.ROWS


@pytest.mark.parametrize("name", TABLES)
def test_nor_in_a_report_or_in_a_string_of_json(name):
    assert verdict(f"<html><pre>\n{TABLES[name]}</pre></html>", ".html").rule == Rule.ROWS
    assert verdict(json.dumps({"log": TABLES[name]}), ".json").rule == Rule.ROWS


@pytest.mark.parametrize(
    "form",
    [
        "<p>{id} {sex}</p>", "<li>Person {id} lives in {region} and is {eth}</li>", "<dt>Person {id}<dd>{sex} {eth}",
        "<details><p>{sex} {region} {eth} {id}</p></details>",
    ],
)  # fmt: skip
def test_lines_of_a_report_are_rows_too(form):
    assert verdict("<html>" + lines(form) + "</html>", ".html").rule == Rule.ROWS


WORDS = ["M White", "F Asian", "M Black", "F Mixed", "M Asian", "F White", "F Black"]
MANY = [WORDS[n * n * 31 % 97 % 7] for n in range(12_000)]


@pytest.mark.parametrize("extension", TEXTS)
@pytest.mark.parametrize(
    "before",
    ["", "The participants of this study are these:\n", "".join(f"{a} {b} said\n" for a in WORDS for b in WORDS)],
)
def test_a_table_needs_no_figures_if_its_lines_are_few_different_ones(extension, before):
    assert verdict(before + "\n".join(MANY), extension, Limits()).rule == Rule.ROWS
    assert verdict(before + "\n".join(MANY[:4000]), extension, Limits()).allowed


@pytest.mark.parametrize("form", ["<p>{}</p>", "<li>{}</li>"])
def test_nor_in_a_report(form):
    assert verdict("<html>" + "\n".join(map(form.format, MANY)), ".html", Limits()).rule == Rule.ROWS


def test_prose_and_steps_of_a_log_are_no_rows():
    letters = [chr(97 + n) for n in range(26)]
    prose = "".join(f"{a}{b} went {c}{a} twice\n" for a in letters for b in letters for c in letters)
    steps = "2024-01-01 10:00:00 INFO model {}\n"

    assert verdict(prose, limits=Limits()).allowed
    assert verdict((steps.format("begins") + steps.format("ends")) * 10_000, limits=Limits()).allowed
    assert verdict("M White\n" * 10_000 + "F Asian\n" * 10_000, limits=Limits()).allowed


NUMBERS = [number for number, *_ in PEOPLE]


def wrapped(form: str, between: str, a_line: int = 10) -> str:
    places = range(0, len(NUMBERS), a_line)
    return "".join(form.format(at + 1, between.join(map(str, NUMBERS[at : at + a_line]))) for at in places)


LISTS = {
    "R": wrapped(" [{:>3}] {}\n", " "),
    "a list in R": '$patient_id\n [1] "A1" "A2" "A3"\n [4] "A4"\n',
    "a column in R": "> df$patient_id\n" + wrapped(" [{:>3}] {}\n", " "),
    "numpy": "patient_id:\n[" + wrapped(" {1}\n", " ") + "]\n",
    "Python": "patient_ids = [\n" + wrapped("{1},\n", ", ", 12) + "]\n",
    "one a line": "patient_ids = [\n" + wrapped("{1},\n", ", ", 1) + "]\n",
    "begun in the same line": "patient_ids = [" + wrapped("{1},\n", ", ") + "]\n",
    "printed in R": "> print(df$patient_id)\n" + wrapped(" [{:>3}] {}\n", " "),
    "long ones in R": "> print(df$patient_id)\n" + wrapped("[{}] {}\n", " ", 1),
    "printed in Python": "print(df['patient_id'])\n[" + wrapped(" {1}\n", " ", 3) + "]\n",
    "bare": "The patient_ids:\n\n" + wrapped("{1}\n", " ", 1),
    "a tuple": "The patient_ids:\n(" + wrapped("{1}", ", ", 100) + ")\n",
    "a tuple in lines": "The patient_ids:\n(" + wrapped("{1},\n", ", ", 2) + ")\n",
    "a call in R": "patient_id <- c(\n" + wrapped("{1},\n", ", ") + ")\n",
}


@pytest.mark.parametrize("extension", TEXTS)
@pytest.mark.parametrize("name", sorted(set(LISTS) - {"R"}))
def test_a_list_under_the_name_of_an_identifier_is_refused(name, extension):
    assert verdict(LISTS[name], extension, Limits()).rule == Rule.IDENTIFIER_COLUMN


@pytest.mark.parametrize("extension", TEXTS)
@pytest.mark.parametrize(
    "text",
    [
        LISTS["R"], wrapped("{1}\n", " "), wrapped("{1},\n", ", "), wrapped("{1},\n", ",", 4),
        "[" + wrapped(" {1}\n", " ", 4) + "]\n", "x = [\n" + wrapped("{1}\n", " ", 3) + "]\n",
        "x: [\n" + wrapped("{1}\n", ", ", 4) + "]\n",
    ],
)  # fmt: skip
def test_a_list_is_as_long_as_all_its_lines(text, extension):
    refused = verdict(f"These are all of them\n{text}", extension)

    assert refused.rule == Rule.ROWS
    assert "several lines" in refused.message


@pytest.mark.parametrize(
    "text",
    [
        "> n_distinct(df$patient_id)\n[1] 4000\n",
        "> range(df$patient_id)\n[1]    1 4000\n> nrow(df)\n[1] 12000\n",
        "> quantile(table(df$patient_id))\n  0%  25%  50%  75% 100%\n   1    1    2    3   17\n",
        "Rows without patient_id:\n17\nRows with age:\n3983\n",
        "rows were joined by patient_id\n\nMean of age: 51.2\n",
        "> table(table(df$patient_id))\n\n   1    2    3 \n9000  800  200 \n",
        "> table(table(df$patient_id))\n   1    2    3 \n9000  800  200 \n",
        "Merging on patient_id\n(10000, 12)\n(10000, 24)\n",
        "Records by patient_id\n\n1  9000\n2   800\n3   200\n",
        "Unique values of patient_id:\n2019 10234\n2020 10543\n",
        '[1] "joined by patient_id"\n[1] 4000\n[1] 3983\n[1] 17\n',
    ],
)
def test_a_log_may_say_how_many_there_are_below_the_name(text):
    assert verdict(text, limits=Limits()).allowed
    assert verdict(f"<html><pre>\n{text}</pre></html>", ".html", Limits()).allowed


def test_the_rows_of_a_matrix_are_no_list():
    matrix = "[[1 2 3 4]\n" + " [5 6 7 8]\n" * 20 + " [9 1 2 3]]\n"

    assert verdict(matrix).allowed
    assert verdict("[1 2 3 4]\n" + "5 6 7 8\n" * 20).allowed


def test_a_table_of_numbers_with_a_header_is_no_list():
    table = "year  a  b  c  d  e\n" + "".join(f"{year}  1  2  3  4  5\n" for year in range(2000, 2025))

    assert verdict(table).allowed


MODEL = """Call:
glm(formula = died ~ age + sex, family = binomial)

Coefficients:
             Estimate Std. Error z value Pr(>|z|)
(Intercept) -3.989979   1.139951  -3.500 0.000465 ***
age          0.002264   0.001094   2.070 0.038465 *
"""
SESSION = "".join(
    f"2024-03-01 10:00:{n % 60:02},123 [pid 4321] INFO step {n}: {('read', 'wrote', 'closed')[n % 3]} file {n}.csv\n"
    for n in range(3000)
)
HONEST = {
    "a model": MODEL + "".join(f"region{n:<6}  {n / 7:.6f}   {n / 9:.6f}  {n / 3:.3f} 0.000{n}\n" for n in range(60)),
    "a session": SESSION,
    "progress": "".join(f"Iteration {n}: log likelihood = -{n}.5\n" for n in range(4900)),
    "the same again": "2024-01-01 10:00:00,123 INFO read 100 rows\n" * 20_000,
    "words": "2024-01-01 10:00:00,123 INFO bootstrap sample finished\n" * 20_000,
    "prose": "The study began in 2019 and ended when funding did.\nAll of it was written down here.\n" * 200,
}


@pytest.mark.parametrize("extension", TEXTS)
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_log_passes(name, extension):
    assert verdict(HONEST[name], extension, Limits()).allowed


def test_a_log_with_more_lines_of_one_shape_than_a_table_may_have_rows_is_told_what_to_do():
    refused = verdict("".join(f"Iteration {n}: log likelihood = -{n}.5\n" for n in range(33)))

    assert refused.rule == Rule.ROWS
    assert "log each step, not each row" in refused.message
