"""Finalising again what a fault of ours cut off: once, truly, and never by running the command a second time."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs import asking, storage
from jobs.models import Job, JobOutput, StatusChange, Who
from jobs.states import StatusCode
from runner import finalising_again, steps
from runner.containers import spec_for
from runner.executors.base import Executor, ExecutorUnavailable, Phase
from runner.executors.fake import FakeExecutor, FakeRun
from runner.loop import Runner
from tests import engine
from tests.factories import make_job
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
OLIVE = Who("olive", "dashboard")
RUN = FakeRun(files={"output/table.csv": b"n\n10\n"}, log=b"begun\n")


class Fault:
    """While it is there a step fails by a bug of ours, wherever it stands in the step: before or after the work."""

    def __init__(self, monkeypatch, code: StatusCode, *, after: bool = False):
        self.is_there, self._step, self._after = True, steps.STEPS[code], after
        monkeypatch.setitem(steps.STEPS, code, self._run)

    def _run(self, job: Job, tools) -> None:
        if self.is_there and not self._after:
            raise RuntimeError("a bug of ours")
        if self.is_there:
            move, job.move_to = job.move_to, _break
            try:
                self._step(job, tools)
            finally:
                job.move_to = move
        else:
            self._step(job, tools)


def _break(code, message, **facts) -> None:
    raise RuntimeError("a bug of ours, after the work and before the status")


@pytest.fixture
def begin():
    """A Runner on an executor, closed at the end."""
    runners = []

    def make(executor: Executor) -> Runner:
        runners.append(Runner(executor))
        return runners[-1]

    yield make
    for runner in runners:
        runner.close()


def executing(executor: Executor, **columns) -> Job:
    """A job whose container has been started in a folder of its own."""
    job = make_job(StatusCode.EXECUTING, action="make_table", **columns)
    engine.make_workspace(storage.job_workspace(job))
    executor.start(spec_for(job))
    return job


def code_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).status_code


def tick_until(runner: Runner, condition: Callable[[], object], what: str) -> None:
    def look() -> object:
        runner.tick()
        return condition()

    wait_until(look, what=what)


def ended(runner: Runner, job: Job, code: StatusCode) -> Job:
    tick_until(runner, lambda: code_of(job) == code, f"the end as {code}")
    return Job.objects.get(pk=job.pk)


def ask(job: Job) -> None:
    (result,) = asking.finalise_again([job.identifier], OLIVE, "the disk is mended")
    assert result.was_done


def codes_of(job: Job) -> list[str]:
    return list(StatusChange.objects.filter(job=job).values_list("to_code", flat=True))


def is_answered(job: Job) -> bool:
    return not Job.objects.filter(pk=job.pk).retry_requested().exists()


@pytest.mark.parametrize("after", [False, True], ids=["before the work", "after the work"])
@pytest.mark.parametrize("code", [StatusCode.EXECUTED, StatusCode.FINALIZING, StatusCode.FINALIZED])
def test_what_a_fault_cut_off_is_finished_without_running_again(begin, monkeypatch, code, after):
    executor = FakeExecutor(lambda spec: RUN)
    job, fault = executing(executor), Fault(monkeypatch, code, after=after)
    runner = begin(executor)
    ended(runner, job, StatusCode.INTERNAL_ERROR)
    fault.is_there = False

    ask(job)
    job = ended(runner, job, StatusCode.SUCCEEDED)

    assert codes_of(job).count(StatusCode.EXECUTED) == 2 and StatusCode.EXECUTING not in codes_of(job)
    assert job.attempt == 1 and not job.retry_requested_at and not job.retry_requested_by
    assert JobOutput.objects.get().path == "output/table.csv"
    assert (storage.high_privacy_workspace(job.workspace) / "output/table.csv").read_bytes() == b"n\n10\n"
    assert "begun" in storage.action_log(storage.high_privacy_workspace(job.workspace), job.action).read_text()
    again = StatusChange.objects.filter(job=job, from_code=StatusCode.INTERNAL_ERROR).get()
    assert (again.actor, again.message) == ("olive", "Finalised again, asked for by olive: the disk is mended")


def test_a_fault_that_comes_again_ends_it_again_and_is_not_tried_for_ever(begin, monkeypatch):
    executor = FakeExecutor(lambda spec: RUN)
    job = executing(executor)
    Fault(monkeypatch, StatusCode.FINALIZING)
    runner = begin(executor)
    ended(runner, job, StatusCode.INTERNAL_ERROR)

    ask(job)
    tick_until(runner, lambda: codes_of(job).count(StatusCode.INTERNAL_ERROR) == 2, "the second end")
    for _ in range(5):
        runner.tick()

    assert codes_of(job).count(StatusCode.INTERNAL_ERROR) == 2 and is_answered(job)
    assert storage.job_workspace(job).is_dir(), "what could be finalised is kept"
    ask(job)  # it may be asked anew


def interrupted(**columns) -> Job:
    """A job that ended by our fault after its command had been seen to end."""
    job = make_job(StatusCode.EXECUTING, action="make_table", **columns)
    job.move_to(StatusCode.EXECUTED, "Ended.", exit_code=0)
    job.move_to(StatusCode.INTERNAL_ERROR, "A fault of ours.")
    return job


def refused(begin, job: Job) -> str:
    runner = begin(FakeExecutor())
    ask(job)
    tick_until(runner, lambda: is_answered(job), "the answer")
    job.refresh_from_db()
    assert job.status_code == StatusCode.INTERNAL_ERROR and "Run it again instead." in job.status_message
    ask(job)  # anew
    return job.status_message


def test_without_its_folder_nothing_is_left(begin):
    assert "olive asked to have it finalised again, but nothing is left" in refused(begin, interrupted())


def test_a_command_that_was_never_seen_to_end_has_no_outcome(begin):
    """Its container was killed when our fault ended the job: what lies in the folder may be half."""
    job = make_job(StatusCode.EXECUTING)
    job.move_to(StatusCode.INTERNAL_ERROR, "Interrupted three times.")
    storage.job_workspace(job).mkdir(parents=True)
    assert "never seen to end" in refused(begin, job)


def test_the_end_of_an_earlier_attempt_counts_for_nothing(begin):
    job = make_job(StatusCode.EXECUTING, exit_code=0, attempt=2)
    StatusChange.objects.create(job=job, to_code=StatusCode.EXECUTED, attempt=1, actor="runner", at=job.created_at)
    job.move_to(StatusCode.INTERNAL_ERROR, "A fault of ours.")
    storage.job_workspace(job).mkdir(parents=True)
    assert "never seen to end" in refused(begin, job)


@pytest.mark.parametrize("newer", [StatusCode.SUCCEEDED, StatusCode.CREATED, StatusCode.EXECUTING])
def test_older_outputs_never_replace_those_of_a_newer_run(begin, newer):
    job = interrupted()
    storage.job_workspace(job).mkdir(parents=True)
    again = make_job(newer, action=job.action)
    assert f"run again since (job {again.identifier})" in finalising_again.why_not(job)
    assert "must not replace newer ones" in refused(begin, job)


def test_a_newer_run_that_failed_stands_in_nobodys_way():
    job = interrupted()
    storage.job_workspace(job).mkdir(parents=True)
    make_job(StatusCode.NONZERO_EXIT, action=job.action)
    make_job(StatusCode.SUCCEEDED, action=job.action, workspace="elsewhere")
    assert finalising_again.why_not(job) == ""


def test_a_job_that_was_to_be_cancelled_is_cancelled(begin, monkeypatch):
    executor = FakeExecutor(lambda spec: FakeRun(until=threading.Event()))
    job, fault = executing(executor), Fault(monkeypatch, StatusCode.FINALIZING)
    job.request_cancel("olive", "not wanted")
    runner = begin(executor)
    ended(runner, job, StatusCode.INTERNAL_ERROR)
    fault.is_there = False
    ask(job)
    ended(runner, job, StatusCode.CANCELLED_BY_USER)
    assert JobOutput.objects.count() == 0


def test_a_turn_costs_the_same_whatever_is_asked_for(begin):
    runner, costs = begin(FakeExecutor()), []
    jobs = [interrupted() for _ in range(40)]
    runner._most_threads = 0  # nobody is free to answer
    runner.tick()  # the first one also gives signs of life
    for asked in (jobs[:1], jobs[1:]):
        for job in asked:
            ask(job)
        with CaptureQueriesContext(connection) as queries:
            runner.tick()
        costs.append(len(queries))
    assert costs[0] == costs[1]


@pytest.mark.needs_docker
def test_a_real_container_that_ran_once_gives_its_outputs_after_the_fault_is_mended(begin, monkeypatch):
    image = engine.tiny_image()
    with engine.docker_executor() as executor:
        script = "mkdir -p output; echo x >> output/table.csv; echo begun"
        job = executing(executor, image=image.partition("/")[2], arguments=["sh", "-c", script])
        fault, runner = Fault(monkeypatch, StatusCode.FINALIZING), begin(executor)
        ended(runner, job, StatusCode.INTERNAL_ERROR)
        status = executor.status(job.container_name)
        assert (status.phase, status.exit_code) == (Phase.EXITED, 0), "the container is kept"
        fault.is_there = False

        ask(job)
        job = ended(runner, job, StatusCode.SUCCEEDED)

        stored = storage.high_privacy_workspace(job.workspace) / "output/table.csv"
        assert stored.read_text() == "x\n", "the command has run once"
        assert codes_of(job).count(StatusCode.EXECUTING) == 0
        assert executor.status(job.container_name).phase is Phase.ABSENT


# Removing what was kept instead


def clear(job: Job) -> None:
    (result,) = asking.clear([job.identifier], OLIVE, "the disk is full")
    assert result.was_done


def cut_off(executor: Executor, begin, monkeypatch, code: StatusCode = StatusCode.FINALIZING) -> tuple[Job, Runner]:
    fault, job, runner = Fault(monkeypatch, code), executing(executor), begin(executor)
    ended(runner, job, StatusCode.INTERNAL_ERROR)
    fault.is_there = False
    return job, runner


def test_what_was_kept_is_removed_and_the_job_stays_ended(begin, monkeypatch):
    executor = FakeExecutor(lambda spec: RUN)
    job, runner = cut_off(executor, begin, monkeypatch)
    clear(job)
    tick_until(runner, lambda: Job.objects.get(pk=job.pk).was_cleared, "the removal")
    job.refresh_from_db()
    assert (job.status_code, job.is_cut_off, job.retry_requested_at) == (StatusCode.INTERNAL_ERROR, False, None)
    assert "have been removed, asked for by olive: run it again instead" in job.status_message
    assert executor.status(job.container_name).phase is Phase.ABSENT and not storage.job_folder(job).exists()
    assert not Job.objects.retriable().exists()
    (result,) = asking.finalise_again([job.identifier], OLIVE, "after all")
    assert not result.was_done
    (result,) = asking.clear([job.identifier], OLIVE, "again")
    assert not result.was_done and result.sentence == "nothing was kept of it: it ended as internal_error"


def test_outputs_that_are_half_stored_are_never_left_so(begin, monkeypatch):
    executor = FakeExecutor(lambda spec: RUN)
    monkeypatch.setattr(finalising_again.outputs, "load_plan", lambda job: object())
    job, runner = cut_off(executor, begin, monkeypatch)
    clear(job)
    tick_until(runner, lambda: Job.objects.get(pk=job.pk).retry_requested_at is None, "the answer")
    job.refresh_from_db()
    assert job.is_cut_off and "its outputs are half stored: have it finalised again" in job.status_message
    assert executor.status(job.container_name).phase is not Phase.ABSENT and storage.job_folder(job).exists()


def test_half_stored_outputs_that_a_newer_run_has_replaced_can_be_cleared(begin, monkeypatch):
    """Finalising again is refused for the newer run's sake, so there has to be this way out."""
    executor = FakeExecutor(lambda spec: RUN)
    monkeypatch.setattr(finalising_again.outputs, "load_plan", lambda job: object())
    job, runner = cut_off(executor, begin, monkeypatch)
    make_job(StatusCode.SUCCEEDED, workspace=job.workspace, action=job.action)
    assert finalising_again.why_not(job)
    clear(job)
    tick_until(runner, lambda: Job.objects.get(pk=job.pk).was_cleared, "the removal")


