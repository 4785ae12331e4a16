"""Chores that are asked for on the pages do what the commands do, in the name of whoever asked."""

import os
import threading
import time

import pytest

from jobs import storage
from jobs.chores import ChoreFailed
from jobs.models import AuditEntry, ChoreRun, Job
from jobs.states import StatusCode
from runner.chores import by_hand
from runner.containers import spec_for
from runner.executors.base import ExecutorUnavailable, Phase
from runner.executors.fake import FakeExecutor, FakeRun
from tests.factories import make_job
from tests.publication import files_in, high, make_publisher, medium, publish

pytestmark = pytest.mark.django_db(transaction=True)


def asked(chore: str, argument: str = "") -> ChoreRun:
    return ChoreRun(chore=chore, argument=argument, asked_by="olive", via="dashboard", reason="tidying up")


@pytest.fixture
def executor(monkeypatch) -> FakeExecutor:
    executor = FakeExecutor(lambda spec: FakeRun(until=threading.Event()))
    monkeypatch.setattr(by_hand, "from_settings", lambda: executor)
    monkeypatch.setattr(by_hand.reconciling, "GRACE", by_hand.reconciling.timedelta(0))
    return executor


def leave(job: Job, executor: FakeExecutor) -> None:
    executor.start(spec_for(job))
    folder = storage.job_folder(job)
    folder.mkdir(parents=True)
    os.utime(folder, (time.time() - 7200,) * 2)


def test_leftovers_are_counted_and_nothing_is_removed(executor):
    job = make_job(StatusCode.SUCCEEDED)
    leave(job, executor)
    done = by_hand.look_for_leftovers(asked("leftovers"))
    assert done.said == "left over: 1 container and 1 folder" and done.detail["leftovers"] == 2
    assert executor.status(job.container_name).phase is not Phase.ABSENT and storage.job_folder(job).exists()
    assert not AuditEntry.objects.exists()


def test_where_nothing_is_left_over_it_says_so(executor):
    leave(make_job(StatusCode.EXECUTING), executor)
    assert by_hand.look_for_leftovers(asked("leftovers")).said == "nothing is left over"


def test_leftovers_are_removed_in_the_name_of_whoever_asked(executor):
    job, needed = make_job(StatusCode.SUCCEEDED), make_job(StatusCode.EXECUTING)
    leave(job, executor)
    leave(needed, executor)
    assert by_hand.remove_leftovers(asked("remove-leftovers")).said == "2 removed"
    assert executor.status(job.container_name).phase is Phase.ABSENT and not storage.job_folder(job).exists()
    assert executor.status(needed.container_name).phase is not Phase.ABSENT and storage.job_folder(needed).exists()
    entries = AuditEntry.objects.values_list("actor", "via", "verb", "reason")
    assert list(entries) == [("olive", "dashboard", "remove", "tidying up")] * 2


def test_what_cannot_be_removed_fails_the_chore(executor, monkeypatch):
    leave(make_job(StatusCode.SUCCEEDED), executor)
    monkeypatch.setattr(by_hand.reconciling, "remove_tree", lambda path: [path])
    with pytest.raises(ChoreFailed, match=r"^1 removed; not removed: .*remove it by hand"):
        by_hand.remove_leftovers(asked("remove-leftovers"))


def test_an_engine_that_does_not_answer_fails_the_chore(executor, monkeypatch):
    def silent():
        raise ExecutorUnavailable("No Docker engine answers.")

    monkeypatch.setattr(executor, "statuses", silent)
    for chore in (by_hand.look_for_leftovers, by_hand.remove_leftovers):
        with pytest.raises(ChoreFailed, match="No Docker engine answers"):
            chore(asked("x"))


def test_outdated_outputs_are_deleted_and_current_ones_are_not():
    spec = {"highly_sensitive": {"rows": "output/*.csv"}}
    publish(make_publisher(action="make", output_spec=spec), {"output/a.csv": b"1", "output/b.csv": b"22"})
    publish(make_publisher(action="make", output_spec=spec), {"output/a.csv": b"333"})
    assert by_hand.prune_outputs(asked("prune", "study")).said == "1 output deleted, 2 bytes freed"
    assert set(files_in(high("output"))) == {"a.csv"}
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via, entry.reason) == ("olive", "dashboard", "tidying up")


def test_an_export_names_its_archive(settings):
    settings.MIN_FREE_DISK_BYTES = 0
    publish(make_publisher(), {"output/rows.csv": b"id\n1\n", "output/table.csv": b"group,n\na,10\n"})
    done = by_hand.export_workspace(asked("export", "study"))
    (name,) = os.listdir(settings.EXPORT_DIR)
    assert done.said.startswith(f"1 file in {settings.EXPORT_DIR / name}, ") and done.detail["files"] == 1


def test_an_export_that_takes_too_long_names_the_command(settings, monkeypatch):
    settings.MIN_FREE_DISK_BYTES = 0
    publish(make_publisher(), {"output/rows.csv": b"id\n1\n", "output/table.csv": b"group,n\na,10\n"})
    monkeypatch.setattr(by_hand, "SECONDS", -1)
    with pytest.raises(ChoreFailed, match=r"run `manage\.py export_workspace study` at the machine"):
        by_hand.export_workspace(asked("export", "study"))
    assert os.listdir(settings.EXPORT_DIR) == []


def test_a_leak_stops_an_export(settings):
    settings.MIN_FREE_DISK_BYTES = 0
    publish(make_publisher(), {"output/rows.csv": b"id\n1\n", "output/table.csv": b"group,n\na,10\n"})
    medium("secret.csv").write_bytes(b"x")
    with pytest.raises(ChoreFailed, match="nothing says that it was released"):
        by_hand.export_workspace(asked("export", "study"))


@pytest.mark.parametrize("chore", [by_hand.export_workspace, by_hand.prune_outputs])
@pytest.mark.parametrize("name", ["nothing", "../study", "", "a/b"])
def test_a_workspace_that_is_not_there_is_refused(chore, name):
    with pytest.raises(ChoreFailed, match="There is no such workspace in storage"):
        chore(asked("x", name))
