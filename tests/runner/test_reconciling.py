"""What is left over goes away, and nothing that any job, or anybody else, may still need."""

import json
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from jobs import storage
from jobs.models import AuditEntry, Job, Who
from jobs.reasons import NoReason
from jobs.states import ACTIVE_CODES, CODES_OF, State, StatusCode
from runner import reconciling
from runner.containers import spec_for
from runner.executors.base import Phase
from runner.executors.fake import FakeExecutor, FakeRun
from runner.plan import high_staging, medium_staging
from runner.reconciling import CONTAINER, FOLDER, STAGED, look, remove
from tests.console import Terminal
from tests.factories import make_job

pytestmark = pytest.mark.django_db(transaction=True)

ENDED = [code for state in (State.SUCCEEDED, State.FAILED) for code in CODES_OF[state] if code != "internal_error"]
OLIVE = Who("olive", AuditEntry.Via.COMMAND)


@pytest.fixture
def executor(monkeypatch) -> FakeExecutor:
    """Whose containers all were made an hour ago."""
    executor = FakeExecutor(lambda spec: FakeRun(until=threading.Event()))
    monkeypatch.setattr(reconciling, "_made_at", lambda *_: reconciling.timezone.now() - timedelta(hours=1))
    return executor


def leave_all(job: Job, executor: FakeExecutor, age: timedelta = timedelta(hours=1)) -> list[str]:
    """Container, folder and staged files of the job's attempt; returns their names."""
    executor.start(spec_for(job))
    names = [job.container_name]
    for folder in (storage.job_folder(job), high_staging(job), medium_staging(job)):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_bytes(b"patients")
        then = time.time() - age.total_seconds()
        os.utime(folder, (then, then))
        names.append(str(folder))
    return names


def named(executor: FakeExecutor) -> list[str]:
    return sorted(leftover.name for leftover in look(executor).leftovers)


def is_there(name: str, executor: FakeExecutor) -> bool:
    return Path(name).exists() if name.startswith("/") else executor.status(name).phase is not Phase.ABSENT


@pytest.mark.parametrize("code", ENDED)
def test_what_a_job_that_has_ended_left_is_removed_with_an_audit_row_for_each(executor, code):
    names = leave_all(make_job(code), executor)
    found = look(executor)
    assert sorted(leftover.name for leftover in found.leftovers) == sorted(names)
    assert {leftover.kind for leftover in found.leftovers} == {CONTAINER, FOLDER, STAGED}
    assert all(f"its job has ended ({code})" == leftover.why for leftover in found.leftovers)
    assert [remove(leftover, executor, OLIVE, "tidying up") for leftover in found.leftovers] == [""] * 4
    assert not any(is_there(name, executor) for name in names) and named(executor) == []
    entries = AuditEntry.objects.values_list("actor", "verb", "object_id", "reason")
    assert sorted(entries) == sorted(("olive", "remove", name, "tidying up") for name in names)


@pytest.mark.parametrize("code", [*ACTIVE_CODES, StatusCode.INTERNAL_ERROR])
def test_what_a_job_may_still_need_is_not_touched(executor, code):
    names = leave_all(make_job(code), executor)
    assert named(executor) == []
    assert all(is_there(name, executor) for name in names)


def test_an_earlier_attempt_of_an_active_job_is_left_over(executor):
    job = make_job(StatusCode.EXECUTING)
    names = leave_all(job, executor)
    Job.objects.filter(pk=job.pk).update(attempt=2)
    found = look(executor)
    assert sorted(leftover.name for leftover in found.leftovers) == sorted(names)
    assert "of attempt 1 of a job that is now in attempt 2" in found.leftovers[0].why


def test_what_belongs_to_a_lost_database_is_left_over(executor):
    job = make_job(StatusCode.EXECUTING)
    names = leave_all(job, executor)
    job.delete()
    found = look(executor)
    # Whose database is this? A container that runs is somebody's work.
    assert found.leftovers == [] and "is DATABASE_URL the right one?" in found.missing[0]
    executor.stop(names[0])
    found = look(executor)
    assert sorted(each.name for each in found.leftovers) == sorted(names[1:]) and found.young == 1  # it has just ended
    assert found.leftovers[0].why == "no job of this database has this identifier" and found.missing == []


def test_what_is_young_is_spared(executor, monkeypatch):
    monkeypatch.setattr(reconciling, "_made_at", lambda *_: reconciling.timezone.now())
    leave_all(make_job(StatusCode.SUCCEEDED), executor, age=timedelta(minutes=1))
    found = look(executor)
    assert (found.leftovers, found.young) == ([], 4)


