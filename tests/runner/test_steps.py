"""What each step makes of what it sees: the ends of a container, a new attempt, and who may end a job."""

import threading

import pytest

from jobs import storage
from jobs.errors import JobError
from jobs.models import Job, JobOutput, StatusChange
from jobs.states import State, StatusCode
from runner import outputs, steps
from runner.containers import spec_for
from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase, Status
from runner.executors.fake import FakeExecutor, FakeRun
from runner.followers import Followers
from runner.loop import Runner
from runner.steps import GaveUp, Tools
from tests.factories import make_job, make_output, make_request
from tests.git_repositories import make_repository
from tests.publication import leave, never
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def endless(spec: ContainerSpec) -> FakeRun:
    return FakeRun(until=threading.Event())


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor(endless)


@pytest.fixture
def tools(executor):
    followers = Followers(executor)
    yield Tools(executor, followers, threading.Event())
    followers.close()


def executing(executor: FakeExecutor, **columns) -> Job:
    job = make_job(StatusCode.EXECUTING, **columns)
    executor.start(spec_for(job))
    return job


@pytest.fixture
def study_job(tmp_path) -> Job:
    """A job whose code can really be fetched."""
    commit = make_repository(tmp_path / "study", {"make.sh": "true"})
    return make_job(request=make_request(repo_url=str(tmp_path / "study"), commit=commit))


def test_an_ended_container_gives_the_job_its_facts(executor, tools):
    job = executing(executor)
    executor.finish(job.container_name, 3)

    steps.observe(job, tools)

    job = Job.objects.get()
    assert (job.status_code, job.exit_code) == (StatusCode.EXECUTED, 3)
    assert job.image_id.startswith("sha256:")


@pytest.mark.parametrize("end", ["interrupt", "vanish"])
def test_a_container_that_its_engine_lost_makes_a_new_attempt(executor, tools, end):
    job = executing(executor)
    folder = storage.job_workspace(job)
    folder.mkdir(parents=True)
    (folder / "input.csv").write_text("patients")
    getattr(executor, end)(job.container_name)

    steps.observe(job, tools)

    job = Job.objects.get()
    assert (job.status_code, job.attempt, job.exit_code) == (StatusCode.WAITING_ON_NEW_TASK, 2, None)
    assert "run again (attempt 2 of" in job.status_message
    assert executor.statuses() == {}
    assert not folder.exists()


def test_a_job_that_is_interrupted_again_and_again_is_given_up_and_kept(executor, tools, settings):
    settings.MAX_ATTEMPTS = 2
    job = executing(executor, attempt=2)
    executor.interrupt(job.container_name)

    with pytest.raises(GaveUp, match="Attempt 2 of 2 was interrupted as well"):
        steps.observe(job, tools)

    assert executor.status(job.container_name).phase is Phase.INTERRUPTED


def test_a_container_that_was_made_and_never_started_is_started(executor, tools):
    job = make_job(StatusCode.EXECUTING)
    executor.create(spec_for(job))
    steps.observe(job, tools)
    assert executor.status(job.container_name).phase is Phase.RUNNING
    assert Job.objects.get().status_code == StatusCode.EXECUTING


def test_a_running_container_changes_nothing(executor, tools):
    job = executing(executor)
    steps.observe(job, tools)
    assert Job.objects.get().status_code == StatusCode.EXECUTING


def test_a_lost_host_is_nobodys_failure(executor, tools, monkeypatch):
    job = executing(executor)
    monkeypatch.setattr(executor, "status", lambda name: Status(Phase.LOST, reason="Host a cannot be reached."))
    with pytest.raises(ExecutorUnavailable, match="Host a cannot be reached"):
        steps.observe(job, tools)
    assert Job.objects.get().status_code == StatusCode.EXECUTING


def test_an_interrupted_job_succeeds_in_its_second_attempt_with_only_that_ones_outputs(study_job):
    """The first attempt had written something when its engine went down, and claims to have ended well."""
    runs = iter([endless(None), FakeRun(files={"output/table.csv": b"second"})])
    executor = FakeExecutor(lambda spec: next(runs))
    runner = Runner(executor)
    first = f"jobrunner-{study_job.identifier}-1"
    wait_until(lambda: runner.tick() and executor.status(first).phase is Phase.RUNNING, what="the first attempt")
    study_job.refresh_from_db()
    (storage.job_workspace(study_job) / "output").mkdir(exist_ok=True)
    (storage.job_workspace(study_job) / "output" / "table.csv").write_text("first")

    executor.interrupt(first)
    wait_until(lambda: runner.tick() == 0, what="the end")

    runner.close()
    job = Job.objects.get()
    assert (job.status_code, job.attempt) == (StatusCode.SUCCEEDED, 2)
    assert (storage.high_privacy_workspace(job.workspace) / "output" / "table.csv").read_text() == "second"
    assert JobOutput.objects.count() == 1
    assert executor.statuses() == {}
    assert list((storage.job_folder(job).parent.parent).iterdir()) == []
    attempts = StatusChange.objects.filter(to_code=StatusCode.EXECUTING).values_list("attempt", flat=True)
    assert sorted(attempts) == [1, 2]


