"""Cancel, kill and retry of many jobs: told before it is done, done once, and one answer a job."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs.models import AuditEntry, Heartbeat, Job, JobRequest
from jobs.people.roles import OPERATOR, VIEWER
from jobs.states import State, StatusCode
from tests.factories import make_job, make_request
from tests.web import client_of

pytestmark = pytest.mark.django_db
PAGES = ("cancel-jobs", "kill-jobs", "retry-jobs")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("method", ["get", "post"])
def test_whoever_may_only_look_may_not(name, method):
    job = make_job(StatusCode.EXECUTING)
    data = {"job": job.identifier, "confirmed": "1", "reason": "x"}
    assert getattr(client_of(VIEWER), method)(reverse(name), data).status_code == 403
    assert not Job.objects.get().stop_request


@pytest.mark.parametrize("name", PAGES)
def test_looking_at_the_consequences_changes_nothing(name):
    jobs = [make_job(code) for code in (StatusCode.EXECUTING, StatusCode.NONZERO_EXIT, StatusCode.INTERNAL_ERROR)]
    data = {"job": [job.identifier for job in jobs], "reason": "x"}
    client = client_of(OPERATOR)
    assert client.get(reverse(name), data).status_code == client.post(reverse(name), data).status_code == 200
    assert not AuditEntry.objects.filter(object_kind="job").exists()
    assert not Job.objects.exclude(stop_request="", retry_requested_at=None).exists()


def test_all_of_a_large_request_is_asked_about_and_frozen():
    request = make_request()
    jobs = [make_job(StatusCode.WAITING_ON_WORKERS, request) for _ in range(160)]
    client = client_of(OPERATOR)
    page = client.get(reverse("cancel-jobs"), {"request": request.identifier})
    assert page.context["named"].split() == [job.identifier for job in jobs]
    make_job(StatusCode.WAITING_ON_WORKERS, request)
    data = {"jobs": page.context["named"], "confirmed": "1", "reason": "wrong data", "request": request.identifier}
    client.post(reverse("cancel-jobs"), data)
    assert Job.objects.exclude(stop_request="").count() == 160
    assert client.get(reverse("cancel-jobs"), {"request": "nobody"}).status_code == 302


def test_a_cancel_is_told_confirmed_and_answered_job_by_job():
    running, ended = make_job(StatusCode.EXECUTING, action="runs"), make_job(StatusCode.SUCCEEDED, action="ended")
    client = client_of(OPERATOR)
    page = client.post(reverse("cancel-jobs"), {"job": [running.identifier, ended.identifier]})
    assert "Cancel 1 job in 1 request?" in page.content.decode()
    data = {"jobs": page.context["named"], "once": page.context["once"], "confirmed": "1", "reason": "wrong data"}
    done = client.post(reverse("cancel-jobs"), data).content.decode()
    assert "asked for 1 job, not for 1" in done and "ended already" in done
    assert Job.objects.get(pk=running.pk).stop_reason == "wrong data"
    entry = AuditEntry.objects.get(verb="cancel")
    assert (entry.actor, entry.via, entry.reason) == (client.person.username, "dashboard", "wrong data")


@pytest.mark.parametrize("reason", ["", "   "])
def test_without_a_reason_nothing_is_done_and_the_page_says_so(reason):
    job = make_job(StatusCode.EXECUTING)
    data = {"jobs": job.identifier, "confirmed": "1", "reason": reason}
    page = client_of(OPERATOR).post(reverse("cancel-jobs"), data)
    assert page.status_code == 400 and "Say why" in page.content.decode()
    assert not Job.objects.get().stop_request


def test_a_kill_warns_and_kills():
    job, client = make_job(StatusCode.EXECUTING), client_of(OPERATOR)
    assert "Its container gets no time" in client.get(reverse("kill-jobs"), {"job": job.identifier}).content.decode()
    client.post(reverse("kill-jobs"), {"jobs": job.identifier, "confirmed": "1", "reason": "hangs"})
    assert Job.objects.get().stop_request == Job.StopRequest.KILL


def test_what_was_kept_is_removed_only_of_what_was_cut_off_and_for_a_reason():
    codes = (StatusCode.INTERNAL_ERROR, StatusCode.SUCCEEDED, StatusCode.CREATED)
    kept, ended, active = (make_job(code) for code in codes)
    client = client_of(OPERATOR)
    names = [each.identifier for each in (kept, ended, active)]
    page = client.get(reverse("clear-jobs"), {"job": names}).content.decode()
    assert "Clear 1 job in 1 request?" in page and "removed for good" in page and "still active; kill it first" in page
    client.post(reverse("clear-jobs"), {"jobs": " ".join(names), "confirmed": "1", "reason": "the disk is full"})
    assert list(Job.objects.filter(retry_clears=True)) == [kept]
    entry = AuditEntry.objects.get(verb="clear")
    assert (entry.object_id, entry.reason) == (kept.identifier, "the disk is full")
    again = client.get(reverse("clear-jobs"), {"job": kept.identifier}).content.decode()
    assert "Nothing to clear" in again and f"was asked for already, by {client.person.username}" in again


def test_a_retry_sent_twenty_times_makes_one_request():
    job, client = make_job(StatusCode.NONZERO_EXIT), client_of(OPERATOR)
    page = client.get(reverse("retry-jobs"), {"job": job.identifier})
    data = {"jobs": page.context["named"], "once": page.context["once"], "confirmed": "1", "reason": "again"}
    answers = {client.post(reverse("retry-jobs"), data).status_code for _ in range(20)}
    assert answers == {200}
    assert JobRequest.objects.waiting().count() == 1
    assert AuditEntry.objects.filter(verb="rerun").count() == 1


def test_all_that_match_are_named_once_and_later_ones_are_not_touched():
    jobs = [make_job(StatusCode.EXECUTING, workspace="one") for _ in range(3)]
    make_job(StatusCode.EXECUTING, workspace="two")
    client = client_of(OPERATOR)
    page = client.post(reverse("cancel-jobs"), {"all": "1", "filters": "workspace=one&state=running"})
    later = make_job(StatusCode.EXECUTING, workspace="one")
    assert set(page.context["named"].split()) == {job.identifier for job in jobs}
    client.post(reverse("cancel-jobs"), {"jobs": page.context["named"], "confirmed": "1", "reason": "x"})
    assert not Job.objects.get(pk=later.pk).stop_request
    assert Job.objects.stop_requested().count() == 3


def test_no_job_named_leads_back():
    assert client_of(OPERATOR).get(reverse("cancel-jobs")).url == reverse("jobs")


def test_names_that_nobody_knows_are_said_and_shown_as_text():
    content = client_of(OPERATOR).get(reverse("cancel-jobs"), {"job": "<script>x"}).content.decode()
    assert "1 cannot be found any more." in content and "<script>x" not in content


def test_names_of_studies_are_shown_as_text():
    job = make_job(StatusCode.EXECUTING, action="<b>x</b>\u202e")
    content = client_of(OPERATOR).get(reverse("cancel-jobs"), {"job": job.identifier}).content.decode()
    assert "<b>x</b>" not in content and "\u202e" not in content


@pytest.mark.parametrize("name", PAGES)
def test_the_number_of_queries_does_not_depend_on_the_number_of_jobs(name, django_assert_max_num_queries):
    jobs = [make_job(StatusCode.NONZERO_EXIT if name == "retry-jobs" else StatusCode.EXECUTING) for _ in range(60)]
    client = client_of(OPERATOR)
    with django_assert_max_num_queries(14):
        client.post(reverse(name), {"jobs": " ".join(job.identifier for job in jobs)})


def test_whoever_has_ticked_nothing_is_told_so():
    answer = client_of(OPERATOR).post(reverse("cancel-jobs"), follow=True)
    assert "tick at least one job" in answer.content.decode()


def hidden(page: str) -> dict[str, str]:
    """What the form of the page before sends on."""
    return dict(re.findall(r'<input type="hidden" name="(confirmed|jobs|once|finalise)" value="([^"]*)"', page))


def test_who_was_told_that_a_job_will_be_finalised_never_has_it_run_again_instead():
    """Neither by a reload after the runner has done it, nor by a colleague who confirms later."""
    job = make_job(StatusCode.INTERNAL_ERROR, exit_code=0, started_at=timezone.now())
    olive, oscar = client_of(OPERATOR, name="olive"), client_of(OPERATOR, name="oscar")
    place = reverse("retry-jobs")
    first, second = (hidden(client.post(place, {"job": job.identifier}).content.decode()) for client in (olive, oscar))
    assert olive.post(place, first | {"reason": "the disk is back"}).status_code == 200
    done = {"status_code": StatusCode.SUCCEEDED, "state": State.SUCCEEDED}
    Job.objects.filter(pk=job.pk).update(**done, **Job.NO_RETRY)
    for client, form in ((olive, first), (oscar, second)):
        answer = client.post(place, form | {"reason": "the disk is back"}).content.decode()
        assert "asked for 0 jobs, not for 1" in answer
    assert JobRequest.objects.count() == 1
    # Whoever asks anew is told that it runs again.
    assert "will run again" in olive.post(place, {"job": job.identifier}).content.decode()


def test_more_jobs_than_can_be_asked_for_at_once_are_told_of(monkeypatch):
    monkeypatch.setattr("jobs.views.bulk.MOST_AT_ONCE", 2)
    monkeypatch.setattr("jobs.views.job_list.MOST_AT_ONCE", 2)
    request = make_request()
    for _ in range(3):
        make_job(StatusCode.EXECUTING, request=request)
    olive = client_of(OPERATOR)
    for answer in (
        olive.get(reverse("cancel-jobs"), {"request": request.identifier}),
        olive.post(reverse("cancel-jobs"), {"all": "1", "filters": "workspace=study"}),
        olive.post(reverse("cancel-jobs"), {"job": list(request.jobs.values_list("identifier", flat=True))}),
    ):
        text = answer.content.decode()
        assert "More than 2 jobs were chosen." in text and "Cancel 2 jobs in 1 request?" in text
        assert len(hidden(text)["jobs"].split()) == 2


def test_who_asks_is_not_promised_what_nobody_is_there_to_do():
    running, ended = make_job(StatusCode.EXECUTING), make_job(StatusCode.NONZERO_EXIT)
    client = client_of(OPERATOR)

    def said(name: str, job) -> str:
        return client.post(reverse(name), {"jobs": job.identifier, "confirmed": "1", "reason": "x"}).content.decode()

    assert "The runner is silent:</strong> it does this when it is started again." in said("cancel-jobs", running)
    assert "Nobody plans them now:" in said("retry-jobs", ended)
    standing = client.get(running.get_absolute_url()).content.decode()
    assert "It is to be stopped" in standing and "It is being stopped" not in standing
    waiting = JobRequest.objects.get(outcome="waiting")
    assert "Nobody plans it now" in client.get(waiting.get_absolute_url()).content.decode()
    Heartbeat.beat("run")
    Heartbeat.beat("sync")
    assert "within moments" in said("cancel-jobs", make_job(StatusCode.EXECUTING))
    assert "plans them within moments" in said("retry-jobs", make_job(StatusCode.NONZERO_EXIT))
    assert "It is being stopped" in client.get(running.get_absolute_url()).content.decode()
    assert "nothing has gone wrong so far" in client.get(waiting.get_absolute_url()).content.decode()
