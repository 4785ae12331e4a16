"""From a request to jobs: what runs again, what is joined, what is reused, and why. Rows M1-M16 of the requirements."""

import pytest
from django.utils import timezone

from jobs import storage
from jobs.deciding import StoredFiles
from jobs.models import Job, JobOutput, JobRequest, StatusChange
from jobs.planning import Decision, RequestError, make_plan, submit
from jobs.project import load_project
from jobs.states import ACTIVE_CODES, StatusCode
from tests.factories import make_job, make_output

pytestmark = pytest.mark.django_db

#  generate ─ prepare_1 ─┬─ analyse
#           └ prepare_2 ─┘
STUDY = load_project("""
version: '4.0'
actions:
  generate:
    run: ehrql:v1 generate-dataset analysis/dataset.py --output output/dataset.csv
    outputs: {highly_sensitive: {rows: output/dataset.csv}}
  prepare_1:
    run: python:v2 python prepare.py 1
    needs: [generate]
    outputs: {highly_sensitive: {rows: output/1.csv}}
  prepare_2:
    run: python:v2 python prepare.py 2
    needs: [generate]
    config: {weight: 2}
    outputs: {highly_sensitive: {rows: output/2.csv}}
  analyse:
    run: r:latest analyse.r "two words"
    needs: [prepare_1, prepare_2]
    outputs: {moderately_sensitive: {tables: output/*.json}}
""")


def ask(*actions: str, **columns) -> JobRequest:
    defaults = {
        "backend": "tpp",
        "workspace": "study",
        "repo_url": "https://github.com/opensafely/study",
        "commit": "c" * 40,
    }
    return JobRequest(requested_actions=list(actions), created_by="alice", **defaults | columns)


def run(*actions: str, **columns) -> list[str]:
    """The actions that get a new job, in order."""
    return [job.action for job in submit(ask(*actions, **columns), STUDY, by="alice").jobs]


def end(code: StatusCode, *actions: str, backend: str = "tpp") -> None:
    """As if these actions had been run before: a success leaves its file in storage."""
    for action in actions:
        job = make_job(code, action=action, backend=backend)
        if code == StatusCode.SUCCEEDED:
            leave_output(job, f"output/{action}.csv")


def leave_output(job: Job, path: str) -> None:
    make_output(job, path)
    file = storage.high_privacy_workspace(job.workspace) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def why(name: str, *actions: str, **columns) -> tuple[Decision, str]:
    planned = make_plan(ask(*actions, **columns), STUDY).actions[name]
    return planned.decision, planned.why


def waits(action: str) -> set[str]:
    return {job.action for job in Job.objects.filter(action=action).latest("pk").waits_for.all()}


def test_an_action_comes_with_all_that_it_needs_each_after_its_own_needs():
    """M1."""
    assert run("analyse") == ["generate", "prepare_1", "prepare_2", "analyse"]
    assert waits("generate") == set()
    assert waits("prepare_1") == waits("prepare_2") == {"generate"}
    assert waits("analyse") == {"prepare_1", "prepare_2"}
    codes = dict(Job.objects.values_list("action", "status_code"))
    assert codes.pop("generate") == StatusCode.CREATED
    assert set(codes.values()) == {StatusCode.WAITING_ON_DEPENDENCIES}


def test_a_new_job_holds_all_that_is_needed_to_run_it():
    request = ask("analyse", database_name="full")
    submit(request, STUDY, by="alice")
    job = Job.objects.get(action="analyse")
    assert (job.request, job.backend, job.workspace) == (request, "tpp", "study")
    assert (job.image, job.arguments) == ("r:latest", ["analyse.r", "two words"])
    assert job.run_command == 'r:latest analyse.r "two words"'
    assert job.output_spec == {"moderately_sensitive": {"tables": "output/*.json"}}
    assert job.needs == ["prepare_1", "prepare_2"]
    assert job.status_message == "Waiting for prepare_1 and prepare_2."
    assert [name for name in ("generate", "analyse") if Job.objects.get(action=name).requires_db] == ["generate"]
    assert Job.objects.get(action="prepare_2").arguments[-2:] == ["--config", '{"weight": 2}']
    assert request.study_actions == ["generate", "prepare_1", "prepare_2", "analyse"]


