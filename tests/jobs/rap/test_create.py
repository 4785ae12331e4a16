"""rap/create: stored, planned by somebody else, and answered definitely, whatever happens meanwhile."""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.errors import Unavailable
from jobs.models import Heartbeat, Job, JobRequest
from jobs.models.flag import FRESH
from jobs.rap import creating
from jobs.rap.creating import ASLEEP, MOST_WAITING
from jobs.states import StatusCode
from sync import planner
from tests.factories import make_job, make_output, make_request
from tests.rap import COMMIT, OTHER_TOKEN, RAP_ID, Caller, at_once, create_body, plan, planning
from tests.site import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("planner_lives")]

Outcome = JobRequest.Outcome


def row() -> JobRequest:
    return JobRequest.objects.get(identifier=RAP_ID)


def concluded(outcome: str, **columns) -> JobRequest:
    """A row of an earlier call that ended without jobs."""
    body = create_body()
    told = {key: body[key] for key in ("backend", "workspace", "repo_url", "branch", "commit", "requested_actions")}
    defaults = {"identifier": RAP_ID, "source": JobRequest.Source.RAP_API, "outcome": outcome}
    return make_request(**told | defaults | columns)


def test_a_call_is_answered_with_the_number_of_jobs_once_they_are_planned(caller):
    with planning():
        answer = caller.create(requested_actions=["analyse"])
    assert answer.status_code == 201
    assert answer.json() == {
        "result": "Success",
        "details": f"Jobs created for rap_id '{RAP_ID}'",
        "rap_id": RAP_ID,
        "count": 2,
    }
    assert set(Job.objects.values_list("action", flat=True)) == {"generate_dataset", "analyse"}


def test_everything_that_came_in_is_stored(caller):
    scope = {"dataset_permissions": ["icnarc"], "new_thing": [1]}
    with planning():
        answer = caller.create(analysis_scope=scope, codelists_ok=True, force_run_dependencies=True, priority=3)
    assert answer.status_code == 201
    request = row()
    assert (request.source, request.backend, request.workspace) == (JobRequest.Source.RAP_API, "test", "study")
    assert (request.repo_url, request.branch) == ("https://github.com/opensafely/example-study", "main")
    assert (request.commit, request.database_name) == (COMMIT, "default")
    assert request.requested_actions == ["generate_dataset"] and request.force_run_dependencies
    assert (request.created_by, request.project, request.orgs) == ("alice", "example-project", ["example-org"])
    assert request.analysis_scope == scope
    assert request.original == create_body(analysis_scope=scope, force_run_dependencies=True, priority=3)


@pytest.mark.parametrize("scope", [None, ...], ids=["null", "left out"])
def test_no_scope_is_the_same_as_an_empty_one(caller, scope):
    with planning():
        assert caller.create(analysis_scope=scope).status_code == 201
    assert row().analysis_scope == {}


def test_a_request_that_cannot_be_planned_is_refused_in_the_words_of_its_error(caller):
    with planning():
        answer = caller.create(requested_actions=["analyze"])
    assert answer.status_code == 400
    assert answer.json()["error"] == "Error creating jobs"
    assert answer.json()["details"].startswith("Action 'analyze' not found in project.yaml. Did you mean 'analyse'?")
    assert not Job.objects.exists()


def test_actions_that_are_scheduled_already_are_nothing_to_do(caller):
    make_job(StatusCode.EXECUTING, request=make_request(**_same_study()), action="generate_dataset")
    with planning():
        answer = caller.create()
    assert answer.status_code == 200
    assert answer.json() == {
        "result": "Nothing to do",
        "details": "Nothing to do: generate_dataset is already scheduled.",
        "rap_id": RAP_ID,
        "count": 0,
    }


def test_actions_that_are_done_are_nothing_to_do(caller, settings):
    for name in ("generate_dataset", "analyse"):
        job = make_job(StatusCode.SUCCEEDED, request=make_request(**_same_study()), action=name)
        make_output(job, f"outputs/{name}")
        path = settings.HIGH_PRIVACY_STORAGE_BASE / "workspaces" / "study" / "outputs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with planning():
        answer = caller.create(requested_actions=["run_all"])
    assert (answer.status_code, answer.json()["result"], answer.json()["count"]) == (200, "Nothing to do", 0)
    assert "all actions have already succeeded" in answer.json()["details"]


def _same_study() -> dict:
    body = create_body()
    return {key: body[key] for key in ("backend", "workspace", "repo_url", "commit")}


