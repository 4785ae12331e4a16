"""One `manage.py run`: whose jobs it may drive, and its exit code. Real processes: tests/test_end_of_run.py."""

import contextlib

import pytest

from jobs.states import StatusCode
from runner import process
from runner.engine_view import EngineView
from runner.lock import OtherExecutor, keep_to_one_executor
from runner.process import drive_jobs
from tests.factories import make_job


@pytest.mark.django_db(transaction=True)
def test_a_call_that_hangs_at_the_end_does_not_turn_a_failure_into_exit_code_0(settings, monkeypatch, capsys):
    failed = make_job(StatusCode.NONZERO_EXIT, action="table")
    make_job(StatusCode.WAITING_ON_DEPENDENCIES, action="report", waits_for=[failed])
    settings.EXECUTOR, codes = "fake", []
    monkeypatch.setattr(process, "only_runner", contextlib.nullcontext)
    monkeypatch.setattr(EngineView, "close", lambda view: False)
    monkeypatch.setattr(process, "end_at_once", lambda code, say: codes.append(code))

    assert not drive_jobs(until_idle=True)

    assert codes == [1]
    assert "dependency_failed" in capsys.readouterr().out


def test_a_work_directory_keeps_to_one_executor(settings):
    """The fake one would invent the outputs of jobs whose real containers it cannot see."""
    settings.EXECUTOR = "docker"
    keep_to_one_executor()
    keep_to_one_executor()
    settings.EXECUTOR = "fake"

    with pytest.raises(OtherExecutor, match=r"run by the docker executor.*WORK_DIR=workdir-fake"):
        keep_to_one_executor()

    settings.EXECUTOR = "docker"
    keep_to_one_executor()
