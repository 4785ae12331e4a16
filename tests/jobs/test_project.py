"""What a loaded project says: actions, run commands, run_all; and the rules that are ours alone."""

import argparse
import json
import shlex

import pytest

from jobs.project import PRIVACY_LEVELS, Project, ProjectError, UnknownAction, load_project

COHORT = "cohortextractor:latest generate_cohort"


def load(actions: dict, version="5.0", **head) -> Project:
    """The project of these actions; JSON is YAML, so that odd values need no quoting here."""
    if float(version) == 3:
        head = {"expectations": {"population_size": 200}, **head}
    return load_project(json.dumps({"version": version, **head, "actions": actions}))


def action(run="python:v2 python a.py", outputs=None, **more) -> dict:
    return {"run": run, "outputs": {"highly_sensitive": outputs or {"o": "out/a.csv"}}, **more}


def chain(*names: str) -> dict:
    """Actions of which each needs the one before it."""
    return {
        name: action(f"r:v1 {name}", {"o": f"{name}.csv"}, needs=list(names[max(0, place - 1) : place]))
        for place, name in enumerate(names)
    }


def refusal(actions: dict, version="5.0") -> str:
    with pytest.raises(ProjectError) as caught:
        load(actions, version)
    return str(caught.value)


def test_an_action_has_what_its_entry_says():
    outputs = {"moderately_sensitive": {"t": "out/*.csv"}, "highly_sensitive": {"d": "out/d.rds"}}
    project = load(
        {**chain("a", "b"), "c": {"run": "r:latest x 'y z'", "outputs": outputs, "needs": ["b", "a", "b"]}}, "4"
    )

    found = project.action("c")

    assert (found.name, found.image, found.tag, found.args) == ("c", "r", "latest", ("x", "y z"))
    assert found.run == "r:latest x 'y z'"
    assert found.needs == ("b", "a")
    assert found.outputs == outputs
    assert set(found.outputs) <= set(PRIVACY_LEVELS)
    assert (found.config, found.dummy_data_file, found.is_database_action) == (None, None, False)


def test_the_run_text_is_kept_as_written_and_split_as_a_shell_would():
    outputs = "    outputs: {highly_sensitive: {o: o.csv}}\n"
    text = f"version: 5\nactions:\n  a:\n    run: >\n      r:v1 x\n        --name 'a b'\n\n{outputs}"

    found = load_project(text).action("a")

    assert found.run == "r:v1 x\n  --name 'a b'\n"
    assert found.args == ("x", "--name", "a b")
    assert found.line == 3


def test_only_tabs_blanks_and_line_ends_separate_words():
    assert load({"a": action("r:v1 a\u00a0b\tc\n d")}).action("a").args == ("a\u00a0b", "c", "d")


def test_config_is_added_as_one_json_argument_without_single_quotes():
    found = load({"a": action("r:v1 x", config={"k": ["it's", 1, None]})}).action("a")

    assert found.run == """r:v1 x --config '{"k": ["it\\u0027s", 1, null]}'"""
    assert found.args == tuple(shlex.split(found.run)[1:])
    assert json.loads(found.args[-1]) == found.config == {"k": ["it's", 1, None]}


def test_a_program_may_read_config_after_positional_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    parser.add_argument("--config", type=json.loads)

    parsed = parser.parse_args(load({"a": action("r:v1 x.csv y.csv", config={"k": 1})}).action("a").args)

    assert (parsed.files, parsed.config) == (["x.csv", "y.csv"], {"k": 1})


def test_an_empty_config_is_added_and_a_null_one_is_not():
    assert load({"a": action("r:v1", config={})}).action("a").run == "r:v1 --config '{}'"
    assert load({"a": action("r:v1", config=None)}).action("a").run == "r:v1"


