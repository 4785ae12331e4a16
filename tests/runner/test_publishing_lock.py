"""The lock of a workspace: one publication at a time, and nobody waits deaf for it."""

import contextlib
import threading

import pytest

from jobs.states import StatusCode
from runner import outputs, steps
from runner.executors.fake import FakeExecutor
from runner.followers import Followers
from runner.steps import Tools
from runner.workspaces import lock
from runner.workspaces.files import (
    Stopped,
)
from runner.workspaces.lock import publishing_lock
from tests.publication import high, leave, make_publisher, never


def test_only_one_publication_at_a_time_in_a_workspace_and_others_are_not_held_up():
    order = []

    def second():
        with publishing_lock("study", never):
            order.append("second")

    waiting = threading.Thread(target=second)
    with publishing_lock("study", never):
        waiting.start()
        with publishing_lock("another", never):
            order.append("another")
        waiting.join(0.05)
        order.append("first")
    waiting.join()

    assert order == ["another", "first", "second"]


def test_a_stop_is_heard_while_another_publication_is_waited_for():
    asked = iter([False, False, True])

    with publishing_lock("study", never), pytest.raises(Stopped), publishing_lock("study", lambda: next(asked)):
        pass


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".."])
def test_a_lock_is_never_made_for_a_name_that_leads_elsewhere(name):
    with pytest.raises(ValueError), publishing_lock(name, never):
        pass


def staged_job(**columns):
    job = make_publisher(**columns)
    leave(job, {"output/rows.csv": b"id\n1\n", "output/table.csv": b"n\n1\n"})
    outputs.collect(job, should_stop=never)
    return job


@pytest.fixture
def tools():
    executor = FakeExecutor()
    followers = Followers(executor)
    yield Tools(executor, followers, threading.Event())
    followers.close()


@pytest.mark.django_db
def test_a_runner_that_ends_does_not_wait_for_another_jobs_publication(tools):
    job = staged_job(exit_code=0)
    tools.stop.set()

    with publishing_lock("study", never), pytest.raises(Stopped):
        steps.finalize(job, tools)

    assert outputs.load_plan(job) is not None and not high("output").exists()


@pytest.mark.django_db
def test_a_cancel_that_came_after_the_plan_waits_for_another_jobs_publication_and_carries_the_plan_through(
    tools, monkeypatch
):
    job = staged_job(exit_code=0)
    job.request_cancel(by="olive", reason="too late")
    tools.stop.set()
    other = contextlib.ExitStack()
    other.enter_context(publishing_lock("study", never))
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: other.close())

    steps.finalize(job, tools)

    assert high("output/rows.csv").exists()
    assert (job.status_code, job.outcome_code) == (StatusCode.FINALIZED, StatusCode.SUCCEEDED)
