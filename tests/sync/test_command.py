"""`manage.py sync` as an operator meets it: real processes against a fake job-server."""

import os
import signal

import pytest

from tests.fakes import faults
from tests.fakes.job_server import FakeJobServer
from tests.git_repositories import make_repository
from tests.site import Site, wait_until
from tests.sync.conftest import STUDY

pytestmark = pytest.mark.slow_test


@pytest.fixture
def fake():
    with FakeJobServer() as server:
        yield server


@pytest.fixture
def site(fake, tmp_path):
    settings = {
        "EXECUTOR": "fake",
        "BACKEND": fake.backend,
        "JOB_SERVER_ENDPOINT": fake.url,
        "JOB_SERVER_TOKEN": fake.token,
        # So that only a changed database, never the next poll, can be why something is told.
        "POLL_INTERVAL": "600",
    }
    with Site(tmp_path, **settings) as found:
        yield found


@pytest.fixture
def ask(fake, tmp_path):
    commit = make_repository(tmp_path / "study", {"project.yaml": STUDY})

    def ask_for(*actions: str) -> str:
        return fake.add_request(actions=list(actions), repo_url=str(tmp_path / "study"), commit=commit).identifier

    return ask_for


def test_every_state_is_pushed_as_it_happens_and_nothing_waits_for_the_next_poll(fake, site, ask):
    identifier = ask("count")
    site.start("sync")
    site.start("run")
    wait_until(lambda: fake.statuses(identifier) == {"extract": "succeeded", "count": "succeeded"})
    assert len(fake.journal.gets) == 1
    assert fake.journal.complaints() == []


def test_a_signal_ends_it_at_once_although_the_server_hangs(fake, site, ask):
    ask("extract")
    fake.fault(faults.never_answers(), on="POST")
    sync = site.start("sync")
    wait_until(lambda: fake.journal.posts)
    sync.send_signal(signal.SIGTERM)
    output, _ = sync.communicate(timeout=10)
    assert sync.returncode == 0
    assert "Traceback" not in output
    assert fake.token not in output


def test_killed_at_any_moment_it_goes_on_from_there(fake, site, ask):
    identifier = ask("count")
    for posts in range(3):
        sync = site.start("sync")
        wait_until(lambda posts=posts: len(fake.journal.posts) > posts or fake.unfinished_requests() == [])
        os.killpg(sync.pid, signal.SIGKILL)
        sync.wait()
        site.manage("run", "--until-idle")
    site.manage("sync", "--once")
    assert fake.statuses(identifier) == {"extract": "succeeded", "count": "succeeded"}
    assert fake.journal.complaints() == []


def test_a_second_one_is_refused_and_told_who_is_there(site, fake):
    first = site.start("sync")
    wait_until(lambda: fake.journal.gets)
    output = site.manage("sync", "--once", expect=3)
    assert f"pid {first.pid}" in output and "contradict each other" in output


def test_once_ends_with_1_and_a_sentence_when_the_server_is_away(site, fake):
    with fake.down():
        output = site.manage("sync", "--once", expect=1)
    assert "CommandError: The job-server cannot be polled: it refuses the connection." in output


def test_without_a_job_server_it_says_what_to_set(tmp_path):
    with Site(tmp_path) as site:
        output = site.manage("sync", expect=1)
    assert "set JOB_SERVER_ENDPOINT and JOB_SERVER_TOKEN" in output and "sync --plan-only" in output


def test_an_outage_of_the_server_is_survived_and_everything_is_told_afterwards(fake, site, ask):
    site.environment["POLL_INTERVAL"] = "0.2"
    identifier = ask("count")
    site.start("sync")
    wait_until(lambda: not fake.lost_requests())
    with fake.down():
        site.manage("run", "--until-idle")
    wait_until(lambda: fake.statuses(identifier) == {"extract": "succeeded", "count": "succeeded"}, 60)
    assert fake.journal.complaints() == []


_ASK_AGAIN = """
from jobs import asking
from jobs.models import AuditEntry, Job, Who
job = Job.objects.get(action="extract")
asking.run_again([job.identifier], Who("alice", AuditEntry.Via.COMMAND), "try again")
"""


def test_without_a_job_server_what_is_asked_for_again_is_planned(tmp_path):
    commit = make_repository(tmp_path / "study", {"project.yaml": STUDY})
    with Site(tmp_path, EXECUTOR="fake") as site:
        site.manage("add_job", str(tmp_path / "study"), "extract", "--commit", commit)
        site.manage("run", "--until-idle")
        site.manage("shell", "-v0", "-c", _ASK_AGAIN)
        site.start("sync", "--plan-only")
        wait_until(lambda: len(site.query("SELECT id FROM jobs_job")) == 2)
        site.manage("run", "--until-idle")
        assert site.query("SELECT state FROM jobs_job") == [("succeeded",), ("succeeded",)]


def test_planning_only_is_refused_beside_a_job_server(site):
    assert "leave out --plan-only" in site.manage("sync", "--plan-only", expect=1)