def test_the_timeline_of_each_new_job_begins_with_who_asked():
    run("prepare_1")
    lines = StatusChange.objects.order_by("pk").values_list("job__action", "from_code", "to_code", "actor")
    assert list(lines) == [
        ("generate", "", "created", "alice"),
        ("prepare_1", "", "waiting_on_dependencies", "alice"),
    ]


@pytest.mark.parametrize("code", ACTIVE_CODES)
def test_a_job_that_is_active_is_joined_and_not_doubled(code):
    """M2."""
    active = make_job(code, action="generate", backend="tpp")
    assert run("prepare_1") == ["prepare_1"]
    assert Job.objects.get(action="prepare_1").waits_for.get() == active
    assert Job.objects.get(action="prepare_1").status_code == StatusCode.WAITING_ON_DEPENDENCIES


def test_a_job_that_is_being_stopped_is_not_joined():
    make_job(StatusCode.EXECUTING, action="generate", backend="tpp").request_cancel(by="bob", reason="")
    decision, reason = why("generate", "prepare_1")
    assert decision is Decision.RUN and reason.endswith("is being stopped")
    assert run("prepare_1") == ["generate", "prepare_1"]


def test_a_job_behind_one_that_is_being_stopped_is_not_joined():
    """The runner has not ended it yet, but it never will succeed; nor will the one behind it."""
    run("analyse")
    Job.objects.get(action="generate").request_cancel(by="bob", reason="")

    assert run("run_all") == ["generate", "prepare_1", "prepare_2", "analyse"]

    decision, _ = why("analyse", "analyse")
    assert decision is Decision.JOIN
    newest = Job.objects.filter(action="generate").latest("pk")
    assert set(Job.objects.filter(action="prepare_1").latest("pk").waits_for.all()) == {newest}


def test_a_job_behind_one_that_has_just_failed_is_not_joined():
    run("prepare_1")
    failed = Job.objects.get(action="generate")
    failed.move_to(StatusCode.INITIATED, "Starting.")
    failed.move_to(StatusCode.INTERNAL_ERROR, "No.")

    decision, reason = why("prepare_1", "run_all")

    assert decision is Decision.RUN and "waits for one that failed or is being stopped" in reason


def test_a_job_at_another_commit_is_joined_and_reused_but_the_plan_says_so():
    """A study whose author has pushed a change: what has run already stays, as in the older system."""
    end(StatusCode.SUCCEEDED, "generate")
    waiting = make_job(StatusCode.CREATED, action="prepare_1", backend="tpp", run_command="python:v2 python old.py")

    plan = make_plan(ask("prepare_1", "prepare_2", commit="d" * 40), STUDY)

    reused, joined, new = (plan.actions[name] for name in ("generate", "prepare_1", "prepare_2"))
    assert (reused.decision, joined.decision, new.decision) == (Decision.REUSE, Decision.JOIN, Decision.RUN)
    assert reused.why.endswith("in storage (at commit cccccccccc)")
    assert joined.why == f"job {waiting.identifier} is already pending (at commit cccccccccc)"
    assert (joined.run_command, new.run_command) == ("python:v2 python old.py", STUDY.action("prepare_2").run)
    assert (reused.is_of_other_commit, joined.is_of_other_commit, new.is_of_other_commit) == (True, True, False)


def test_run_all_at_a_new_commit_says_what_ran_at_another_one_and_how_to_run_it_again():
    end(StatusCode.SUCCEEDED, *STUDY.all_actions())
    answer = submit(ask("run_all", commit="d" * 40), STUDY, by="alice").plan.nothing_to_do
    assert answer.endswith(
        "generate, prepare_1, prepare_2 and analyse ran at another commit than this one. "
        "To run an action again, ask for it by name."
    )