def test_a_job_cancelled_while_it_waits_for_a_new_attempt_never_runs_again(study_job):
    executor = FakeExecutor(endless)
    runner = Runner(executor)
    first = f"jobrunner-{study_job.identifier}-1"
    wait_until(lambda: runner.tick() and executor.status(first).phase is Phase.RUNNING, what="the first attempt")
    executor.interrupt(first)
    Job.objects.get().request_cancel(by="alice", reason="")

    wait_until(lambda: runner.tick() == 0, what="the end")

    runner.close()
    assert Job.objects.get().status_code == StatusCode.CANCELLED_BY_USER
    assert executor.statuses() == {}


def test_an_action_that_needs_a_database_without_address_fails_in_the_authors_words(study_job, settings):
    settings.DATABASE_URLS = {}
    settings.USING_DUMMY_DATA_BACKEND = False
    settings.MAX_DB_WORKERS = 1
    Job.objects.update(requires_db=True)
    executor = FakeExecutor()
    runner = Runner(executor)

    wait_until(lambda: runner.tick() == 0, what="the end")

    runner.close()
    job = Job.objects.get()
    assert job.status_code == StatusCode.JOB_ERROR
    assert "for which this backend has no address" in job.status_message
    assert executor.statuses() == {}


def test_preparing_forgets_the_container_the_log_and_the_plan_of_an_earlier_life(study_job, tools):
    """The database was lost and the request came again: same identifier, same names. A plan would even be published."""
    job, executor = study_job, tools.executor
    leave(job, {"output/table.csv": b"of the earlier life"})
    assert outputs.collect(job, should_stop=never)[1] is not None
    storage.job_log(job).parent.mkdir(parents=True)
    for path_of in (storage.job_log, storage.job_error_stamps, storage.job_inputs, storage.job_metadata):
        path_of(job).write_text("of the earlier life")
    executor.start(spec_for(job))
    executor.finish(job.container_name, 0)
    Job.objects.update(status_code=StatusCode.PREPARING, state=State.RUNNING)
    job.refresh_from_db()

    steps.prepare(job, tools)

    assert executor.status(job.container_name).phase is Phase.ABSENT
    assert outputs.load_plan(job) is None
    for path in (storage.job_log(job), storage.job_error_stamps(job), storage.job_metadata(job)):
        assert not path.exists()
    assert not storage.job_inputs(job).exists()
    assert not (storage.job_workspace(job) / "output" / "table.csv").exists()


def test_finalising_without_an_observed_end_is_our_bug_and_never_a_success(executor, tools):
    """Whatever is in the folder: a container that nobody saw end has not succeeded."""
    job = make_job(StatusCode.FINALIZING)
    with pytest.raises(RuntimeError, match="never seen to end"):
        steps.finalize(job, tools)
    assert JobOutput.objects.count() == 0


@pytest.mark.parametrize("stop", ["cancel", "kill"])
def test_a_stop_while_finalising_wins_as_long_as_there_is_no_plan(executor, tools, stop):
    job = executing(executor)
    executor.finish(job.container_name, 0)
    steps.observe(job, tools)
    steps.begin_to_finalize(job, tools)
    getattr(job, f"request_{stop}")(by="alice", reason="wrong data")

    steps.finalize(job, tools)

    expected = StatusCode.CANCELLED_BY_USER if stop == "cancel" else StatusCode.KILLED_BY_ADMIN
    job = Job.objects.get()
    assert (job.status_code, job.outcome_code) == (StatusCode.FINALIZED, expected)
    assert "by alice: wrong data" in job.outcome_message
    assert JobOutput.objects.count() == 0


def test_a_cancel_ends_a_fetch_from_a_git_host_that_hangs(serve, tmp_path):
    commit = make_repository(tmp_path / "study", {"make.sh": "true"})
    with serve(tmp_path) as server:
        job = make_job(request=make_request(repo_url=f"{server.url}/study", commit=commit))
        server.faults.append("hang")
        asked = threading.Event()
        server.on_request = asked.set
        runner = Runner(FakeExecutor())
        wait_until(lambda: runner.tick() and asked.is_set(), what="the fetch")

        job.request_cancel(by="alice", reason="")
        wait_until(lambda: runner.tick() == 0, seconds=15, what="the end, long before git's own time limit")

        runner.close()
    assert Job.objects.get().status_code == StatusCode.CANCELLED_BY_USER


@pytest.mark.parametrize(
    "columns",
    [{"repo_url": "https://github.com/opensafely/other"}, {"database_name": "dummy"}],
    ids=["repo", "database"],
)
def test_no_job_is_given_rows_of_another_repository_or_database(tools, columns):
    """However they came to lie in its workspace."""
    make_output(make_job(StatusCode.SUCCEEDED, request=make_request(**columns), action="extract"))
    job = make_job(StatusCode.PREPARING, action="report", needs=["extract"])

    with pytest.raises(JobError, match=r"outputs of extract .* were made from another repository or with other data"):
        steps.prepare(job, tools)


@pytest.mark.parametrize("is_dummy", [True, False])
def test_no_job_with_real_data_is_given_dummy_rows(settings, is_dummy):
    settings.USING_DUMMY_DATA_BACKEND = is_dummy
    make_output(make_job(StatusCode.SUCCEEDED, action="extract", has_dummy_data=not is_dummy))
    job = make_job(StatusCode.PREPARING, action="report", needs=["extract"])
    inputs = JobOutput.objects.inputs_for(job.workspace, job.needs)

    with pytest.raises(JobError, match="with other data"):
        steps.refuse_strange_inputs(job, inputs)

    Job.objects.filter(action="extract").update(has_dummy_data=None)
    steps.refuse_strange_inputs(job, inputs)