def test_the_log_is_saved_before_its_container_goes(begin, monkeypatch):
    executor = FakeExecutor(lambda spec: RUN)
    job, runner = cut_off(executor, begin, monkeypatch, StatusCode.EXECUTED)
    storage.job_log(job).unlink(missing_ok=True)
    clear(job)
    tick_until(runner, lambda: Job.objects.get(pk=job.pk).was_cleared, "the removal")
    assert b"begun" in storage.job_log(job).read_bytes()


def test_what_cannot_be_removed_is_said_and_not_tried_for_ever(begin, monkeypatch):
    executor = FakeExecutor(lambda spec: RUN)
    job, runner = cut_off(executor, begin, monkeypatch)

    def refuse(job: Job) -> None:
        raise ValueError("a broken plan")

    monkeypatch.setattr(finalising_again.outputs, "load_plan", refuse)
    clear(job)
    tick_until(runner, lambda: Job.objects.get(pk=job.pk).retry_requested_at is None, "the answer")
    job.refresh_from_db()
    assert "could not be removed (ValueError)" in job.status_message and job.is_cut_off


def test_staged_outputs_go_with_it(begin, monkeypatch):
    executor = FakeExecutor(lambda spec: RUN)
    job, runner = cut_off(executor, begin, monkeypatch)
    forgotten = []
    monkeypatch.setattr(finalising_again.outputs, "forget", lambda job, workspaces: forgotten.append(job))
    clear(job)
    tick_until(runner, lambda: Job.objects.get(pk=job.pk).was_cleared, "the removal")
    assert [each.pk for each in forgotten] == [job.pk]


def test_an_engine_that_does_not_answer_is_waited_for(begin, monkeypatch):
    executor = FakeExecutor(lambda spec: RUN)
    job, runner = cut_off(executor, begin, monkeypatch)
    real, silent = executor.remove, [True]

    def remove(name: str) -> None:
        if silent[0]:
            raise ExecutorUnavailable("No Docker engine answers.")
        real(name)

    monkeypatch.setattr(executor, "remove", remove)
    clear(job)
    tick_until(runner, lambda: "No Docker engine" in Job.objects.get(pk=job.pk).status_message, "the trouble")
    assert storage.job_folder(job).exists()
    silent[0] = False
    tick_until(runner, lambda: Job.objects.get(pk=job.pk).was_cleared, "the removal")


@pytest.mark.parametrize(
    "code", [StatusCode.EXECUTING, StatusCode.CREATED, StatusCode.SUCCEEDED, StatusCode.NONZERO_EXIT]
)
def test_only_of_what_was_cut_off_anything_is_removed(code):
    job = make_job(code)
    (result,) = asking.clear([job.identifier], OLIVE, "the disk is full")
    assert not result.was_done and not Job.objects.retry_requested().exists()
