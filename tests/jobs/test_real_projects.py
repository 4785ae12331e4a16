"""Real project.yaml files of public studies against what the two older validators made of them.

The files are no part of this repository; they are looked for beside it, and without them these tests are skipped.
`expected.json` says for each file what job-runner of 2021 and the newer pipeline library did.
"""

import functools
import json
import shlex
from pathlib import Path

import pytest

from jobs.project import ProjectError, load_project
from jobs.reusable_actions import resolve

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "project-yaml" / "open"
IMAGES = ("cohortextractor", "databuilder", "ehrql", "jupyter", "python", "r", "sqlrunner", "stata-mp")


@functools.cache
def expectations() -> dict:
    path = FOLDER / "expected.json"
    return json.loads(path.read_text()) if path.exists() else {}


def names(keep) -> list:
    found = [name for name, expected in expectations().items() if keep(expected)]
    return found or [pytest.param("", marks=pytest.mark.skip(reason=f"no files of real studies at {FOLDER}"))]


def is_project(expected) -> bool:
    return expected["kind"] != "action.yaml"


def is_valid_2021(expected) -> bool:
    """Valid, and of a version that job-runner of 2021 knew: for later ones its word does not count."""
    return is_project(expected) and expected["job_runner_2021"]["verdict"] == "valid" and version_of(expected) < 4


def is_valid_modern(expected) -> bool:
    return is_project(expected) and expected["modern"]["verdict"] == "valid"


def version_of(expected) -> float:
    return 0 if expected["version"] in (None, "none") else float(expected["version"])


def load(name):
    return load_project((FOLDER / "files" / name).read_bytes())


@pytest.mark.parametrize("name", names(is_project))
def test_a_real_file_is_accepted_if_either_older_validator_accepts_it(name):
    expected = expectations()[name]
    if is_valid_2021(expected) or is_valid_modern(expected):
        assert load(name).version == version_of(expected)
    else:
        with pytest.raises(ProjectError):
            load(name)


@pytest.mark.parametrize("name", names(lambda expected: is_valid_2021(expected) and not is_valid_modern(expected)))
def test_what_only_the_older_validator_accepts_has_a_warning(name):
    assert any(warning.endswith("Newer versions of project.yaml refuse this.") for warning in load(name).warnings)


@pytest.mark.parametrize("name", names(is_valid_2021))
def test_commands_population_and_run_all_are_those_of_2021(name):
    expected, project = expectations()[name]["job_runner_2021"], load(name)
    commands = {action: project.run_command(action) for action in project.actions}
    on_dummy_data = {a: project.run_command(a, using_dummy_data_backend=True) for a in project.actions}
    assert commands == expected["run"]
    assert on_dummy_data == expected["run_dummy_backend"]
    assert project.all_actions() == expected["run_all_expands_to"]
    assert project.population_size == expected["population_size"]


@pytest.mark.parametrize("name", names(is_valid_modern))
def test_actions_are_those_of_the_newer_library(name):
    expected, project = expectations()[name]["modern"], load(name)
    assert project.all_actions() == expected["run_all_expands_to"]
    assert project.population_size == expected["population_size"]
    for action_name, wanted in expected["actions"].items():
        action = project.action(action_name)
        config = () if wanted["config"] is None else action.args[-2:]
        assert [f"{action.image}:{action.tag}", *action.args] == [*wanted["argv"], *config]
        assert (action.image, action.tag, list(action.needs)) == (wanted["name"], wanted["tag"], wanted["needs"])
        assert (action.outputs, action.config) == (wanted["outputs"], wanted["config"])
        assert (action.is_database_action, action.dummy_data_file) == (
            wanted["is_database_action"],
            wanted["dummy_data_file"],
        )
        assert shlex.split(action.run) == shlex.split(wanted["run"])


@pytest.mark.parametrize("name", names(lambda expected: not is_project(expected)))
def test_a_real_action_yaml_is_rewritten_as_before(name):
    found = resolve(
        "some-action:v1 --opt 'a b'",
        allowed_images=IMAGES,
        org_url="https://example.org/actions",
        resolve_tag=lambda repo, ref: "c" * 40,
        is_on_branch=lambda repo, commit, branch: True,
        read_file=lambda repo, commit, path: (FOLDER / "files" / name).read_bytes(),
    )
    assert shlex.split(found.run) == expectations()[name]["modern"]["rewritten"]
