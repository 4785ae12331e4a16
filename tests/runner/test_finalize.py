"""The finalising step: what a stop still changes, and that outputs and outcome are stored together or not at all."""

import threading

import pytest

from jobs.errors import Stopped
from jobs.models import Job, JobOutput
from jobs.states import StatusCode
from runner import outputs, steps
from runner.containers import spec_for
from runner.executors.base import Phase
from runner.executors.fake import FakeExecutor, FakeRun
from runner.followers import Followers
from runner.steps import Tools
from runner.workspaces.lock import publishing_lock
from tests.factories import make_job
from tests.publication import high, leave, never
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class CountingEvent(threading.Event):
    """Knows how often it was looked at."""

    looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return super().is_set()


@pytest.fixture
def tools():
    executor = FakeExecutor(lambda spec: FakeRun(until=threading.Event()))
    followers = Followers(executor)
    yield Tools(executor, followers, CountingEvent())
    followers.close()


def ended_job() -> Job:
    """A job whose command has ended well and made what it promised."""
    job = make_job(StatusCode.FINALIZING, exit_code=0)
    leave(job, {"output/table.csv": b"a,b\n"})
    return job


def test_the_container_of_a_cancelled_job_is_stopped_before_its_log_is_completed(tools):
    job = make_job(StatusCode.EXECUTING)
    tools.executor.start(spec_for(job))
    job.request_cancel(by="alice", reason="")
    steps.begin_to_finalize(job, tools)

    steps.finalize(job, tools)

    status = tools.executor.status(job.container_name)
    assert (status.phase, status.exit_code) == (Phase.EXITED, 137)
    assert Job.objects.get().outcome_code == StatusCode.CANCELLED_BY_USER


def test_outputs_become_current_only_together_with_the_outcome(tools, monkeypatch):
    job = ended_job()
    with monkeypatch.context() as broken:
        broken.setattr(steps, "_finalized", lambda job, outcome: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            steps.finalize(job, tools)
        assert JobOutput.objects.filter(is_current=True).count() == 0

    steps.finalize(job, tools)

    assert Job.objects.get().outcome_code == StatusCode.SUCCEEDED
    assert JobOutput.objects.filter(is_current=True).count() == 1


def test_a_cancel_after_the_plan_does_not_end_the_wait_for_another_jobs_publication(tools):
    """The publication is carried through whatever comes; giving up its place in the queue would only make it spin."""
    job = ended_job()
    assert outputs.collect(job, should_stop=never)[1] is not None
    job.request_cancel(by="alice", reason="")
    tools.stop.set()
    errors = []

    def finalize() -> None:
        try:
            steps.finalize(job, tools)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=finalize)
    with publishing_lock(job.workspace, never):
        thread.start()
        wait_until(lambda: tools.stop.looks >= 3 or errors, what="the wait for the other job")
        assert thread.is_alive() and not errors
    thread.join(20)

    assert not errors
    assert Job.objects.get().outcome_code == StatusCode.SUCCEEDED
    assert high("output/table.csv").read_bytes() == b"a,b\n"


def test_the_runners_own_end_interrupts_that_wait_and_loses_nothing(tools):
    job = ended_job()
    outputs.collect(job, should_stop=never)
    tools.stop.set()
    with publishing_lock(job.workspace, never), pytest.raises(Stopped):
        steps.finalize(job, tools)
    tools.stop.clear()

    steps.finalize(job, tools)

    assert Job.objects.get().outcome_code == StatusCode.SUCCEEDED