def test_containers_and_folders_with_other_names_are_nobody_s_business(executor):
    """Of a label of ours, even."""
    job = make_job(StatusCode.SUCCEEDED)
    other = spec_for(job).__class__(**{**vars(spec_for(job)), "name": "somebody-s-database"})
    executor.start(other)
    root = storage.job_folder(job).parent.parent
    for name in ("notes", "ABCDEFGHIJKLMNOP/1", f"{job.identifier}/one", f"{job.identifier}x/1"):
        (root / name).mkdir(parents=True)
    (root / "file").write_bytes(b"")
    os.symlink("/etc", root / ("a" * 16))
    assert named(executor) == []


def test_a_link_in_place_of_a_folder_is_not_followed(executor, tmp_path):
    job = make_job(StatusCode.SUCCEEDED)
    precious = tmp_path / "precious" / "1"
    precious.mkdir(parents=True)
    storage.job_folder(job).parent.parent.mkdir(parents=True)
    os.symlink(precious.parent, storage.job_folder(job).parent)
    assert named(executor) == [] and precious.exists()


def test_a_job_that_came_back_meanwhile_keeps_what_it_needs(executor):
    job = make_job(StatusCode.SUCCEEDED)
    names = leave_all(job, executor)
    found = look(executor)
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, status_code=StatusCode.EXECUTING, completed_at=None)
    assert {remove(leftover, executor, OLIVE, "x") for leftover in found.leftovers} == {
        f"job {job.identifier} needs it now"
    }
    assert all(is_there(name, executor) for name in names) and not AuditEntry.objects.exists()


def test_without_a_reason_nothing_is_removed(executor):
    names = leave_all(make_job(StatusCode.SUCCEEDED), executor)
    for leftover in look(executor).leftovers:
        with pytest.raises(NoReason):
            remove(leftover, executor, OLIVE, " ")
    assert all(is_there(name, executor) for name in names)


def test_a_job_without_its_container_is_told(executor):
    job = make_job(StatusCode.EXECUTING)
    (sentence,) = look(executor).missing
    assert job.identifier in sentence and "runs it again by itself" in sentence


def test_many_leftovers_take_few_queries(executor, django_assert_max_num_queries):
    jobs = [make_job(StatusCode.SUCCEEDED) for _ in range(30)]
    for job in jobs:
        leave_all(job, executor)
    with django_assert_max_num_queries(4):
        assert len(look(executor).leftovers) == 120


# The command


@pytest.fixture
def manage(capsys, monkeypatch, executor) -> Terminal:
    monkeypatch.setattr("runner.console.reconciliation.from_settings", lambda: executor)
    return Terminal(capsys, monkeypatch)


def test_a_dry_run_shows_and_removes_nothing(manage, executor):
    names = leave_all(make_job(StatusCode.SUCCEEDED), executor)
    called = manage("reconcile", "--dry-run")
    assert called.code == 1 and all(name in called.out for name in names) and not called.err
    assert all(is_there(name, executor) for name in names)


def test_it_asks_first_and_then_why(manage, executor):
    names = leave_all(make_job(StatusCode.SUCCEEDED), executor)
    assert manage("reconcile", typed="n\n").refusal == "Nothing was changed."
    assert all(is_there(name, executor) for name in names)
    called = manage("reconcile", typed="y\ntidying up\n")
    assert called.code == 0 and "4 leftovers removed." in called.err
    assert not any(is_there(name, executor) for name in names)


def test_a_script_says_why_and_reads_json(manage, executor):
    leave_all(make_job(StatusCode.SUCCEEDED), executor)
    assert "--reason" in manage("reconcile").refusal
    told = json.loads(manage("reconcile", "--reason", "tidying up", "--json").out)
    assert [each["removed"] for each in told["leftovers"]] == [True] * 4
    assert (told["spared_as_young"], told["missing"]) == (0, [])
    assert json.loads(manage("reconcile", "--dry-run", "--json").out)["leftovers"] == []


def test_nothing_left_over_is_said(manage):
    called = manage("reconcile")
    assert called.code == 0 and called.out == "✓ Nothing is left over.\n"


def test_without_the_engine_nothing_is_told_apart(manage, executor):
    names = leave_all(make_job(StatusCode.SUCCEEDED), executor)
    executor.unavailable = "The engine is silent."
    assert "The engine is silent." in manage("reconcile", "--reason", "x").refusal
    assert all(Path(name).exists() for name in names[1:])
