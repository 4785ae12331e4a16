"""Where files lie, and that no unchecked name ever becomes part of a path."""

from datetime import UTC, datetime

import pytest

from jobs import storage
from jobs.models import Job, JobRequest
from jobs.planning import check_request

BAD_NAMES = [
    "",
    ".",
    "..",
    "../up",
    "a/b",
    "a\\b",
    "/etc",
    ".hidden",
    "-rf",
    "a.",
    "a\n",
    "a\x00b",
    "a\x1bb",
    "é/è",
    " a",
]


def test_workspaces_lie_below_the_two_bases(settings):
    assert storage.high_privacy_workspace("my-study_1") == settings.HIGH_PRIVACY_STORAGE_BASE / "workspaces/my-study_1"
    assert storage.medium_privacy_workspace("study") == settings.MEDIUM_PRIVACY_STORAGE_BASE / "workspaces/study"


@pytest.mark.parametrize("name", ["a", "_", "0-", "a--b", "W" * 128])
def test_what_planning_takes_for_a_workspace_has_a_folder(name):
    check_request(JobRequest(workspace=name, requested_actions=["run_all"], database_name="default"))
    assert storage.high_privacy_workspace(name).name == name


def test_logs_of_actions_and_the_manifest_lie_in_the_workspaces_metadata():
    folder = storage.high_privacy_workspace("study")
    assert storage.action_log(folder, "make_table") == folder / "metadata/make_table.log"
    assert storage.manifest(folder) == folder / "metadata/manifest.json"


@pytest.mark.parametrize("name", BAD_NAMES)
def test_no_path_is_made_from_a_name_that_could_lead_elsewhere(name, tmp_path):
    with pytest.raises(ValueError, match="cannot be used as a file name"):
        storage.high_privacy_workspace(name)
    with pytest.raises(ValueError, match="cannot be used as a file name"):
        storage.medium_privacy_workspace(name)
    with pytest.raises(ValueError, match="cannot be used as a file name"):
        storage.action_log(tmp_path, name)


def test_a_job_has_a_folder_and_a_log_for_each_attempt_and_both_names_come_from_its_identifier_only(settings):
    job = Job(identifier="abcdefgh23456722", action="../../etc", workspace="study", attempt=3)
    assert storage.job_folder(job) == settings.WORK_DIR / "jobs/abcdefgh23456722/3"
    assert storage.job_workspace(job) == storage.job_folder(job) / "workspace"
    assert storage.job_log(job).parent.name == "jobrunner-abcdefgh23456722-3"
    assert storage.job_metadata(job).parent == storage.job_log(job).parent


def test_logs_are_kept_by_the_month_in_which_the_job_was_made(settings):
    job = Job(identifier="abc", created_at=datetime(2025, 12, 31, 23, 59, tzinfo=UTC))
    assert storage.job_log(job) == settings.HIGH_PRIVACY_STORAGE_BASE / "logs/2025-12/jobrunner-abc-1/logs.txt"