def test_config_that_is_no_json_is_refused_with_its_line():
    entry = "{run: 'r:v1', outputs: {highly_sensitive: {o: o.csv}},\n    config: {day: 2020-01-01}}"
    text = f"version: 5\nactions:\n  a: {entry}\n"
    with pytest.raises(ProjectError, match=r"line 4, action 'a': `config` holds a value that JSON does not have"):
        load_project(text)


@pytest.mark.parametrize(
    ("run", "is_database_action"),
    [
        ("ehrql:v1 generate-dataset d.py --output out/a.csv", True),
        ("ehrql:v1 generate-measures m.py", True),
        ("ehrql:v1", False),
        ("ehrql:v1 assure d.py", False),
        ("sqlrunner:v1", True),
        ("sqlrunner:v1 --output a.csv q.sql", True),
        ("cohortextractor:latest generate_cohort", True),
        ("cohortextractor:latest generate_codelist_report", True),
        ("cohortextractor:latest generate_measures", False),
        ("databuilder:v1 generate-dataset --output out/a.csv", True),
        ("python:v2 ehrql:v1 generate-dataset", False),
    ],
)
def test_few_commands_may_read_the_database(run, is_database_action):
    assert load({"a": action(run)}, "3").action("a").is_database_action is is_database_action


def test_an_unknown_action_is_answered_with_a_near_name_and_the_valid_ones():
    with pytest.raises(UnknownAction) as caught:
        load(chain("extract", "analyse")).action("analyze")
    assert str(caught.value) == (
        "Action 'analyze' not found in project.yaml. Did you mean 'analyse'? Valid actions: extract and analyse."
    )


def test_what_is_no_name_at_all_is_an_unknown_action():
    with pytest.raises(UnknownAction, match="It has no actions"):
        load({}).action(["a"])


def test_the_list_of_valid_actions_is_bounded():
    project = load(chain(*(f"a_rather_long_name_of_an_action_{number}" for number in range(500))))
    with pytest.raises(UnknownAction) as caught:
        project.action("x" * 5000)
    assert "and 485 more" in str(caught.value)
    assert len(str(caught.value).encode()) <= 1024


def test_run_all_means_all_actions_in_the_order_of_the_file_but_one_of_that_name():
    assert load(chain("b", "a", "run_all", "c"), "4").all_actions() == ["b", "a", "c"]


def test_a_number_names_an_action_by_its_digits():
    text = "version: 2\nactions:\n  1: {run: 'r:v1 a', outputs: {highly_sensitive: {o: a.csv}}}\n"
    text += "  b: {run: 'r:v1 b', outputs: {highly_sensitive: {o: b.csv}}, needs: [1]}\n"
    assert load_project(text).action("b").needs == ("1",)


def test_the_same_name_as_text_and_as_a_number_is_refused():
    entry = "{run: 'r:v1 a', outputs: {}}"
    with pytest.raises(ProjectError, match="line 4, action '1': the name is there twice"):
        load_project(f"version: 2\nactions:\n  1: {entry}\n  '1': {entry}\n")


# The commands of 2021.


def test_cohortextractor_gets_the_output_directory_and_on_a_dummy_backend_the_population():
    project = load({"a": action(COHORT)}, "3")
    assert project.run_command("a") == f"{COHORT} --output-dir=out"
    assert (
        project.run_command("a", using_dummy_data_backend=True)
        == f"{COHORT} --expectations-population=200 --output-dir=out"
    )


def test_versions_without_expectations_get_a_population_of_1000():
    project = load({"a": action(COHORT)}, "2", expectations={"population_size": 5})
    assert "--expectations-population=1000 " in project.run_command("a", using_dummy_data_backend=True)


def test_dummy_data_of_the_study_replaces_the_population():
    project = load({"a": action(COHORT, dummy_data_file="my data.csv")}, "3")
    assert project.run_command(
        "a", using_dummy_data_backend=True
    ) == f"{COHORT} '--dummy-data-file=my data.csv' --output-dir=out".replace(
        "'--dummy-data-file=my", "--dummy-data-file='my"
    )


