"""The page of a request: how it stands, what failed first, pictures, the file; at a fixed cost, whatever names say."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs.models import AuditEntry, Delivery, JobRequest, ProjectFile, StatusChange
from jobs.people.roles import OPERATOR, VIEWER
from jobs.states import StatusCode
from jobs.views.request_page import TABS
from tests.factories import make_job, make_request
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db
C = StatusCode
HOSTILE = "a<script>alert(1)</script>\u202e\x1b[31m"
NOW = timezone.now()


def address(request: JobRequest, tab: str = "", **more) -> str:
    words = {"tab": tab} if tab else {}
    query = "&".join(f"{key}={value}" for key, value in {**words, **more}.items())
    return reverse("request", args=[request.identifier]) + (f"?{query}" if query else "")


def page(request: JobRequest, tab: str = "", *, role: str = OPERATOR, **more) -> str:
    response = client_of(role).get(address(request, tab, **more))
    assert response.status_code == 200
    return response.content.decode()


def chain(*codes: str, request: JobRequest | None = None) -> JobRequest:
    """A request of jobs each of which waits for the one before."""
    request = request or make_request()
    before = []
    for number, code in enumerate(codes):
        before = [make_job(code, request=request, action=f"step_{number}", waits_for=before)]
    return request


def queries_of(request: JobRequest, tab: str) -> int:
    client = client_of(OPERATOR)
    client.get(address(request, tab))
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address(request, tab)).status_code == 200
    return len(captured)


def test_the_headline_counts():
    text = page(chain(C.SUCCEEDED, C.EXECUTING, C.WAITING_ON_DEPENDENCIES))
    assert "1 of 3 done · 1 running · 1 waiting" in text
    assert "<title>● 1/3 study" in text


def test_what_is_left_is_told_from_the_last_good_runs():
    earlier = make_request()
    for name in ("step_0", "step_1"):
        make_job(
            C.SUCCEEDED, request=earlier, action=name, started_at=NOW - timedelta(hours=1, minutes=10),
            completed_at=NOW - timedelta(hours=1),
        )  # fmt: skip
    request = chain(C.EXECUTING, C.WAITING_ON_DEPENDENCIES)
    assert "about 20m left" in page(request)


def test_without_earlier_runs_nothing_is_guessed():
    assert "no estimate" in page(chain(C.EXECUTING))


def test_the_first_failure_is_shown_and_not_its_consequences():
    request = chain(C.DEPENDENCY_FAILED, C.NONZERO_EXIT, C.DEPENDENCY_FAILED)
    text = page(request)
    assert 'aria-label="First failure"' in text
    assert "First failure: <a" in text and ">step_1</a></h2>" in text


def test_only_who_may_read_logs_sees_the_end_of_the_log(monkeypatch):
    from jobs.logs.lines import Line

    monkeypatch.setattr("jobs.logs.tail", lambda job, lines: [Line(0, 1, "", "secret row 12")])
    request = chain(C.NONZERO_EXIT)
    assert "secret row 12" in page(request)
    assert "secret row 12" not in page(request, role=VIEWER)


def test_whoever_is_shown_the_end_of_a_log_is_noted_also_when_a_poll_brings_it(settings):
    settings.LIVE_SHARED_SECONDS = 1000
    request = chain(C.NONZERO_EXIT)
    address = reverse("request", args=[request.identifier])
    for name in ("olive", "oscar"):
        poll(client_of(OPERATOR, name=name), address)
    poll(client_of(VIEWER, name="vera"), address)
    noted = AuditEntry.objects.filter(verb="view log", object_id=request.jobs.get().identifier).order_by("pk")
    assert list(noted.values_list("actor", flat=True)) == ["olive", "oscar"]


def test_the_picture_links_each_job_and_tells_its_state_in_words():
    request = chain(C.SUCCEEDED, C.EXECUTING)
    text = page(request)
    for job in request.jobs.all():
        for way in ("across", "down"):
            assert f'id="{way}-{job.pk}" data-job="{job.pk}" href="{reverse("job", args=[job.identifier])}"' in text
    assert 'aria-label="step_1: running' in text
    assert 'class="edge"' in text


def test_a_box_has_a_dot_for_each_privacy_level_that_its_action_promises():
    request = make_request()
    rows = make_job(request=request, action="rows", output_spec={"highly_sensitive": {"a": "output/a.csv"}})
    both = {"highly_sensitive": {"b": "output/b.csv"}, "moderately_sensitive": {"c": "output/c.csv"}}
    make_job(request=request, action="tables", waits_for=[rows], output_spec=both)
    picture = page(request).split("</svg></div>")[0]
    assert (picture.count("dot-highly_sensitive"), picture.count("dot-moderately_sensitive")) == (2, 1)


def test_a_job_of_another_request_is_drawn_as_such():
    other = make_job(C.SUCCEEDED, action="extract")
    request = make_request()
    make_job(request=request, action="count", waits_for=[other])
    text = page(request)
    assert "is-foreign" in text
    assert f"of request {other.request.identifier}" in text


@pytest.mark.parametrize(
    "graph", [None, {}, {"width": "x"}, [1], {"width": 1, "height": 1, "centres": [], "links": []}]
)
def test_a_stored_graph_that_does_not_fit_is_drawn_anew(graph):
    request = chain(C.SUCCEEDED, C.EXECUTING, request=make_request(graph=graph))
    assert page(request).count('class="edge"') == 2  # once in each of the two pictures


def test_above_the_most_there_is_no_picture_but_every_job_is_listed(monkeypatch):
    monkeypatch.setattr("jobs.views.request_head.MOST_BOXES", 2)
    monkeypatch.setattr("jobs.views.request_page.JOBS_PER_PAGE", 2)
    request = chain(C.SUCCEEDED, C.SUCCEEDED, C.SUCCEEDED)
    assert 'class="node' not in page(request)
    assert "step_0</a>" in page(request) and "step_2</a>" not in page(request)
    assert "step_2</a>" in page(request, "jobs", page=2)
    assert "too many for a picture" in page(request, "timeline")


@pytest.mark.parametrize("word", ["", "x", "-1", "0", "99999999999999", "\u0665"])
def test_any_page_number_is_answered(word):
    page(chain(C.SUCCEEDED), "jobs", page=word)
    page(make_request(project_file=ProjectFile.keep("a: 1")), "file", line=word)


@pytest.mark.parametrize("tab", TABS)
def test_hostile_names_are_shown_harmlessly(tab):
    request = make_request(
        created_by=HOSTILE, branch=HOSTILE, repo_url=f"https://{HOSTILE}", requested_actions=[HOSTILE, {"a": 1}],
        cancelled_actions=[HOSTILE], original={HOSTILE: HOSTILE}, project_file=ProjectFile.keep(f"  {HOSTILE}: 1\n"),
        faults=[[1, HOSTILE], [None, HOSTILE], "nonsense", [1, 2, 3]], outcome_message=HOSTILE,
    )  # fmt: skip
    make_job(C.NONZERO_EXIT, request=request, action=HOSTILE, status_message=HOSTILE, identifier="hostile")
    text = page(request, tab)
    assert "<script>alert" not in text
    assert "\u202e" not in text and "\x1b" not in text


@pytest.mark.parametrize("tab", TABS)
def test_pages_hold_to_the_policy(tab):
    text = page(chain(C.SUCCEEDED, C.NONZERO_EXIT, C.EXECUTING), tab)
    assert " style=" not in text and "onclick" not in text


@pytest.mark.parametrize("tab", TABS)
def test_the_number_of_queries_does_not_grow_with_the_jobs(tab):
    make_request()
    few = chain(*[C.EXECUTING] * 3, C.NONZERO_EXIT)
    many = chain(*[C.EXECUTING] * 40, C.NONZERO_EXIT)
    assert queries_of(few, tab) == queries_of(many, tab) <= 30


def test_a_request_that_cannot_be_planned_shows_error_line_and_text_and_no_picture():
    request = make_request(
        outcome="refused", outcome_message="project.yaml line 2: unknown entry", error_name="ProjectError",
        project_file=ProjectFile.keep("version: 4\nactoins:\n"), faults=[[2, "line 2: unknown entry 'actoins'"]],
    )  # fmt: skip
    text = page(request)
    assert "This request cannot be planned" in text
    assert "unknown entry &#x27;actoins&#x27;" in text and "<code>actoins:</code>" in text
    assert '<svg class="progress' not in text and 'id="graph"' not in text
    marked = page(request, "file")
    assert '<tr id="L2" class="wrong">' in marked


def test_the_file_opens_where_the_first_fault_is():
    text = "\n".join(f"line_{number}" for number in range(1, 2001))
    request = make_request(project_file=ProjectFile.keep(text), faults=[[1234, "wrong"]])
    shown = page(request, "file")
    assert '<tr id="L1234" class="wrong">' in shown
    assert 'id="L1"' not in shown and "lines 1001 to 1500 of 2000" in shown


def test_the_file_marks_the_actions_of_this_request():
    request = make_request(project_file=ProjectFile.keep("actions:\n  step_0:\n    run: x\n  other:\n"))
    chain(C.SUCCEEDED, request=request)
    text = page(request, "file")
    assert '<tr id="L2" class="ours">' in text and '<tr id="L4" class' not in text


def test_a_waiting_request_tells_what_it_waits_for():
    request = make_request(outcome="waiting", outcome_message="github.com does not answer. It is tried again.")
    text = page(request)
    assert "github.com does not answer" in text and "Waiting to be planned" in text
    assert reverse("refuse-request", args=[request.identifier]) in text
    assert reverse("refuse-request", args=[request.identifier]) not in page(request, role=VIEWER)


def test_jobs_of_others_that_do_it_are_linked():
    job = make_job(C.EXECUTING, action="extract")
    request = make_request(outcome="already_scheduled", joined_jobs=[job.identifier])
    assert reverse("job", args=[job.identifier]) in page(request)


def test_an_operator_refuses_a_waiting_request_with_a_reason():
    request, client = make_request(outcome="waiting"), client_of(OPERATOR)
    where = reverse("refuse-request", args=[request.identifier])
    assert client.get(where).status_code == 200
    assert client.post(where, {"reason": " "}).status_code == 400
    assert client.post(where, {"reason": "asked for twice"}).url == reverse("request", args=[request.identifier])
    request.refresh_from_db()
    assert (request.outcome, request.error_name) == ("refused", "RefusedByOperator")
    assert AuditEntry.objects.get().reason == "asked for twice"
    assert "nothing to refuse" in client.post(where, {"reason": "again"}).content.decode()


def test_a_viewer_refuses_nothing():
    request = make_request(outcome="waiting")
    assert (
        client_of(VIEWER).post(reverse("refuse-request", args=[request.identifier]), {"reason": "x"}).status_code == 403
    )


def test_events_tell_of_jobs_people_and_the_job_server():
    request = make_request(source="polling")
    job = make_job(request=request, action="extract")
    job.move_to(C.INITIATED, "Starting it.")
    AuditEntry.objects.create(
        actor="olive", via="dashboard", verb="cancel", object_kind="job", object_id=job.identifier, reason="too big"
    )
    Delivery.objects.create(request=request, failing_since=NOW, failure="it is away")
    text = page(request, "events")
    for word in ("Starting it.", "olive", "too big", "it is away", "received from the job-server"):
        assert word in text
    assert "too big" not in page(request, "events", role=VIEWER)


def test_a_poll_hears_304_until_a_job_changes():
    request, client = chain(C.CREATED), client_of(VIEWER)
    where = address(request)
    tag = client.get(where)["HX-PTag"]
    make_job(C.CREATED)
    assert poll(client, where, tag).status_code == 304
    request.jobs.get().move_to(C.INITIATED, "Starting it.")
    changed = poll(client, where, tag)
    assert b"Starting it." in changed.content and b"<html" not in changed.content


def test_a_poll_hears_of_a_job_of_another_request_that_is_drawn():
    other, request, client = make_job(C.CREATED), make_request(), client_of(VIEWER)
    make_job(request=request, waits_for=[other])
    where = address(request)
    tag = client.get(where)["HX-PTag"]
    other.move_to(C.INITIATED, "Starting it.")
    assert poll(client, where, tag).status_code == 200


def test_what_has_ended_is_not_asked_for_again():
    assert 'data-live="0"' in page(chain(C.SUCCEEDED))
    assert 'data-live="2"' in page(chain(C.EXECUTING))


def test_changes_since_the_last_success_are_linked():
    earlier = make_request(commit="b" * 40)
    make_job(C.SUCCEEDED, request=earlier)
    chain(C.NONZERO_EXIT, request=make_request(commit="d" * 40))
    request = chain(C.EXECUTING)
    assert f"https://github.com/opensafely/study/compare/{'b' * 40}...{'c' * 40}" in page(request)


def test_a_repository_elsewhere_is_no_link():
    request = chain(C.EXECUTING, request=make_request(repo_url="javascript:alert(1)"))
    assert 'href="javascript' not in page(request)


def test_what_can_be_done_is_offered_to_who_may_do_it():
    request = chain(C.EXECUTING, C.NONZERO_EXIT)
    running, failed = request.jobs.order_by("pk")
    text = page(request)
    assert "/jobs/cancel/?request=" in text and "/jobs/retry/?request=" in text
    asked = client_of(OPERATOR).get(reverse("cancel-jobs"), {"request": request.identifier}).context["named"]
    again = client_of(OPERATOR).get(reverse("retry-jobs"), {"request": request.identifier}).context["named"]
    assert (asked, again) == (running.identifier, failed.identifier)
    assert "/jobs/cancel/" not in page(request, role=VIEWER)


def test_each_attempt_is_a_bar_of_its_own_in_the_timeline():
    request = make_request()
    began = timezone.now() - timedelta(minutes=30)
    job = make_job(C.EXECUTING, request=request, created_at=began, started_at=began, attempt=2)
    steps = (
        ("", C.CREATED, 0), (C.CREATED, C.INITIATED, 5), (C.INITIATED, C.EXECUTING, 6),
        (C.EXECUTING, C.WAITING_ON_NEW_TASK, 10), (C.WAITING_ON_NEW_TASK, C.INITIATED, 20),
        (C.INITIATED, C.EXECUTING, 21),
    )  # fmt: skip
    for before, after, minute in steps:
        at = began + timedelta(minutes=minute)
        StatusChange.objects.create(job=job, from_code=before, to_code=after, actor="runner", at=at)
    text = page(request, "timeline")
    assert text.count('class="ran ended"') == 1 and text.count('class="ran"') == 1
    assert re.search(r"waited 15m( \d+s)?, has run 15m( \d+s)?, in 2 attempts", text)


def test_the_legend_says_what_bold_means_while_it_goes_on_and_afterwards():
    assert "that the rest waits for longest" in page(chain(C.SUCCEEDED, C.EXECUTING), "timeline")
    assert "that decided when it ended" in page(chain(C.SUCCEEDED, C.SUCCEEDED), "timeline")


def test_the_chain_that_decided_is_bold_in_the_timeline():
    request = chain(C.SUCCEEDED, C.SUCCEEDED)
    request.jobs.update(started_at=NOW)
    assert page(request, "timeline").count("is-deciding") == 2


def test_an_unknown_request_is_404():
    assert client_of(VIEWER).get(reverse("request", args=["nobody"])).status_code == 404


def test_all_jobs_of_a_finished_request_are_run_again_after_a_page_that_says_so():
    request = chain(C.SUCCEEDED, C.NONZERO_EXIT)
    text = page(request)
    assert "Retry 1 failed…" in text and "Run all 2 again…" in text
    link = re.search(r'href="([^"]*whole=1)"', text)[1].replace("&amp;", "&")
    asked = client_of(OPERATOR).get(link).content.decode()
    assert "Retry 2 jobs in 1 request?" in asked and "2 will run again, in 1 new request" in asked
    assert "Run all" not in page(request, role=VIEWER)


def test_a_request_that_goes_on_is_not_run_again_as_a_whole():
    request = chain(C.SUCCEEDED, C.EXECUTING)
    assert "Run all" not in page(request)
    answer = client_of(OPERATOR).get(reverse("retry-jobs"), {"request": request.identifier, "whole": "1"})
    assert answer.status_code == 302  # nothing was chosen