OTHERS = {"repository": {"repo_url": "https://github.com/opensafely/other"}, "database": {"database_name": "full"}}


@pytest.mark.parametrize("columns", OTHERS.values(), ids=OTHERS)
def test_a_workspace_with_active_jobs_of_another_repository_or_database_is_busy(columns):
    """Inputs are found by workspace and action: a job of one would be given the rows of the other."""
    busy = make_job(StatusCode.EXECUTING, action="anything", backend="tpp")
    with pytest.raises(RequestError, match=r"has active jobs of .* would be mixed"):
        run("prepare_1", **columns)
    Job.objects.filter(pk=busy.pk).update(state="failed", status_code="job_error", completed_at=timezone.now())
    assert run("prepare_1", **columns) == ["generate", "prepare_1"]


def test_what_was_made_with_dummy_data_is_not_reused_once_the_backend_has_real_ones(settings):
    end(StatusCode.SUCCEEDED, "generate")
    Job.objects.update(has_dummy_data=True)
    settings.USING_DUMMY_DATA_BACKEND = True
    assert why("generate", "prepare_1")[0] is Decision.REUSE

    settings.USING_DUMMY_DATA_BACKEND = False

    decision, reason = why("generate", "prepare_1")
    assert decision is Decision.RUN and reason.endswith("was made with dummy data")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (OTHERS["repository"], "ran another repository"),
        (OTHERS["database"], "was made with database default"),
    ],
)
def test_a_job_of_another_repository_or_database_is_not_reused(columns, reason):
    """Its rows would be taken for those of this study, or of this database."""
    end(StatusCode.SUCCEEDED, "generate")
    decision, why_it_runs = why("generate", "prepare_1", **columns)
    assert decision is Decision.RUN and why_it_runs.endswith(reason)
    assert run("prepare_1", **columns) == ["generate", "prepare_1"]


def test_two_spellings_of_an_address_are_one_repository():
    end(StatusCode.SUCCEEDED, "generate")
    assert run("prepare_1", repo_url="https://GitHub.com/opensafely/study.git/") == ["prepare_1"]


def test_jobs_of_another_backend_or_workspace_do_not_count():
    """M3."""
    end(StatusCode.SUCCEEDED, "generate", backend="emis")
    make_job(StatusCode.EXECUTING, action="generate", backend="tpp", workspace="another")
    assert run("prepare_1") == ["generate", "prepare_1"]


def test_a_need_that_succeeded_is_neither_run_again_nor_waited_for():
    """M4."""
    end(StatusCode.SUCCEEDED, "generate")
    assert run("prepare_1") == ["prepare_1"]
    assert Job.objects.get(action="prepare_1").status_code == StatusCode.CREATED


@pytest.mark.parametrize("code", [StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN])
def test_cancelled_and_killed_jobs_do_not_count(code):
    """M5."""
    end(code, "generate")
    assert run("prepare_1") == ["generate", "prepare_1"]
    assert why("generate", "prepare_2")[0] is Decision.JOIN


def test_a_success_before_a_cancelled_job_still_counts():
    end(StatusCode.SUCCEEDED, "generate")
    end(StatusCode.CANCELLED_BY_USER, "generate")
    assert run("prepare_1") == ["prepare_1"]


def test_run_all_with_everything_done_is_nothing_to_do_and_no_error():
    """M6: an action that failed and has since been removed from the file does not matter."""
    end(StatusCode.SUCCEEDED, *STUDY.all_actions())
    end(StatusCode.NONZERO_EXIT, "obsolete")
    submission = submit(ask("run_all"), STUDY, by="alice")
    assert submission.jobs == []
    assert submission.plan.nothing_to_do == (
        "Nothing to do: all actions have already succeeded and their outputs are in storage. "
        "To run an action again, ask for it by name."
    )
    assert not JobRequest.objects.filter(created_by="alice", backend="tpp", requested_actions=["run_all"]).exists()