def test_outputs_in_two_directories_need_an_output_dir_when_the_job_is_made():
    outputs = {"o": "o/a.csv", "p": "p/a.csv"}
    with pytest.raises(ProjectError, match=r"line 1, action 'a': generate_cohort should write its outputs to one"):
        load({"a": action(COHORT, outputs)}, "3").run_command("a")
    assert load({"a": action(f"{COHORT} --output-dir o", outputs)}, "3").run_command("a") == f"{COHORT} --output-dir o"


@pytest.mark.parametrize("image", ["cohortextractor-v2", "databuilder"])
def test_the_successors_of_cohortextractor_are_run_as_written(image):
    run = f"{image}:v1 generate_dataset --output out/a.csv --dummy-data-file d.csv"
    project = load({"a": action(run)}, "3")
    assert project.run_command("a") == project.run_command("a", using_dummy_data_backend=True) == run


def test_the_successors_of_cohortextractor_need_dummy_data_on_a_dummy_backend_only():
    project = load({"a": action("cohortextractor-v2:v1 generate_cohort --output=out/a.csv")}, "3")
    assert project.run_command("a").endswith("--output=out/a.csv")
    with pytest.raises(ProjectError, match="needs --dummy-data-file"):
        project.run_command("a", using_dummy_data_backend=True)


def test_the_successors_of_cohortextractor_must_write_what_is_promised():
    project = load({"a": action("cohortextractor-v2:v1 generate_cohort --output=out/b.csv")}, "3")
    with pytest.raises(ProjectError, match="must match the `--output` argument"):
        project.run_command("a")


def test_from_version_4_on_commands_are_run_as_written():
    project = load({"a": action("databuilder:v1 generate_dataset --output out:csv")}, "4")
    assert project.run_command("a", using_dummy_data_backend=True) == project.action("a").run


def test_other_commands_are_run_as_written():
    project = load({"a": action("python:v2 generate_cohort", config={"k": 1})}, "3")
    assert project.run_command("a", using_dummy_data_backend=True) == project.action("a").run


# Our own rules.


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/b",
        ".",
        "..",
        ".hidden",
        "-rf",
        "a\nb",
        "a\x1bb",
        "",
        " ",
        "a ",
        "x" * 129,
        "é" * 65,
        "a:b",
        "<script>",
    ],
)
def test_a_name_that_is_no_file_name_or_identifier_is_refused(name):
    assert "is not a valid name of an action" in refusal({name: action()})


@pytest.mark.parametrize("name", ["a", "a_B-9", "x" * 128, "générer", "two words", "v1.2", "_a", "9"])
def test_other_names_are_accepted(name):
    assert load({name: action()}).all_actions() == [name]


@pytest.mark.parametrize("name", ["null", "1.5", "true", "2020-01-01"])
def test_a_name_that_yaml_does_not_read_as_text_must_be_quoted(name):
    with pytest.raises(ProjectError, match="line 3: the name of an action must be text"):
        load_project(f"version: 5\nactions:\n  {name}: {{}}\n")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../x.csv", "leaves the workspace"),
        ("..", "leaves the workspace"),
        ("../../etc/*.csv", "leaves the workspace"),
        ("/x.csv", "absolute"),
        ("*/manifest.json", "could match the reserved directory metadata"),
        ("m*/x.csv", "could match the reserved directory metadata"),
        ("metadat*/x.csv", "could match the reserved directory metadata"),
        (".*/x.csv", "could match the reserved directory .git"),
        (".git/x.csv", "should not include the .git directory"),
        (".git", "should not include the .git directory"),
        (".publishing/x.csv", "should not include the .publishing directory"),
        ("a\0.csv", "control character"),
        ("a\n.csv", "control character"),
        ("a\x85.csv", "control character"),
        ("a\u202e.csv", "control character"),
        ("a\u2028.csv", "control character"),
        ("x" * 297 + ".csv", "too long"),
        ("", "not in standard form"),
        (".", "not in standard form"),
    ],
)
@pytest.mark.parametrize("version", ["1", "5"])
def test_a_path_that_could_reach_beyond_the_study_s_own_files_is_refused(path, why, version):
    assert why in refusal({"a": action(outputs={"o": path})}, version)