@pytest.mark.parametrize("backend", ["emis", "tpp"], ids=["not the token's", "not this site's"])
def test_jobs_are_made_for_this_site_and_this_token_only(caller, backend):
    answer = caller.create(backend=backend)
    assert answer.status_code == 400 and answer.json()["error"] == "Error creating jobs"
    assert f"'{backend}'" in answer.json()["details"]
    assert not JobRequest.objects.exists()


def test_a_token_of_another_backend_makes_nothing_here(caller):
    assert Caller(OTHER_TOKEN).create().status_code == 400
    assert not JobRequest.objects.exists()


# Before anything is stored ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [-FRESH - timedelta(seconds=1), timedelta(days=1)], ids=["old", "ahead"])
def test_without_the_process_that_plans_a_call_is_refused_at_once(caller, away):
    Heartbeat.objects.update(at=timezone.now() + away)
    answer = caller.create()
    assert (answer.status_code, answer.json()["details"]) == (503, ASLEEP)
    assert not JobRequest.objects.exists()


def test_a_call_too_many_is_refused_at_once(caller):
    waiting = [
        make_request(source=JobRequest.Source.RAP_API, outcome=Outcome.WAITING, workspace=f"w{number}")
        for number in range(MOST_WAITING)
    ]
    answer = caller.create()
    assert answer.status_code == 503 and "busy" in answer.json()["details"]
    assert JobRequest.objects.count() == MOST_WAITING

    waiting[0].conclude(Outcome.REFUSED, "no")
    with planning(lambda request: plan(request) if request.identifier == RAP_ID else None):
        assert caller.create().status_code == 201


def test_rows_that_nobody_waits_for_any_more_do_not_make_it_busy(caller, settings):
    long_ago = timezone.now() - timedelta(seconds=settings.RAP_CREATE_TIMEOUT_SECONDS + 1)
    tomorrow = timezone.now() + timedelta(days=1)  # as it was before the clock was set back
    for source, received_at in [
        ("rap_api", long_ago),
        ("polling", timezone.now()),
        ("rap_api", tomorrow),
    ] * MOST_WAITING:
        make_request(source=source, outcome=Outcome.WAITING, received_at=received_at)
    with planning(lambda request: plan(request) if request.identifier == RAP_ID else None):
        assert caller.create().status_code == 201


# Repeats ------------------------------------------------------------------------------------------------------------


def test_a_repeat_makes_nothing_new_even_if_nobody_plans(caller):
    with planning():
        assert caller.create(requested_actions=["analyse"]).status_code == 201
    Heartbeat.objects.all().delete()
    # As other controllers do it: which actions are asked for is not compared once there are jobs.
    for actions in (["analyse"], ["generate_dataset"]):
        answer = caller.create(requested_actions=actions)
        assert answer.status_code == 200
        assert answer.json() == {
            "result": "No change",
            "details": f"Jobs already created for rap_id '{RAP_ID}'",
            "rap_id": RAP_ID,
            "count": 2,
        }
    assert Job.objects.count() == 2


@pytest.mark.parametrize(
    "changes", [{"workspace": "other"}, {"commit": "f" * 40}, {"repo_url": "https://github.com/opensafely/other"}]
)
def test_a_repeat_for_something_else_is_refused(caller, changes):
    with planning():
        caller.create()
    answer = caller.create(**changes)
    assert (answer.status_code, answer.json()["error"]) == (400, "Inconsistent request data")
    assert Job.objects.count() == 1


def test_another_spelling_of_the_same_repository_is_the_same(caller):
    with planning():
        caller.create()
    answer = caller.create(repo_url="https://github.com/opensafely/example-study.git")
    assert answer.json()["result"] == "No change"


def test_a_request_that_was_polled_before_is_the_same_request(caller):
    polled = make_request(identifier=RAP_ID, source=JobRequest.Source.POLLING, **_same_study())
    make_job(request=polled)
    assert caller.create().json()["result"] == "No change"


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOTHING_TO_DO, Outcome.ALREADY_SCHEDULED])
def test_a_repeat_of_what_ended_without_jobs_is_planned_afresh(caller, outcome):
    request = concluded(outcome, outcome_message="as it was", error_name="GitError", joined_jobs=["x"])
    with planning():
        assert caller.create().status_code == 201
    again = row()
    assert again.pk == request.pk and again.outcome == Outcome.PLANNED
    assert (again.outcome_message, again.error_name, again.joined_jobs) == ("", "", [])


