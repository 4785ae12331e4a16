"""All faults of a project.yaml are told at once, in the order of lines, and a single one in the words it always had."""

import time

import pytest

from jobs.project import ProjectError, load_project
from jobs.study.actions import MOST_OUTPUTS
from jobs.study.errors import MOST_FAULTS, MOST_MESSAGE_BYTES

BROKEN = """\
version: '4.0'
expectations: {population_size: 3}
actions:
  extract:
    run: python:v2 python extract.py
    outputs:
      highly-sensitive:
        rows: output/rows.csv
  table:
    run: python:v2 python "table.py
    need: [extract]
    outputs:
      highly_sensitive:
        table: /output/table.csv
        fine: output/fine.csv
        folder: output/folder/
  report!:
    needs: [extrakt, table, null]
  plot: 7
  last:
    run: python
    needs: report!
    config: {day: 2024-01-01}
    dummy_data_file: "a\\tb"
    outputs: output/plot.png
"""


def faults(text: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        load_project(text)
    return list(caught.value.lines[1:]) or [str(caught.value)]


def study(actions: str, version: str = "5.0") -> str:
    return f"version: '{version}'\nactions:\n{actions}"


def test_every_fault_is_told_with_line_and_action_in_the_order_of_lines():
    told = [fault.partition(": ") for fault in faults(BROKEN)]
    assert [(place, " ".join(problem.split()[:6])) for place, _, problem in told] == [
        ("line 2", "the `expectations` section is not supported"),
        ("line 7, action 'extract'", "'highly-sensitive' is not a privacy level:"),
        ("line 10, action 'table'", "`run` cannot be split into words:"),
        ("line 11, action 'table'", "has an unknown entry 'need': only"),
        ("line 14, action 'table'", "output path '/output/table.csv' is an absolute"),
        ("line 16, action 'table'", "output path 'output/folder/' looks like a"),
        ("line 17", "'report!' is not a valid name"),
        ("line 17, action 'report!'", "has no `run`."),
        ("line 17, action 'report!'", "has no `outputs`."),
        ("line 18, action 'report!'", "`needs` lists unknown action 'extrakt'. Did"),
        ("line 18, action 'report!'", "`needs` holds 'empty', which is not"),
        ("line 19, action 'plot'", "must be a dictionary with `run`"),
        ("line 21, action 'last'", "'python' in `run` must have a"),
        ("line 22, action 'last'", "`needs` must be a list, like"),
        ("line 23, action 'last'", "`config` holds a value that JSON"),
        ("line 24, action 'last'", "`dummy_data_file` contains a control character: remove"),
        ("line 25, action 'last'", "`outputs` must be a dictionary of"),
    ]


def test_the_sentence_for_one_line_holds_what_fits_and_counts_the_rest():
    with pytest.raises(ProjectError) as caught:
        load_project(BROKEN)
    message = str(caught.value)
    assert message.startswith("project.yaml has 17 faults: line 2: the `expectations` section")
    assert len(message.encode()) <= MOST_MESSAGE_BYTES
    told = sum(message.count(line) for line in caught.value.lines[1:])
    assert message.endswith(f" And {17 - told} more.")
    assert 3 < told < 17


def test_more_faults_than_anybody_reads_are_counted():
    lines = faults(study("".join(f"  a{n}: {n}\n" for n in range(50))))
    assert len(lines) == MOST_FAULTS + 1
    assert lines[0].startswith("line 3, action 'a0'") and lines[-1] == "And 30 more."


def test_a_file_with_no_end_of_faults_is_not_read_to_its_end():
    with pytest.raises(ProjectError, match="has at least 1000 faults"):
        load_project(study("".join(f"  a{n}: {n}\n" for n in range(5000))))


def test_broken_yaml_is_told_alone():
    assert faults(BROKEN + "actions: [\n")[0].startswith("project.yaml line")


def test_a_wrong_version_does_not_hide_the_other_faults_nor_invent_some():
    """Whose rules count is not known then, so only what no version allows is told."""
    actions = "  a: {run: 'cohortextractor:latest x', outputs: {highly_sensitive: {x: /x.csv}}, more: 1}\n"
    told = faults(study(actions, version="six"))
    assert [fault.partition(":")[0] for fault in told] == ["line 1", "line 3, action 'a'"]


def test_an_action_with_faults_is_known_to_those_that_need_it():
    actions = "  a:\n  b c!: 1\n  d: {run: 'r:v1 x', needs: [a, b c!], outputs: {highly_sensitive: {x: x.csv}}}\n"
    assert not any("unknown action" in fault for fault in faults(study(actions)))


def test_a_cycle_is_told_beside_other_faults():
    actions = (
        "  a: {run: 'r:v1 a', needs: [b], outputs: {highly_sensitive: {x: /a.csv}}}\n"
        "  b: {run: 'r:v1 b', needs: [a], outputs: {highly_sensitive: {x: b.csv}}}\n"
    )
    assert [fault.partition(": ")[2][:20] for fault in faults(study(actions))] == [
        "output path '/a.csv'",
        "`needs` form a cycle",
    ]


def test_below_version_4_only_what_the_laxer_validator_refuses_has_to_be_mended():
    """Two refusals of the older one are told, the newer one's is not: the file is accepted without those two."""
    actions = (
        "  a: {run: 'python:v1 a', outputs: {moderately_sensitive: {x: a.rds}}}\n"
        "  b: {run: 'python:v2 a', outputs: {highly_sensitive: {x: b.csv}}}\n"
        "  c: {run: 'python:v3 a', outputs: {highly_sensitive: {x: c.csv}}}\n"
    )
    told = faults(study(actions, version="2.0"))
    assert ["same image and arguments" in fault for fault in told] == [True, True]


def entry(name: str, needs: str = "") -> str:
    return f"  {name}: {{run: 'r:v1 {name}', outputs: {{highly_sensitive: {{x: {name}.csv}}}}, needs: [{needs}]}}\n"


# A number of faults -> a file with them. The last: each nearly the name of a thousand others.
MANY_FAULTS = {
    "needs": lambda number: entry("a", needs=",".join(f"b{n}" for n in range(number))),
    "entries": lambda number: "".join(f"  a{n}: {{x: 1}}\n" for n in range(number)),
    "names": lambda number: "".join(f"  -{n}: 1\n" for n in range(number)),
    "hints": lambda number: (
        "".join(entry(f"a_name_{n}") for n in range(number // 25))
        + entry("b", needs=",a_nam_".join(map(str, range(number // 50))))
    ),
}


def seconds_for(actions: str) -> float:
    started = time.process_time()
    faults(study(actions))
    return time.process_time() - started


@pytest.mark.slow_test
@pytest.mark.parametrize("actions", MANY_FAULTS.values(), ids=MANY_FAULTS)
def test_four_times_the_faults_take_about_four_times_as_long(actions):
    few, many = actions(12_500), actions(50_000)

    once = min(seconds_for(few) for _ in range(2))

    # Quadratic would be sixteen times; short times are mostly noise.
    assert seconds_for(many) < 9 * once + 0.2


@pytest.mark.parametrize(("first", "second"), [("2020", "'2020'"), ("~", "None"), ("true", "'True'"), ("0x10", "'16'")])
def test_two_outputs_whose_names_differ_only_in_their_kind_are_refused(first, second):
    outputs = f"    outputs:\n      highly_sensitive:\n        {first}: a.csv\n        {second}: b.csv\n"
    name = f"'{second}'" if second == "None" else second
    [fault] = faults(study("  extract:\n    run: r:v1 a.R\n" + outputs))
    assert fault.startswith(f"project.yaml line 8, action 'extract': the output {name} is there twice")
    assert "it stands at line 7 too" in fault


def of_outputs(number: int, path: str) -> str:
    """An action of so many outputs; {n} in the path is the output's number."""
    outputs = "".join(f"        o{n}: {path.format(n=n)}\n" for n in range(number))
    return study("  a:\n    run: r:v1 a.R\n    outputs:\n      highly_sensitive:\n" + outputs)


def test_more_outputs_than_a_study_may_have_are_refused_once():
    text = of_outputs(MOST_OUTPUTS, "x{n}.csv").replace("o7: ", "o7: /") + "      moderately_sensitive: {o: b.csv}\n"
    [_, fault] = faults(text)
    assert "names more than 50,000 outputs" in fault


def test_wildcards_that_are_all_different_take_no_longer_than_equal_ones():
    def seconds(number):
        started = time.process_time()
        load_project(of_outputs(2000, f"'*m*e*t*a*d*a*t*a*{number}/{{n}}.csv'"))
        return time.process_time() - started

    equal = min(seconds("x") for _ in range(2))

    assert seconds("x{n}") < 3 * equal + 0.1
