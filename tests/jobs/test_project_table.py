"""The table of what the older validators do (project-yaml/requirements.md, rows A to K): one file each.

A row's verdict here is the rule of acceptance: either validator below version 4, the newer one alone from there on, and
a clear error where one crashed.
"""

import pytest

from jobs.project import ProjectError, load_project

ACCEPTED = "accepted"
# Accepted because of the older validator only: a warning must hold these words.
WARNED = "accepted with a warning"


def a_file(actions="", *, version="3.0", head="expectations:\n  population_size: 1000\n"):
    head = head if float(version) < 4 else ""
    return f"version: '{version}'\n{head}actions:\n{actions}"


def an_action(run="python:v2 python a.py", outputs="highly_sensitive: {o: out/a.csv}", extra="", name="a1"):
    return f"  {name}:\n    run: {run}\n    outputs: {{{outputs}}}\n{extra}"


def a_study(run="python:v2 python a.py", outputs="highly_sensitive: {o: out/a.csv}", extra="", version="3.0"):
    return a_file(an_action(run, outputs, extra), version=version)


def with_path(path, level="highly_sensitive", version="3.0"):
    return a_study(outputs=f"{level}: {{o: '{path}'}}", version=version)


def expecting(section, version="3.0"):
    return a_file(an_action(), version=version, head=section)


TWO = an_action() + an_action("python:v2 python b.py", "highly_sensitive: {o: out/b.csv}", name="a2")
COHORT = "cohortextractor:latest generate_cohort"
DATASET = "ehrql:v1 generate-dataset d.py"


def dataset(option, path, version="4.0"):
    return a_study(f"{DATASET} --output {option}", f"highly_sensitive: {{o: '{path}'}}", version=version)


def two_runs(first, second, extra="", version="3.0"):
    second = an_action(second, "highly_sensitive: {o: out/b.csv}", extra, name="a2")
    return a_file(an_action(first) + second, version=version)


def needing(needs, version="3.0"):
    third = an_action("python:v2 c.py", "highly_sensitive: {o: out/c.csv}", f"    needs: {needs}\n", name="a3")
    return a_file(TWO + third, version=version)