def test_run_all_runs_what_is_not_done():
    end(StatusCode.SUCCEEDED, "generate", "prepare_1")
    assert run("run_all") == ["prepare_2", "analyse"]


def test_what_is_already_scheduled_is_nothing_to_do():
    """M9."""
    run("run_all")
    submission = submit(ask("run_all"), STUDY, by="bob")
    assert submission.jobs == []
    assert submission.plan.nothing_to_do == (
        "Nothing to do: generate, prepare_1, prepare_2 and analyse are already scheduled."
    )
    assert submit(ask("generate"), STUDY, by="bob").plan.nothing_to_do.endswith("generate is already scheduled.")


def test_an_action_asked_for_by_name_runs_again_and_its_successful_need_does_not():
    """M10."""
    end(StatusCode.SUCCEEDED, "generate", "prepare_1")
    assert run("prepare_1") == ["prepare_1"]


def test_an_action_that_is_named_beside_run_all_runs_again_too():
    end(StatusCode.SUCCEEDED, *STUDY.all_actions())
    assert run("run_all", "prepare_2") == ["prepare_2"]


def test_forced_dependencies_run_again_but_active_ones_are_joined():
    """M11."""
    end(StatusCode.SUCCEEDED, "generate", "prepare_1")
    active = make_job(StatusCode.EXECUTING, action="prepare_2", backend="tpp")
    assert run("analyse", force_run_dependencies=True) == ["generate", "prepare_1", "analyse"]
    assert active in Job.objects.get(action="analyse").waits_for.all()


@pytest.mark.parametrize(
    "code",
    [StatusCode.NONZERO_EXIT, StatusCode.UNMATCHED_PATTERNS, StatusCode.DEPENDENCY_FAILED, StatusCode.INTERNAL_ERROR],
)
def test_a_need_that_failed_runs_again(code):
    """M12."""
    end(StatusCode.SUCCEEDED, "generate")
    end(code, "generate")
    assert run("prepare_1") == ["generate", "prepare_1"]


def test_stale_codelists_stop_what_reads_the_database_and_nothing_else():
    """M13 and wire contract §1.6."""
    jobs = submit(ask("prepare_1", codelists_ok=False), STUDY, by="alice").jobs
    codes = {job.action: (job.status_code, job.status_message) for job in jobs}
    assert codes["generate"] == (
        StatusCode.STALE_CODELISTS,
        "Codelists are out of date (required by action generate).",
    )
    assert set(Job.objects.doomed()) == {Job.objects.get(action="prepare_1")}
    assert Job.objects.get(action="generate").completed_at is not None


def test_stale_codelists_do_not_matter_to_requests_without_the_database():
    end(StatusCode.SUCCEEDED, "generate")
    assert run("prepare_1", codelists_ok=False) == ["prepare_1"]
    assert Job.objects.get(action="prepare_1").status_code == StatusCode.CREATED


def test_a_need_whose_output_is_gone_runs_again_and_the_plan_says_which():
    end(StatusCode.SUCCEEDED, "generate", "prepare_1")
    (storage.high_privacy_workspace("study") / "output/generate.csv").unlink()
    decision, reason = why("generate", "prepare_2")
    assert decision is Decision.RUN
    assert reason.startswith("output/generate.csv of its last job") and "missing from storage" in reason


def test_a_need_whose_output_another_job_has_replaced_runs_again():
    end(StatusCode.SUCCEEDED, "generate")
    JobOutput.objects.update(is_current=False)
    assert why("generate", "prepare_1")[0] is Decision.RUN