def test_a_repeat_of_a_refusal_may_be_refused_again(caller):
    concluded(Outcome.REFUSED, outcome_message="as it was", requested_actions=["nope"])
    with planning():
        answer = caller.create(requested_actions=["nope"])
    assert answer.status_code == 400 and "'nope' not found" in answer.json()["details"]


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.WAITING])
def test_other_data_under_the_identifier_of_what_may_be_planned_just_now_is_refused(caller, outcome):
    """A plan that is under way was made from the row as it was."""
    concluded(outcome)
    for changes in ({"requested_actions": ["analyse"]}, {"commit": "f" * 40}, {"force_run_dependencies": True}):
        answer = caller.create(**changes)
        assert (answer.status_code, answer.json()["error"]) == (400, "Inconsistent request data")
    assert row().outcome == outcome and row().requested_actions == ["generate_dataset"]


def test_a_refused_request_stays_refused_while_nobody_plans(caller):
    concluded(Outcome.REFUSED)
    Heartbeat.objects.all().delete()
    assert caller.create().status_code == 503
    assert row().outcome == Outcome.REFUSED


def test_a_repeat_while_the_first_still_waits_waits_as_well(caller):
    concluded(Outcome.WAITING)
    with planning():
        answer = caller.create()
    assert (answer.status_code, answer.json()["count"]) == (201, 1)
    assert JobRequest.objects.count() == 1


def test_calls_at_the_same_time_make_the_jobs_once_and_are_all_answered_with_them(caller):
    with planning():
        answers = at_once(*[lambda: Caller().create(requested_actions=["analyse"])] * 4)
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert {answer.json()["result"] for answer in answers} <= {"Success", "No change"}
    assert [answer.json()["count"] for answer in answers] == [2] * 4
    assert JobRequest.objects.count() == 1 and Job.objects.count() == 2


def test_whoever_stores_the_row_second_waits_for_the_first_ones(caller, monkeypatch):
    """Both have looked before either has stored."""
    check = creating._check_that_it_can_be_planned

    def stored_meanwhile() -> None:
        check()
        concluded(Outcome.WAITING)

    monkeypatch.setattr(creating, "_check_that_it_can_be_planned", stored_meanwhile)
    with planning():
        answer = caller.create()
    assert (answer.status_code, answer.json()["count"]) == (201, 1)
    assert JobRequest.objects.count() == 1


# The deadline -------------------------------------------------------------------------------------------------------


def silent(request: JobRequest) -> None:
    """A planner that waits for git and says nothing."""


def says(request: JobRequest) -> None:
    request.say("github.com does not answer.")


def has_tried(request: JobRequest) -> None:
    """What sync's own planner does with a host that does not answer."""
    planner.plan(request)


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (says, "github.com does not answer."),
        (has_tried, "github.com does not answer."),
        (silent, "it was still waiting for git of https://github.com/opensafely/example-study."),
    ],
)
def test_at_the_deadline_the_request_is_taken_back_and_the_answer_says_why(caller, settings, monkeypatch, play, reason):
    def unavailable(*arguments, **options) -> None:
        raise Unavailable("github.com does not answer.")

    withdraw = creating._withdraw

    def played_first(request: JobRequest) -> None:
        """However slow this machine is, it was said before the last look."""
        play(row())
        request.refresh_from_db(fields=("outcome", "outcome_message"))
        withdraw(request)

    monkeypatch.setattr(creating, "_withdraw", played_first)
    monkeypatch.setattr(planner.planning, "submit", unavailable)
    settings.RAP_CREATE_TIMEOUT_SECONDS = 0.1
    answer = caller.create()
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "Error creating jobs",
        "details": "The study was not read within 0.1 seconds, so nothing was started. "
        f"Reason: {reason} Try again later.",
    }
    assert (row().outcome, row().error_name) == (Outcome.REFUSED, "Timeout")


@pytest.mark.parametrize(
    "repo_url",
    [
        "https://alice:hunter2@github.com/opensafely/example-study",
        "https://alice:hunt@er2/x@github.com/opensafely/example-study",
        "https://github.com/opensafely/example-study?token=hunter2",
        "https://github.com/opensafely/example-study#hunter2",
        "alice:hunter2@github.com:opensafely/example-study",
        "https://[hunter2/opensafely/example-study",
    ],
)
def test_what_may_be_a_password_in_an_address_is_not_repeated(caller, settings, repo_url):
    settings.RAP_CREATE_TIMEOUT_SECONDS = 0.05
    details = caller.create(repo_url=repo_url).json()["details"]
    assert "waiting for git of" in details
    assert "hunt" not in details and "er2" not in details


def test_what_was_taken_back_is_never_started(caller, settings):
    settings.RAP_CREATE_TIMEOUT_SECONDS = 0.1
    assert caller.create().status_code == 400
    with planning():
        assert caller.status(RAP_ID).json() == {"jobs": [], "unrecognised_rap_ids": [RAP_ID]}
    late = row()
    late.outcome = Outcome.WAITING  # as a planner has read it before
    plan(late)
    assert not Job.objects.exists()