ROWS = [
    ("A1", "version: '3.0'\nactions:\n  k: 1\n  k: 2\n", "line 4: the key 'k' is there twice"),
    ("A2", a_study(), ACCEPTED),
    ("A3", "version: '3.0'\n  actions:\n", "line 2: is not valid YAML"),
    ("A4", "", "must be a dictionary"),
    ("A5", "- a\n- b\n", "must be a dictionary"),
    ("B1", "actions: {}\n", "`version` is missing"),
    ("B1b", "version:\nactions: {}\n", "`version` is missing"),
    ("B2", "version: three\nactions: {}\n", "must be a number between 1 and 5"),
    ("B3", a_study(version="6.0"), "the newest is 5"),
    ("B4", a_study(version="4.0"), ACCEPTED),
    ("B5", "version: 5.0\nactions: {}\n", ACCEPTED),
    ("B5 whole", "version: 5\nactions: {}\n", ACCEPTED),
    ("B6", a_study(version="3.5"), ACCEPTED),
    ("B7", a_study(version="0.5"), ACCEPTED),
    ("B8", a_study(version="1"), (WARNED, "version 1 of the format is an old one")),
    ("C1", expecting("expectations: {}\n", "2"), ACCEPTED),
    ("C2", expecting(""), "an `expectations` section is missing"),
    ("C2 3.5", expecting("", "3.5"), ACCEPTED),
    ("C3", expecting("expectations: {other: 1}\n"), "has no `population_size`"),
    ("C4", expecting("expectations: {population_size: test}\n"), "must be a number"),
    ("C5", "version: '4.0'\nexpectations: {population_size: 1}\nactions: {}\n", "not supported from version 4"),
    ("C6", expecting("expectations: [1]\n"), "must be a dictionary"),
    ("C7", expecting("expectations: {population_size: 1, extra: 2}\n"), (WARNED, "unknown entry 'extra'")),
    ("C8", expecting("expectations: {population_size: null}\n"), "must be a number, but is empty"),
    ("D1", a_study() + "extra: 1\n", (WARNED, "unknown entry 'extra'")),
    ("D1 v4", a_study(version="4") + "extra: 1\n", "unknown entry 'extra'"),
    ("D2", "version: '2'\n", "`actions` must be a dictionary"),
    ("D2b", "version: '2'\nactions: []\n", "`actions` must be a dictionary"),
    ("D2c", "version: '2'\nactions: {}\n", ACCEPTED),
    ("D3", a_file("  a1:\n"), "action 'a1': must be a dictionary"),
    ("D3b", a_file("  a1: {}\n"), "action 'a1': has no `run`"),
    ("D4", a_file("  a1: {run: 'r:v1'}\n"), "action 'a1': has no `outputs`"),
    ("D5", a_study(extra="    extra: 1\n"), (WARNED, "unknown entry 'extra'")),
    ("D5 v5", a_study(extra="    extra: 1\n", version="5"), "unknown entry 'extra'"),
    ("D6a", a_file("  a1: {run: 'r:v1', outputs: []}\n"), "`outputs` must be a dictionary"),
    ("D6b", a_study(run="[r, x]"), "`run` must be text"),
    ("D6c", a_study(extra="    needs: ''\n"), (WARNED, "`needs` must be a list")),
    ("D6c v4", a_study(extra="    needs: ''\n", version="4"), "`needs` must be a list"),
    ("D6d", a_study(extra="    config: [1]\n"), (WARNED, "`config` must be a dictionary")),
    ("D6d v4", a_study(extra="    config: [1]\n", version="4"), "`config` must be a dictionary"),
    ("D6e", a_study(extra="    dummy_data_file: [1]\n"), (WARNED, "`dummy_data_file` must be text")),
    ("D6e v4", a_study(extra="    dummy_data_file: [1]\n", version="4"), "`dummy_data_file` must be text"),
    ("D6f", a_study(outputs="highly_sensitive: [x]"), "`highly_sensitive` must be a dictionary"),
    ("D6g", a_study(outputs="highly_sensitive: {o: {p: q}}"), "path of output 'o' must be text"),
    ("D7", a_study(outputs="highly_sensitive: {o: a.csv}, extra: {p: b.csv}"), "'extra' is not a privacy level"),
    ("D7b", a_study(outputs="test: {o: a.csv}"), "'test' is not a privacy level"),
    ("D8 one level empty", a_study(outputs="highly_sensitive: , minimally_sensitive: {o: a.csv}"), ACCEPTED),
    ("D8", a_study(outputs=""), (WARNED, "`outputs` must have at least one of")),
    ("D8 v4", a_study(outputs="", version="4"), "`outputs` must have at least one of"),
    ("D6c number", a_study(extra="    needs: 7\n"), "`needs` must be a list"),
    ("D6c mapping", needing("{a1: x}"), (WARNED, "`needs` must be a list")),
    ("D9", a_study(extra="    needs:\n"), ACCEPTED),
    ("D9 v4", a_study(extra="    needs:\n", version="4"), ACCEPTED),
    *(
        (f"E1 {tag}", a_study(f"test:{tag} x", version="4"), ACCEPTED)
        for tag in ["v1", "v2", "v1.2", "v1.2.3", "dev", "latest"]
    ),
    *((f"E1 {tag}", a_study(f"test:{tag} x", version="4"), ACCEPTED) for tag in ("v1-pre", "v1.2-pre")),
    ("E2a", a_study("test"), "'test' in `run` must have a version, like 'test:v2'"),
    ("E2b", a_study("'test:'"), "must have a version, like 'test:v2'"),
    *(
        (f"E2 {tag}", a_study(f"test:{tag}"), (WARNED, "of the form :vN"))
        for tag in ["v", "other", "vnotdigits", "v1x1", "pre"]
    ),
    *(
        (f"E2 {tag} v4", a_study(f"test:{tag}", version="4"), "of the form :vN")
        for tag in ["v", "other", "v1x1", "pre"]
    ),
    ("E3", a_study("''"), "`run` must have a value"),
    ("E3b", a_study("'  '"), "`run` must have a value"),
    ("E4", a_study('python:v2 python "a.py'), "`run` cannot be split into words"),
    ("E5", two_runs("python:v2 a.py", "python:v2 a.py"), "same image and arguments as action 'a1'"),
    ("E5 v4", two_runs("python:v2 a.py", "python:v2 a.py", version="4"), "the same as that of action 'a1'"),
    ("E5b", two_runs("python:v1 a.py", "python:v2 a.py"), ACCEPTED),
    ("E5c", two_runs("python:v2 a.py", "python:v2   a.py"), ACCEPTED),
    ("E5d", two_runs("python:v2 a.py", "python:v2 a.py", "    config: {k: 1}\n"), "same image and arguments"),
    *(
        (f"E6 {run}", a_study(f"'{run}'", version="5"), ":latest', which is not supported")
        for run in ("ehrql:latest x", "r:latest 1", "python:latest   do", " reusable:latest x")
    ),
    ("E6 v4", a_study("r:latest 1", version="4"), ACCEPTED),
    ("E7", a_study(COHORT, version="4"), "cohortextractor, which is not supported"),
    ("E8", a_study("nobody-knows:v1 x", version="5"), ACCEPTED),
    ("F1", a_study(outputs="highly_sensitive: {o: o/i.csv, p: o/i.csv}", version="2"), "'o/i.csv' is not unique"),
    ("F1b", a_study(outputs="highly_sensitive: {o: o/i.csv, p: o/i.csv}", version="1"), (WARNED, "promised twice")),
    ("F1c", a_file(an_action() + an_action("r:v1", name="a2"), version="2"), "'out/a.csv' is not unique"),
    ("F2a", with_path("foo/bar/*.txt", version="5"), ACCEPTED),
    ("F2b", with_path("foo/bar/*.txt", "moderately_sensitive", "5"), ACCEPTED),
    ("F2c", with_path("foo"), (WARNED, "file type extension")),
    ("F2c v4", with_path("foo", version="4"), "file type extension"),
    ("F3a", with_path("/abs/path.txt"), "is an absolute path"),
    ("F3b", with_path("ends/in/slash/"), "looks like a directory"),
    ("F3c", with_path("not//canonical.txt"), "is not in standard form"),
    ("F3d", with_path("path/../traversal.txt"), "is not in standard form"),
    ("F3e", with_path("c:/windows/absolute.txt"), "is an absolute path"),
    ("F3f", with_path("recursive/**/glob.pattern"), r"contains '**'"),
    ("F3g", with_path("questionmark?.txt"), "contains '?'"),
    ("F3h", with_path("/[square]brackets.txt"), "contains '['"),
    ("F3i", with_path("\\ftest.txt"), "contains back slashes"),
    ("F3j", with_path("metadata"), "should not include the metadata directory"),
    ("F3k", with_path("metadata/test.txt"), "should not include the metadata directory"),
    *((f"F3 {path}", with_path(path), (WARNED, "file type extension")) for path in ("outputs/*", "outputs/foo.*")),
    *((f"F3 {path} v4", with_path(path, version="4"), "file type") for path in ("outputs/*", "outputs/foo.*")),
    *(
        (f"F4 {path}", with_path(path, "moderately_sensitive"), (WARNED, "not of a file type that is allowed"))
        for path in ("outputs/output.rds", "outputs/output.pdf", "a.CSV", "a.csv.gz")
    ),
    *(
        (f"F4 {path} v5", with_path(path, "moderately_sensitive", "5"), "not of a file type that is allowed")
        for path in ("outputs/output.rds", "outputs/output.pdf", "a.CSV", "a.csv.gz")
    ),
    ("F4c", with_path("a.rds", "minimally_sensitive", "5"), ACCEPTED),
    ("F5", with_path("./a.csv"), "is not in standard form"),
    ("F6", with_path("../a.csv"), "leaves the workspace"),
    ("F7", with_path("out/.csv"), (WARNED, "file type extension")),
    ("F7 v4", with_path("out/.csv", version="4"), "file type extension"),
    (
        "G1",
        a_study(COHORT, "highly_sensitive: {o: o/i.csv}, moderately_sensitive: {p: o/j.csv}"),
        "exactly one privacy level of outputs, not 2",
    ),
    ("G2", a_study(COHORT, "highly_sensitive: {o: o/i.csv, p: p/j.csv}"), (WARNED, "to one directory, not 2 (o/, p/)")),
    ("G3", a_study(f"{COHORT} --output-dir=o", "highly_sensitive: {o: o/i.csv, p: p/j.csv}"), ACCEPTED),
    ("G4", a_study(COHORT), ACCEPTED),
    ("G4b", a_study(COHORT, extra="    dummy_data_file: d.csv\n"), ACCEPTED),
    ("G5", a_study("cohortextractor-v2:v1 generate_cohort --output=out/a.csv --dummy-data-file d.csv"), ACCEPTED),
    ("G6", a_study("cohortextractor-v2:v1 generate_cohort --output=b.csv"), ACCEPTED),
    ("G7", a_study("cohortextractor-v2:v1 generate_cohort --output=out/a.csv"), ACCEPTED),
    *(
        (
            f"H1 {image} {level}",
            a_study(f"{image}:v1 generate-dataset --output a.csv", f"{level}: {{o: a.csv}}"),
            (WARNED, "all its outputs must be labelled highly_sensitive"),
        )
        for image in ("databuilder", "ehrql")
        for level in ("moderately_sensitive", "minimally_sensitive")
    ),
    (
        "H1 v4",
        a_study("ehrql:v1 generate-dataset --output a.csv", "moderately_sensitive: {o: a.csv}", version="4"),
        "all its outputs must be labelled highly_sensitive",
    ),
    ("H2", a_study(DATASET, version="4"), "does not provide an `--output` argument"),
    ("H2 last word", a_study(f"{DATASET} --output", version="4"), "does not provide an `--output` argument"),
    ("H3a", dataset("output/dataset.csv", "output/dataset.csv"), ACCEPTED),
    ("H3b", dataset("output/dataset1.csv", "output/dataset.csv"), "it is 'output/dataset1.csv'"),
    ("H3c", dataset("outputs:arrow", "outputs/*.arrow"), ACCEPTED),
    ("H3d", dataset("outputs:arrow", "outputs.arrow"), "must match the `--output` argument"),
    ("H3e", dataset("foo/bar:csv", "foo/bar/dataset.csv"), ACCEPTED),
    ("H3f", dataset("foo/bar/:csv", "foo/bar/*.csv"), ACCEPTED),
    ("H3g", dataset("foo/bar:arrow", "foo/bar/*.csv"), "must match the `--output` argument"),
    ("H3h", a_study(f"{DATASET} --output='c.csv'", "highly_sensitive: {o: c.csv}", version="4"), ACCEPTED),
    (
        "H3i",
        a_study(f"{DATASET} --output d:csv", "highly_sensitive: {o: d/a.csv, p: d/b.csv}", version="4"),
        ACCEPTED,
    ),
    (
        "H4",
        a_study("databuilder:v1 generate_dataset --output b.csv"),
        (WARNED, "must match the `--output` argument"),
    ),
    (
        "H5",
        a_study(f"{DATASET} --output c.csv", "highly_sensitive: {o: c.csv, p: other.csv}", version="4"),
        ACCEPTED,
    ),
    (
        "H6",
        a_study("ehrql:v1 generate-measures m.py", "moderately_sensitive: {o: c.csv}", version="4"),
        ACCEPTED,
    ),
    ("H7", a_study("|\n      ehrql:v1\n        generate-dataset\n", version="4"), (WARNED, "does not provide")),
    ("I1", needing("[a1, a2]", "5"), ACCEPTED),
    ("I2", needing("[a4]"), "action 'a3': `needs` lists unknown action 'a4'"),
    ("I3", needing("[a1 a2]"), "must be separated with commas: write [a1, a2]"),
    (
        "I3 a name with a blank",
        a_study(extra="    needs: [b c]\n") + an_action("r:v1", "highly_sensitive: {o: b.csv}", name="b c"),
        (WARNED, "must not contain blanks"),
    ),
    ("I4", needing("[a3]"), "needs itself"),
    ("I6", needing("[a1, a1]", "5"), ACCEPTED),
    ("I7", needing("[7]"), "`needs` lists unknown action '7'"),
    ("I7 nothing", needing("[null]"), "`needs` holds 'empty', which is not the name of an action"),
    ("I7 list", needing("[[a1]]"), "`needs` holds 'a list', which is not the name of an action"),
    ("J1", a_file(an_action(name="run_all"), version="5"), "run_all is reserved"),
    ("J2", a_file(an_action(name="run_all"), version="4"), (WARNED, "it is left out")),
    ("K1", a_study(extra="    config: {k: [1, b]}\n", version="5"), ACCEPTED),
    ("K3", a_study(extra="    config: {}\n", version="5"), ACCEPTED),
    ("K4", a_study(extra="    config:\n", version="5"), ACCEPTED),
]