@pytest.mark.parametrize("path", ["*.csv", "out/*/x.csv", "meta/x.csv", "x" * 296 + ".csv", "out/.git/a.csv", "é.csv"])
def test_other_paths_are_accepted(path):
    assert load({"a": action(outputs={"o": path})}).action("a").outputs == {"highly_sensitive": {"o": path}}


def test_one_path_in_two_levels_is_a_warning_where_the_format_allows_it():
    outputs = {"moderately_sensitive": {"o": "a.csv"}, "highly_sensitive": {"p": "a.csv"}}
    project = load({"a": {"run": "r:v1", "outputs": outputs}}, "1")
    assert any("promised twice" in warning and "more sensitive level" in warning for warning in project.warnings)


def test_one_path_in_two_actions_is_a_warning_that_says_what_will_happen():
    same = {"outputs": {"highly_sensitive": {"o": "a.csv"}}}
    project = load({"a": {"run": "r:v1 a", **same}, "b": {"run": "r:v1 b", **same}}, "1")
    (warning,) = [warning for warning in project.warnings if "promised twice" in warning]
    assert warning.endswith("also by action 'a'. Whichever of the two runs last replaces the other's file.")


@pytest.mark.parametrize("run", ["r:v1 a\0b", "r:v1 a\x1b[31m", "r:v1 a\x07", "r:v1 " + "x" * 100_000])
def test_a_run_text_that_no_program_could_get_is_refused(run):
    assert "`run`" in refusal({"a": action(run)}, "1")


def test_a_config_that_no_program_could_get_is_refused():
    assert "`config` is too long" in refusal({"a": action(config={"k": "x" * 100_000})})


def test_a_path_of_dummy_data_with_a_control_character_is_refused():
    assert "`dummy_data_file`" in refusal({"a": action(dummy_data_file="a\nb")})


def test_a_long_cycle_is_shown_in_short():
    names = [f"a{number}" for number in range(2000)]
    actions = chain(*names)
    actions["a0"]["needs"] = ["a1999"]
    assert "a0 -> a1999 -> a1998 -> a1997 -> a1996 -> a1995 -> … -> a0" in refusal(actions)


def test_many_ways_to_the_same_action_are_no_cycle():
    names = [f"a{number}" for number in range(60)]
    actions = {
        name: action(f"r:v1 {name}", {"o": f"{name}.csv"}, needs=names[:place]) for place, name in enumerate(names)
    }
    assert len(load(actions).all_actions()) == 60


# Messages.


def test_a_message_names_file_line_and_action():
    text = "version: 5\nactions:\n  a1:\n    run: r:v1\n    outputs:\n      highly_sensitive:\n        o: /a.csv\n"
    with pytest.raises(ProjectError) as caught:
        load_project(text, filename="study/project.yaml")
    assert str(caught.value) == (
        "study/project.yaml line 7, action 'a1': output path '/a.csv' is an absolute path: "
        "write it relative to the study's folder."
    )


def test_a_message_is_one_harmless_line_of_at_most_a_kilobyte():
    message = refusal({"a": action(outputs={"o\x1b[2J\n\u202e" + "é" * 5000: 1})})
    assert message.isprintable()
    assert len(message.encode()) <= 1024


def test_warnings_are_bounded():
    warnings = load(
        {f"a{number}": action(f"r:v1 {number}", {"o": f"o{number}"}) for number in range(100)},
        "3",
    ).warnings
    assert len(warnings) == 21
    assert warnings[-1] == "project.yaml: 81 more warnings are left out."
    assert warnings[1].endswith("Newer versions of project.yaml refuse this.")


def test_the_newest_version_has_no_warnings():
    assert load({"a": action()}).warnings == ()