def test_a_plan_that_is_stored_at_the_deadline_wins(caller, settings, monkeypatch):
    settings.RAP_CREATE_TIMEOUT_SECONDS = 0.05
    withdraw = creating._withdraw

    def planned_first(request: JobRequest) -> None:
        plan(row())
        withdraw(request)

    monkeypatch.setattr(creating, "_withdraw", planned_first)
    answer = caller.create()
    assert (answer.status_code, answer.json()["count"]) == (201, 1)


def test_however_a_plan_and_the_deadline_meet_the_answer_is_true(caller, settings):
    """Jobs if and only if the answer says so."""
    settings.RAP_CREATE_TIMEOUT_SECONDS = 0.06
    for number in range(12):
        rap_id = f"race{number:012}"
        late = threading.Event()

        def slow(request: JobRequest, late=late, seconds=number * 0.01) -> None:
            late.wait(seconds)
            plan(request)

        with planning(slow):
            answer = caller.create(rap_id=rap_id, workspace=f"w{number}")
            jobs = Job.objects.filter(request__identifier=rap_id).count()
        assert (answer.status_code, jobs) in {(201, 1), (400, 0)}
        assert Job.objects.filter(request__identifier=rap_id).count() == jobs


def test_a_row_that_waits_although_nobody_plans_is_taken_back_at_once(caller, monkeypatch):
    monkeypatch.setattr(creating.time, "sleep", lambda seconds: pytest.fail("it waited"))
    concluded(Outcome.WAITING)
    Heartbeat.objects.all().delete()
    answer = caller.create()
    assert (answer.status_code, answer.json()["details"]) == (503, ASLEEP)
    assert row().outcome == Outcome.REFUSED


def test_when_the_one_who_plans_goes_while_a_call_waits_the_answer_is_as_if_it_had_gone_before(
    caller, settings, monkeypatch
):
    settings.RAP_CREATE_TIMEOUT_SECONDS = 0.05
    withdraw = creating._withdraw

    def gone_first(request: JobRequest) -> None:
        Heartbeat.objects.all().delete()
        withdraw(request)

    monkeypatch.setattr(creating, "_withdraw", gone_first)
    answer = caller.create()
    assert (answer.status_code, answer.json()) == (503, {"error": "Service unavailable", "details": ASLEEP})
    settings.RAP_CREATE_TIMEOUT_SECONDS = 20
    Heartbeat.beat("sync")
    with planning():
        assert caller.create().status_code == 201


def test_a_request_that_is_polled_as_well_is_not_taken_back(caller, settings):
    """It would be told as failed by the other way, though the git host is only slow."""
    settings.RAP_CREATE_TIMEOUT_SECONDS = 0.1
    concluded(Outcome.WAITING, source=JobRequest.Source.POLLING)
    answer = caller.create()
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("text/plain")  # the outcome is not known: ask rap/status
    assert row().is_waiting
    assert caller.status(RAP_ID).json() == {"jobs": [], "unrecognised_rap_ids": []}


def test_while_a_call_waits_it_holds_no_transaction(caller):
    """Everybody else writes meanwhile."""
    thread = threading.Thread(target=lambda: at_once(lambda: Caller().create()))
    thread.start()
    wait_until(lambda: JobRequest.objects.waiting().exists())
    Heartbeat.beat("run")
    plan(row())
    thread.join(20)
    assert row().outcome == Outcome.PLANNED


def test_a_call_whose_process_died_is_planned_later_and_unknown_to_nobody(caller):
    concluded(Outcome.WAITING)
    assert caller.status(RAP_ID).json() == {"jobs": [], "unrecognised_rap_ids": []}
    plan(row())
    assert [job["action"] for job in caller.status(RAP_ID).json()["jobs"]] == ["generate_dataset"]


def test_stale_codelists_refuse_a_call_that_needs_the_database(caller):
    with planning():
        answer = caller.create(codelists_ok=False, requested_actions=["analyse"])
    assert answer.status_code == 400
    assert answer.json()["details"].startswith("Codelists are out of date (required by action generate_dataset)")
    assert not Job.objects.exists()


def test_more_repeats_of_one_request_than_threads_may_wait_are_sent_away_with_the_outcome_open(caller, monkeypatch):
    """They are no new rows, yet each would hold a thread that the pages need."""
    monkeypatch.setattr(creating, "_waits", threading.BoundedSemaphore(1))
    creating._waits.acquire()
    answer = caller.create()
    assert answer.status_code == 503
    assert not answer["Content-Type"].startswith("application/json"), "so nobody fails the request"
    assert row().is_waiting
    creating._waits.release()