@pytest.mark.parametrize(("text", "verdict"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_a_row_of_the_table_has_the_verdict_of_the_rule_of_acceptance(text, verdict):
    if verdict == ACCEPTED:
        assert all("old one" in warning for warning in load_project(text).warnings)
    elif isinstance(verdict, tuple):
        assert any(verdict[1] in warning for warning in load_project(text).warnings)
    else:
        with pytest.raises(ProjectError) as caught:
            load_project(text)
        assert verdict in str(caught.value)
        assert str(caught.value).startswith("project.yaml")


def test_two_actions_that_need_each_other_are_refused_with_the_way_round():
    first = an_action("r:v1 a", "highly_sensitive: {o: a.csv}", "    needs: [a2]\n")
    second = an_action("r:v1 b", "highly_sensitive: {o: b.csv}", "    needs: [a1]\n", name="a2")
    with pytest.raises(ProjectError, match="cycle, so none could ever start: a1 -> a2 -> a1"):
        load_project(a_file(first + second))


def test_what_both_validators_refuse_for_different_reasons_is_refused():
    # The older one refuses the same arguments twice, the newer one the file type.
    second = an_action("python:v1 python a.py", "moderately_sensitive: {o: b.rds}", name="a2")
    with pytest.raises(ProjectError, match="same image and arguments"):
        load_project(a_file(an_action() + second))