def test_the_disk_is_asked_once_about_a_file_however_often_the_plan_is_made():
    """The second plan is made inside a transaction, where a slow disk would hold up everybody."""
    end(StatusCode.SUCCEEDED, "generate")
    stored = StoredFiles("study")
    assert make_plan(ask("prepare_1"), STUDY, stored).actions["generate"].decision is Decision.REUSE
    (storage.high_privacy_workspace("study") / "output/generate.csv").unlink()
    assert make_plan(ask("prepare_1"), STUDY, stored).actions["generate"].decision is Decision.REUSE
    assert make_plan(ask("prepare_1"), STUDY).actions["generate"].decision is Decision.RUN


def test_a_plan_with_nothing_to_run_takes_no_transaction(django_assert_num_queries):
    """Transactions lock: no savepoint, nothing but the request, the latest jobs and their outputs are read."""
    end(StatusCode.SUCCEEDED, *STUDY.all_actions())
    with django_assert_num_queries(4):
        submit(ask("run_all"), STUDY, by="alice")


def test_a_success_without_any_output_left_runs_again():
    end(StatusCode.SUCCEEDED, "generate")
    JobOutput.objects.all().delete()
    assert why("generate", "prepare_1") == (
        Decision.RUN,
        f"every output of its last job {Job.objects.get().identifier} is missing from storage",
    )


def test_what_is_not_run_is_not_looked_behind():
    end(StatusCode.SUCCEEDED, "prepare_1", "prepare_2")
    assert run("analyse") == ["analyse"]


# Only version 1 lets two actions promise the same path.
SHARING = load_project("""
version: '1.0'
actions:
  first: {run: python:v2 first, outputs: {highly_sensitive: {x: output/x.csv}}}
  second: {run: python:v2 second, outputs: {highly_sensitive: {x: output/x.csv, y: output/y.csv}}}
  third: {run: python:v2 third, needs: [first], outputs: {highly_sensitive: {z: output/z.csv}}}
""")


def share() -> None:
    """As after `run_all`: the second action's file stands where the first one's did."""
    for action, paths in {"first": ["x"], "second": ["x", "y"], "third": ["z"]}.items():
        job = make_job(StatusCode.SUCCEEDED, action=action, backend="tpp")
        for path in paths:
            JobOutput.objects.filter(path=f"output/{path}.csv").update(is_current=False)
            leave_output(job, f"output/{path}.csv")


def decisions(*actions: str, **columns) -> dict[str, Decision]:
    planned = make_plan(ask(*actions, **columns), SHARING).actions
    return {name: each.decision for name, each in planned.items()}


def test_actions_that_replace_each_others_file_are_done_for_run_all():
    share()
    submission = submit(ask("run_all"), SHARING, by="alice")
    assert submission.jobs == []
    assert submission.plan.nothing_to_do.startswith("Nothing to do: all actions have already succeeded")
    assert submission.plan.actions["first"].why.endswith("another action has since replaced its output/x.csv")


def test_an_action_whose_file_was_replaced_runs_again_for_one_that_runs_and_needs_it():
    share()
    assert decisions("third") == {"first": Decision.RUN, "third": Decision.RUN}
    planned = decisions("run_all", "third")
    assert planned == {"first": Decision.RUN, "third": Decision.RUN, "second": Decision.REUSE}
    assert list(planned).index("first") < list(planned).index("third")


def test_an_action_whose_file_was_replaced_runs_again_when_asked_for_or_forced():
    share()
    assert decisions("first") == {"first": Decision.RUN}
    # Now the one that nobody needs is the one whose file was replaced.
    shared = JobOutput.objects.filter(path="output/x.csv")
    shared.update(is_current=False)
    shared.filter(job__action="first").update(is_current=True)
    assert decisions("run_all")["second"] is Decision.REUSE
    assert set(decisions("run_all", force_run_dependencies=True).values()) == {Decision.RUN}


def test_a_shared_file_that_is_gone_makes_both_actions_run_again():
    share()
    (storage.high_privacy_workspace("study") / "output/x.csv").unlink()
    assert decisions("run_all") == {"first": Decision.RUN, "second": Decision.RUN, "third": Decision.REUSE}
