"""The commands as processes of their own: a request that is watched to its end, pipes that close, Ctrl-C."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.management.commands import add_job
from jobs.states import StatusCode
from tests.factories import make_job, make_request
from tests.git_repositories import make_repository
from tests.site import ROOT, Site, wait_until

COMMANDS = {
    path.stem: path
    for room in ("jobs", "runner", "sync")
    for path in sorted((ROOT / room / "management" / "commands").glob("[!_]*.py"))
}

PROJECT = """
version: '4.0'
actions:
  extract:
    run: python:v2 true
    outputs:
      highly_sensitive:
        table: output/table.csv
  count:
    run: python:v2 echo
    needs: [extract]
    outputs:
      moderately_sensitive:
        table: output/count.csv
"""


@pytest.fixture
def study(tmp_path) -> Path:
    make_repository(tmp_path / "study", {"project.yaml": PROJECT})
    return tmp_path / "study"


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    with Site(tmp_path, EXECUTOR="fake") as found:
        yield found


def request_of(site: Site) -> str:
    return site.query("SELECT identifier FROM jobs_jobrequest ORDER BY id DESC LIMIT 1")[0][0]


@pytest.mark.slow_test
def test_a_request_is_watched_until_it_has_ended(site, study):
    site.manage("add_job", str(study), "run_all")
    watcher = site.start("watch", request_of(site)[:9], "--exit-status", "--json")
    runner = site.start("run")
    output, _ = watcher.communicate(timeout=60)
    assert watcher.returncode == 0, output
    told = json.loads(output[output.index("{") :])
    assert told["succeeded"] and {job["action"]: job["state"] for job in told["jobs"]} == {
        "extract": "succeeded",
        "count": "succeeded",
    }
    assert "✓ extract" in output
    assert "✓ Working" in site.manage("status")
    runner.send_signal(signal.SIGTERM)
    runner.communicate(timeout=20)

    site.manage("add_job", str(study), "extract")
    (job,) = json.loads(site.manage("jobs", "--state", "pending", "--json"))["jobs"]
    site.manage("cancel_job", job["identifier"], "--reason", "no disk")
    site.manage("run", "--until-idle", expect=1)
    ended = site.manage("watch", request_of(site), "--exit-status", expect=1)
    assert "cancelled_by_user" in ended and "0 of 1 job(s) succeeded." in ended
    site.manage("watch", request_of(site))  # without --exit-status only the watch itself counts


@pytest.mark.slow_test
def test_ctrl_c_ends_the_watch_and_not_the_jobs(site, study):
    site.manage("add_job", str(study), "extract")
    watcher = site.start("watch", request_of(site))
    said = watcher.stdout.readline()
    wait_until(lambda: "extract" in watcher.stdout.readline(), what="the first line")
    watcher.send_signal(signal.SIGINT)
    output, _ = watcher.communicate(timeout=30)
    assert watcher.returncode == 130 and "Stopped watching; the jobs go on." in output and "Traceback" not in output
    assert "the runner was never heard. Start `manage.py run`." in said
    assert site.query("SELECT state FROM jobs_job") == [("pending",)]


@pytest.mark.slow_test
def test_a_reader_who_has_seen_enough_ends_the_command_without_a_word(site, study):
    site.manage("add_job", str(study), "run_all")
    process = site.start("jobs", "--json")
    process.stdout.close()
    assert process.wait(30) == 0


@pytest.mark.slow_test
def test_a_database_that_is_not_set_up_is_one_sentence(tmp_path):
    site = Site(tmp_path, EXECUTOR="fake")
    for command in ("jobs", "status", "flags"):
        output = site.manage(command, expect=2 if command == "status" else 1)
        assert "run `manage.py migrate`" in output and "Traceback" not in output
    site.__exit__()


@pytest.mark.django_db
def test_a_request_that_cannot_be_planned_says_why(manage):
    request = make_request(outcome="refused", outcome_message="project.yaml has no action 'x\x1b[2J'.")
    called = manage("watch", request.identifier, "--exit-status")
    assert called.code == 1 and "project.yaml has no action 'x\\x1b[2J'." in called.out
    told = json.loads(manage("watch", request.identifier, "--json").out)
    assert told == {
        "request": request.identifier,
        "outcome": "refused",
        "message": "project.yaml has no action 'x\x1b[2J'.",
        "succeeded": False,
        "jobs": [],
    }


@pytest.mark.django_db
def test_jobs_of_other_requests_that_a_request_has_joined_count(manage):
    joined = make_job(status_code=StatusCode.NONZERO_EXIT)
    request = make_request(outcome="already_scheduled", joined_jobs=[joined.identifier])
    assert manage("watch", request.identifier, "--exit-status").code == 1
    request = make_request(outcome="nothing_to_do", outcome_message="All is done already.")
    called = manage("watch", request.identifier, "--exit-status")
    assert called.code == 0 and "All is done already." in called.out


def test_who_stops_waiting_for_add_job_is_told_the_command_that_ends_jobs():
    assert "manage.py cancel_job" in Path(add_job.__file__).read_text(encoding="utf-8")


def test_every_command_is_described_and_says_what_it_does():
    described = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert {name for name in COMMANDS if f"manage.py {name}" not in described} == set()
    for name, path in COMMANDS.items():
        assert "help = " in path.read_text(encoding="utf-8"), name


def test_the_handbook_names_only_commands_that_there_are():
    handbook = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"manage\.py ([a-z_]+)", handbook))
    assert named <= {*COMMANDS, "migrate", "collectstatic", "check"} and len(named) > 15
