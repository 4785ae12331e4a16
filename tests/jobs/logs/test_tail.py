"""The last lines of a job's log, for pages that show a few."""

import pytest

from jobs.logs import tail
from jobs.states import StatusCode
from tests.factories import make_job
from tests.logs import write_log

pytestmark = pytest.mark.django_db


def test_the_last_lines_come_with_their_numbers_and_what_looks_like_an_error():
    job = make_job(StatusCode.NONZERO_EXIT)
    write_log(job, [*(f"line {number}" for number in range(1, 31)), "ValueError: no rows"])
    lines = tail(job, lines=3)
    assert [(line.number, line.text, line.is_error) for line in lines] == [
        (29, "line 29", False),
        (30, "line 30", False),
        (31, "ValueError: no rows", True),
    ]


def test_no_log_no_folder_and_a_link_all_give_no_lines(settings, tmp_path):
    job = make_job(StatusCode.NONZERO_EXIT)
    assert tail(job) == []
    path = write_log(job, ["a patient's row"])
    (tmp_path / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert tail(job) == []
    path.unlink()
    path.mkdir()
    assert tail(job) == []


def test_a_half_line_counts_only_when_the_job_has_ended():
    running, ended = make_job(StatusCode.EXECUTING), make_job(StatusCode.SUCCEEDED)
    for job, expected in ((running, ["one"]), (ended, ["one", "tw"])):
        write_log(job, ["one"], end=b"2026-11-26T07:43:00.123456789Z tw")
        assert [line.text for line in tail(job)] == expected
