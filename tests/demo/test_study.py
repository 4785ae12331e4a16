"""The demo study: it shows what a study can be, computes what it says, and releases nothing that it should not."""

import csv
from pathlib import Path

import pytest

from jobs.project import load_project
from tests.engine import GID, UID, sdk, tiny_image
from tests.site import DEMO_STUDY

PATIENTS = 2000


@pytest.fixture
def project():
    return load_project((DEMO_STUDY / "project.yaml").read_bytes())


def run_all_actions(project, folder: Path) -> str:
    """Run the actions one after the other in one container as strict as a job's; returns what they printed."""
    commands = ["set -e"]
    for action in project.actions.values():
        commands.append(" ".join(f"'{argument}'" for argument in action.args))
    with sdk() as client:
        host_config = client.create_host_config(
            binds={str(folder): {"bind": "/workspace", "mode": "rw"}},
            cap_drop=["ALL"],
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": ""},
        )
        container = client.create_container(
            tiny_image(),
            ["sh", "-c", "\n".join(commands)],
            user=f"{UID}:{GID}",
            working_dir="/workspace",
            environment={"HOME": "/tmp"},
            host_config=host_config,
        )
        try:
            client.start(container)
            exit_code = client.wait(container, timeout=60)["StatusCode"]
            printed = client.logs(container).decode()
        finally:
            client.remove_container(container, force=True)
    assert exit_code == 0, printed
    return printed


def rows_of(table: Path) -> list[list[str]]:
    return list(csv.reader(table.read_text().splitlines()))


def test_the_study_has_a_chain_a_fan_a_pattern_a_config_and_outputs_to_release(project):
    paths = [
        path for action in project.actions.values() for level in action.outputs.values() for path in level.values()
    ]
    to_release = [
        path for action in project.actions.values() for path in action.outputs.get("moderately_sensitive", {}).values()
    ]

    assert len(project.actions) >= 6
    assert any("*" in path for path in paths)
    assert {Path(path).suffix for path in to_release} >= {".csv", ".svg"}
    assert any(action.config for action in project.actions.values())
    assert max(len(action.needs) for action in project.actions.values()) >= 3
    assert project.warnings == ()


@pytest.mark.needs_docker
@pytest.mark.slow_test
def test_the_actions_run_as_strict_as_jobs_and_release_no_small_number(project, shared_study):
    printed = run_all_actions(project, shared_study)

    for action in project.actions.values():
        for outputs in action.outputs.values():
            for pattern in outputs.values():
                assert list(shared_study.glob(pattern)), f"{action.name} did not make {pattern}"
    assert len(rows_of(shared_study / "output/patients.csv")) == 1 + PATIENTS
    for table in (shared_study / "output/release").glob("*.csv"):
        numbers = [row[1] for row in rows_of(table) if row[1].isdecimal()]
        assert numbers and all(int(number) > 7 and int(number) % 5 == 0 for number in numbers), table
        assert "patient_id" not in table.read_text()
    assert "[suppressed]" in (shared_study / "output/release/age_band.csv").read_text()
    assert (shared_study / "output/release/age_band.svg").read_text().startswith("<svg ")
    assert "month 12 of 12" in printed


@pytest.fixture
def shared_study(tmp_path):
    """A copy of the study that the job's user may write to; pytest's own folders are for their owner only."""
    folder = tmp_path / "workspace"
    (folder / "analysis").mkdir(parents=True)
    for script in (DEMO_STUDY / "analysis").iterdir():
        (folder / "analysis" / script.name).write_bytes(script.read_bytes())
    folder.chmod(0o777)
    return folder
