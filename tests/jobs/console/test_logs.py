"""`manage.py logs`: the lines of a log, harmless, from wherever one wants, until the job ends; and who has read it."""

import threading

import pytest

from jobs import storage
from jobs.console import log_lines
from jobs.models import AuditEntry, Job
from jobs.states import StatusCode
from tests.factories import make_job
from tests.logs import stamped, write_log
from tests.site import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(settings, tmp_path) -> Job:
    settings.HIGH_PRIVACY_STORAGE_BASE = tmp_path / "high"
    (tmp_path / "high").mkdir()
    return make_job(status_code=StatusCode.SUCCEEDED)


def test_all_lines_are_printed_whatever_their_number(manage, job):
    write_log(job, [f"line {number}" for number in range(2500)])
    assert manage("logs", job.identifier[:10]).out.splitlines() == [f"line {number}" for number in range(2500)]


def test_the_last_lines_and_their_times_can_be_asked_for(manage, job):
    write_log(job, ["one", "two", "three"])
    assert manage("logs", job.identifier, "-n", "2").out == "two\nthree\n"
    assert manage("logs", job.identifier, "--tail", "1", "-t").out == "2026-11-26T07:43:02.123456789Z three\n"
    assert manage("logs", job.identifier, "-n", "50").out == "one\ntwo\nthree\n"


def test_no_line_changes_a_terminal(manage, job):
    write_log(job, [b"\x1b]0;owned\x07red \x1b[31mtext\x1b[0m \xff \xe2\x80\xae", "50 %\r100 %", "x" * 5000])
    out = manage("logs", job.identifier).out
    assert not set(out) & {"\x1b", "\x07", "\r", "\u202e"}
    assert "red text" in out and "100 %" in out and "[…1000 bytes more]" in out


def test_who_reads_is_noted_once_an_hour_and_only_if_there_is_something_to_read(manage, job, monkeypatch):
    monkeypatch.setattr("os.getlogin", lambda: "olive")
    assert "There is no log" in manage("logs", job.identifier).refusal
    assert not AuditEntry.objects.exists()
    write_log(job, ["one"])
    manage("logs", job.identifier), manage("logs", job.identifier)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via, entry.verb) == ("olive", AuditEntry.Via.COMMAND, "view log")


def test_an_earlier_attempt_has_a_log_of_its_own(manage, job):
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.refresh_from_db()
    write_log(job, ["first"], attempt=1), write_log(job, ["second"], attempt=2)
    assert manage("logs", job.identifier).out == "second\n"
    assert manage("logs", job.identifier, "--attempt", "1").out == "first\n"
    assert manage("logs", job.identifier, "--attempt", "1", "-f").out == "first\n"
    assert manage("logs", job.identifier, "--attempt", "3").refusal == f"Job {job.identifier} is in its attempt 2."


def test_what_is_no_file_is_not_read(manage, job, tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    path = storage.job_log(job)
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "secret")
    called = manage("logs", job.identifier)
    assert called.code == 1 and "a link" in called.refusal and "hunter2" not in called.out


@pytest.mark.django_db(transaction=True)
def test_a_running_job_is_followed_to_its_end_through_its_attempts(manage, job, monkeypatch):
    """What is written meanwhile comes once, half a line only once it has ended."""
    monkeypatch.setattr(log_lines, "LOOK_EVERY_SECONDS", 0.01)
    job = make_job(status_code=StatusCode.EXECUTING, status_message="Running.")
    looks: list[int] = []
    follower = threading.current_thread()

    def sleep(seconds: float) -> None:
        if threading.current_thread() is follower:
            looks.append(1)
        threading.Event().wait(0.005)

    monkeypatch.setattr(log_lines.time, "sleep", sleep)
    failures: list[BaseException] = []

    def live() -> None:
        try:
            _seen_again(looks)  # no log yet
            path = write_log(job, ["one"], end=stamped("two")[:-2])
            _seen_again(looks)
            with path.open("ab") as file:
                file.write(b"o\n")
            _seen_again(looks)
            write_log(job, ["three"], attempt=2)
            Job.objects.filter(pk=job.pk).update(attempt=2)
            _seen_again(looks)
            job.refresh_from_db()
            job.move_to(StatusCode.EXECUTED, "Ended.")
            job.move_to(StatusCode.FINALIZING, "Storing.")
            write_log(job, ["three", "four"], end=b"the end", attempt=2)
            job.move_to(StatusCode.FINALIZED, "Stored.", outcome_code=StatusCode.SUCCEEDED)
            job.move_to(StatusCode.SUCCEEDED, "Done.")
        except BaseException as error:
            failures.append(error)
            Job.objects.filter(pk=job.pk).delete()
        finally:
            from django.db import connection

            connection.close()

    thread = threading.Thread(target=live)
    thread.start()
    called = manage("logs", job.identifier, "-f")
    thread.join(30)
    assert not failures
    assert called.out.splitlines() == ["one", "two", "--- attempt 2 ---", "three", "four", "the end"]
    assert called.err == f"Job {job.identifier} has no log yet: Running.\n"


def _seen_again(looks: list[int]) -> None:
    before = len(looks)
    wait_until(lambda: len(looks) > before + 2, what="another look")
