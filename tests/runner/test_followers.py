"""At most one follower for each container, and none that never was."""

import pytest

from jobs.states import StatusCode
from runner import logs
from runner.executors.fake import FakeExecutor
from runner.followers import Followers
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def test_where_no_thread_can_be_started_a_job_goes_on_and_its_log_is_followed_later(monkeypatch, caplog):
    job = make_job(StatusCode.EXECUTING)
    followers = Followers(FakeExecutor())

    def fails(follower):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(logs.LogFollower, "start", fails)
        assert [followers.follow(job), followers.follow(job)] == [False, False]
        followers.forget(job)

    assert caplog.text.count("logs cannot be followed for now") == 1
    assert followers.follow(job) is True
    followers.close()
