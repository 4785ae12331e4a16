"""Logs, piece by piece, and who has read them."""

import os
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import storage
from jobs.api import logs
from jobs.models import AuditEntry
from jobs.people import log_views
from jobs.people.roles import OPERATOR
from jobs.states import StatusCode
from tests.api_calls import API, program
from tests.factories import make_job

pytestmark = pytest.mark.django_db
TEXT = "".join(f"2026-11-26T10:00:00Z line {number} \u00e4\n" for number in range(100)).encode()


@pytest.fixture
def caller():
    return program(OPERATOR)


@pytest.fixture
def job():
    job = make_job(StatusCode.EXECUTING)
    write(job, TEXT)
    return job


def write(job, content: bytes) -> None:
    path = storage.job_log(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def ask(caller, job, query: str = ""):
    return caller.get(f"{API}/jobs/{job.identifier}/log{query}")


def test_the_pieces_together_are_the_log(caller, job):
    found, place = b"", 0
    for _ in range(100):
        piece = ask(caller, job, f"?from={place}&most=100")
        assert piece["X-Log-From"] == str(place)
        if not piece.content:
            break
        found += piece.content
        place = int(piece["X-Log-Next"])
    assert found == TEXT


def test_a_log_is_plain_text_that_no_browser_takes_for_more(caller, job):
    write(job, b"<script>alert(1)</script>\x1b[2J\xff\x00")
    answer = ask(caller, job)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer.content == b"<script>alert(1)</script>\x1b[2J\xff\x00"


def test_what_comes_later_is_got_from_where_the_last_piece_ended(caller, job):
    first = ask(caller, job)
    write(job, TEXT + b"more\n")
    assert ask(caller, job, f"?from={first['X-Log-Next']}").content == b"more\n"
    assert first["X-Log-Job-Active"] == "true"


@pytest.mark.parametrize("lines", [1, 3, 100, 500])
def test_tail_gives_the_last_lines(caller, job, lines):
    wanted = b"".join(TEXT.splitlines(keepends=True)[-lines:])
    assert ask(caller, job, f"?tail={lines}").content == wanted


def test_tail_gives_whole_lines_only_when_they_do_not_all_fit(caller, job):
    line = TEXT.splitlines(keepends=True)[-1]
    assert ask(caller, job, f"?tail=5&most={len(line) + 3}").content == line


def test_a_tail_without_a_last_newline_counts_the_open_line(caller, job):
    write(job, b"one\ntwo\nthree")
    assert ask(caller, job, "?tail=2").content == b"two\nthree"


def test_an_empty_log_is_empty(caller, job):
    write(job, b"")
    assert ask(caller, job).content == b""
    assert ask(caller, job, "?tail=3").content == b""


def test_beyond_the_end_there_is_nothing(caller, job):
    answer = ask(caller, job, "?from=9223372036854775807")
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer["X-Log-Next"] == answer["X-Log-Size"] == str(len(TEXT))


@pytest.mark.parametrize("query", ["?from=-1", "?from=1&tail=1", "?most=0", "?most=1048577", "?tail=0", "?from=x"])
def test_what_makes_no_sense_is_refused(caller, job, query):
    assert ask(caller, job, query).status_code == 422


def test_a_storage_that_is_not_there_is_no_log_that_was_never_written(caller):
    answer = ask(caller, make_job())
    assert answer.status_code == 503
    assert "mounted" in answer.json()["detail"]


def test_without_a_log_there_is_a_sentence(caller, settings):
    settings.HIGH_PRIVACY_STORAGE_BASE.mkdir()
    assert "none yet" in ask(caller, make_job()).json()["detail"]
    assert "never ran" in ask(caller, make_job(StatusCode.DEPENDENCY_FAILED)).json()["detail"]


def refused(caller, job) -> bool:
    answer = ask(caller, job)
    return answer.status_code == 503 and "secret" not in answer.content.decode()


def test_what_is_no_file_is_no_log(caller, job, tmp_path):
    path = storage.job_log(job)
    path.unlink()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path.symlink_to(secret)
    assert refused(caller, job)
    path.unlink()
    os.mkfifo(path)
    assert refused(caller, job)
    path.unlink()
    path.mkdir()
    assert refused(caller, job)


def test_who_reads_a_log_is_noted_once_an_hour(caller, job):
    for _ in range(3):
        ask(caller, job)
    noted = AuditEntry.objects.filter(verb="view log")
    entry = noted.get()
    assert (entry.actor, entry.via, entry.object_id) == (caller.person.username, "api", job.identifier)
    noted.update(at=timezone.now() - log_views.NOTED_EVERY - timedelta(seconds=1))
    ask(caller, job)
    assert noted.count() == 2


def test_a_log_that_is_not_there_is_not_noted_as_read(caller):
    ask(caller, make_job())
    assert not AuditEntry.objects.filter(verb="view log").exists()


def test_an_earlier_attempt_has_a_log_of_its_own(caller, job):
    job.attempt = 2
    job.save()
    write(job, b"second\n")
    assert ask(caller, job).content == b"second\n"
    earlier = ask(caller, job, "?attempt=1")
    assert earlier.content == TEXT
    assert earlier["X-Log-Job-Active"] == "false"
    assert ask(caller, job, "?attempt=3").status_code == 404


def test_an_answer_holds_a_megabyte_at_most(caller, job):
    write(job, b"x" * (3 * logs.MOST_BYTES))
    assert len(ask(caller, job).content) == logs.MOST_BYTES
    assert len(ask(caller, job, "?tail=1").content) in (0, logs.MOST_BYTES)
