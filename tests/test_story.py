"""The whole system in one story: a study is planned, run and stored; told once with fakes and once with the engine."""

import json

import pytest
from django.core.management import call_command

from jobs import storage
from jobs.models import Job, JobOutput, StatusChange
from jobs.states import State, StatusCode
from runner.executors.fake import FakeExecutor
from runner.loop import Runner
from tests.engine import demo_images
from tests.git_repositories import make_repository, repository_of
from tests.site import DEMO_STUDY, Site, wait_until

PROJECT = """
version: '4.0'
actions:
  extract:
    run: python:v2 python extract.py
    outputs:
      highly_sensitive:
        rows: output/rows.csv
  count:
    run: python:v2 python count.py
    needs: [extract]
    outputs:
      moderately_sensitive:
        counts: output/counts/*.csv
  report:
    run: python:v2 python report.py
    needs: [count]
    outputs:
      moderately_sensitive:
        text: output/report.txt
"""


def run_until_idle(runner: Runner) -> None:
    try:
        wait_until(lambda: runner.tick() == 0, what="the end of all jobs")
    finally:
        runner.close()


@pytest.mark.django_db(transaction=True)
def test_a_study_is_planned_run_and_stored_by_privacy_level(tmp_path):
    make_repository(tmp_path / "study", {"project.yaml": PROJECT})
    call_command("add_job", str(tmp_path / "study"), "report", workspace="story")
    assert list(Job.objects.order_by("pk").values_list("action", "status_code")) == [
        ("extract", StatusCode.CREATED),
        ("count", StatusCode.WAITING_ON_DEPENDENCIES),
        ("report", StatusCode.WAITING_ON_DEPENDENCIES),
    ]

    run_until_idle(Runner(FakeExecutor()))

    assert set(Job.objects.values_list("state", flat=True)) == {State.SUCCEEDED}
    paths = dict(JobOutput.objects.values_list("path", "level"))
    assert paths == {
        "output/rows.csv": "highly_sensitive",
        "output/counts/example.csv": "moderately_sensitive",
        "output/report.txt": "moderately_sensitive",
    }
    high, medium = storage.high_privacy_workspace("story"), storage.medium_privacy_workspace("story")
    assert all((high / path).is_file() for path in paths)
    assert {str(file.relative_to(medium)) for file in (medium / "output").rglob("*.*")} == {
        "output/counts/example.csv",
        "output/report.txt",
    }
    manifest = json.loads(storage.manifest(high).read_text())
    assert set(manifest["outputs"]) == set(paths)
    job = Job.objects.get(action="extract")
    assert list(StatusChange.objects.filter(job=job).values_list("to_code", flat=True)) == [
        "created",
        "initiated",
        "preparing",
        "prepared",
        "executing",
        "executed",
        "finalizing",
        "finalized",
        "succeeded",
    ]
    assert storage.job_log(job).read_text()
    assert not storage.job_folder(job).exists()


@pytest.mark.needs_docker
@pytest.mark.slow_test
def test_the_demo_study_runs_to_its_end_in_real_containers_and_again_reuses_everything(tmp_path):
    demo_images()
    study = repository_of(DEMO_STUDY, tmp_path / "study")
    with Site(tmp_path) as site:
        assert "run_all" not in site.manage("add_job", str(study), "run_all", "--workspace", "demo", "--dry-run")
        site.manage("add_job", str(study), "run_all", "--workspace", "demo")
        table = site.manage("run", "--until-idle")
        assert set(site.statuses().values()) == {"succeeded"}, table
        manifest = site.manifest(site.high, "demo")
        assert str(site.high / "workspaces" / "demo") in table
        for path, entry in manifest["outputs"].items():
            assert (site.high / "workspaces" / "demo" / path).is_file()
            in_medium = (site.medium / "workspaces" / "demo" / path).exists()
            assert in_medium == (entry["level"] == "moderately_sensitive" and not entry["excluded"])
        again = site.manage("add_job", str(study), "run_all", "--workspace", "demo")
        assert "Nothing to do" in again
