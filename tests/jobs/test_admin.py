"""The admin shows everything and changes nothing but what people may ask for."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs import admin_lists, storage
from jobs.admin import JobAdmin
from jobs.models import Delivery, Flag, Heartbeat, Job, JobOutput, JobRequest, StatusChange
from jobs.states import StatusCode
from tests.factories import make_flag, make_job, make_output

pytestmark = pytest.mark.django_db

MODELS = [Delivery, Flag, Heartbeat, Job, JobOutput, JobRequest, StatusChange]
READ_ONLY = [Delivery, Heartbeat, Job, JobOutput, JobRequest, StatusChange]


@pytest.fixture
def rows() -> dict[type, object]:
    job = make_job(StatusCode.CREATED, action="make_table")
    job.move_to(StatusCode.INITIATED, "Starting <b>now</b>.")
    Heartbeat.beat("run", tick_ms=1)
    return {
        Job: job,
        JobRequest: job.request,
        JobOutput: make_output(job, "output/<table>.csv"),
        StatusChange: StatusChange.objects.get(),
        Flag: make_flag(),
        Heartbeat: Heartbeat.objects.get(),
        Delivery: Delivery.objects.create(request=job.request, failure="<b>now</b>"),
    }


@pytest.fixture
def olive(client) -> Client:
    client.force_login(User.objects.create_superuser("olive"))
    return client


def bob_who_may(client: Client, *permissions: str) -> Client:
    bob = User.objects.create_user("bob", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(bob)
    return client


def page(model: type, view: str = "changelist", *arguments) -> str:
    return reverse(f"admin:jobs_{model._meta.model_name}_{view}", args=arguments)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_list_and_every_row_can_be_looked_at(olive, rows, model):
    assert olive.get(page(model)).status_code == 200
    shown = olive.get(page(model, "change", rows[model].pk))
    assert shown.status_code == 200
    assert "<b>now</b>" not in shown.content.decode()


@pytest.mark.parametrize(
    "model", [Job, JobOutput, JobRequest, Delivery, StatusChange, Flag], ids=lambda model: model.__name__
)
def test_every_list_can_be_searched(olive, rows, model):
    words = {
        Job: "make_table",
        JobOutput: "output/<tab",
        JobRequest: "study",
        StatusChange: "study",
        Flag: "disk",
        Delivery: "study",
    }
    found = olive.get(page(model), {"q": words[model]}).context["cl"].result_count
    assert (found, olive.get(page(model), {"q": "nowhere"}).context["cl"].result_count) == (1, 0)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "running"),
        ("status", "initiated"),
        ("backend", "development"),
        ("workspace", "study"),
    ],
)
def test_jobs_can_be_filtered(olive, rows, column, value):
    make_job(StatusCode.SUCCEEDED, workspace="another", backend="emis", requires_db=True)
    found = olive.get(page(Job), {column: value}).context["cl"].queryset
    assert list(found) == [rows[Job]]


@pytest.mark.parametrize("state", ["succeeded", "failed", "pending"])
def test_jobs_can_be_chosen_by_any_state(olive, rows, state):
    code = {"succeeded": StatusCode.SUCCEEDED, "failed": StatusCode.NONZERO_EXIT, "pending": StatusCode.PAUSED}[state]
    job = make_job(code)
    assert list(olive.get(page(Job), {"state": state}).context["cl"].queryset) == [job]


def test_words_find_the_beginning_of_identifiers_and_whole_names_and_must_all_be_found(olive, rows):
    job = make_job(StatusCode.CREATED, workspace="another", action="plot")
    words = {
        job.identifier[:9]: 1,
        job.request.identifier: 1,
        job.identifier[1:]: 0,
        "another": 1,
        "anothe": 0,
        f"{job.identifier} plot": 1,
        f"{job.identifier} make_table": 0,
    }
    assert {word: olive.get(page(Job), {"q": word}).context["cl"].result_count for word in words} == words


def test_a_long_list_is_counted_only_so_far_and_says_so(olive, rows, monkeypatch):
    monkeypatch.setattr(admin_lists, "MOST_COUNTED", 3)
    monkeypatch.setattr(JobAdmin, "list_per_page", 2)
    newest = [make_job() for _ in range(5)]

    shown = olive.get(page(Job)).context["cl"]

    assert (shown.result_count, list(shown.result_list)) == (3, newest[:2:-1])
    assert shown.title == "The newest 3 jobs; search for older ones"


def plan_of(query: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + query)
        return [row[3] for row in cursor.fetchall()]


@pytest.mark.parametrize("model", [Job, JobOutput, StatusChange], ids=lambda model: model.__name__)
@pytest.mark.parametrize("asked", [{}, {"o": "3"}, {"q": "abc"}, {"state": "failed"}, {"status": "succeeded"}])
def test_no_list_sorts_a_table_or_reads_all_its_rows(olive, rows, model, asked):
    with CaptureQueriesContext(connection) as captured:
        olive.get(page(model), asked)

    for query in [query["sql"] for query in captured if model._meta.db_table in query["sql"]]:
        assert "DISTINCT" not in query
        plan = plan_of(query)
        # In a list rows come in the order of their keys, up to a page; a search reads no more than an index.
        assert "q" not in asked or f"SCAN {model._meta.db_table}" not in plan, plan
        assert "q" in asked or not any("TEMP B-TREE" in step for step in plan), plan


def test_the_page_of_a_job_shows_its_last_outputs_and_leads_to_all(olive, rows):
    job = rows[Job]
    for number in range(60):
        make_output(job, f"output/{number}.csv")

    with CaptureQueriesContext(connection) as captured:
        shown = olive.get(page(Job, "change", job.pk)).content.decode()

    assert "output/59.csv" in shown and "output/10.csv" in shown and "output/9.csv" not in shown
    assert f'{page(JobOutput)}?job__id__exact={job.pk}"' in shown
    assert f'{page(StatusChange)}?job__id__exact={job.pk}"' in shown
    assert olive.get(page(JobOutput), {"job__id__exact": job.pk}).context["cl"].result_count == 61
    assert len(captured) < 15


def test_the_list_of_requests_leads_to_their_jobs(olive, rows):
    make_job()
    link = f"{page(Job)}?request__id__exact={rows[JobRequest].pk}"
    assert link in olive.get(page(JobRequest)).content.decode()
    assert list(olive.get(link).context["cl"].queryset) == [rows[Job]]


def test_the_list_of_jobs_takes_the_same_number_of_queries_however_long_it_is(
    olive, rows, django_assert_max_num_queries
):
    for _ in range(30):
        make_job()
    with django_assert_max_num_queries(15):
        olive.get(page(Job))


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_nobody_adds_changes_or_deletes_rows(olive, rows, model):
    row = rows[model]
    before = model.objects.values().get(pk=row.pk)
    assert olive.get(page(model, "add")).status_code == 403
    assert olive.post(page(model, "change", row.pk), {"status_code": "succeeded", "path": "x"}).status_code == 403
    assert olive.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    olive.post(page(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert model.objects.values().get(pk=row.pk) == before


def test_the_page_of_a_job_has_no_field_to_write_in(olive, rows):
    shown = olive.get(page(Job, "change", rows[Job].pk)).content.decode()
    assert "initiated" in shown
    assert 'name="status_code"' not in shown and 'name="state"' not in shown and 'name="_save"' not in shown


def test_cancelling_asks_the_runner_in_the_name_of_who_is_logged_in(olive):
    waiting, running = make_job(StatusCode.CREATED), make_job(StatusCode.EXECUTING)
    ended = make_job(StatusCode.SUCCEEDED)

    answer = olive.post(
        page(Job),
        {"action": "cancel", "reason": "wrong codelist", "_selected_action": [waiting.pk, running.pk, ended.pk]},
        follow=True,
    )

    asked = Job.objects.exclude(stop_request="").order_by("pk")
    assert list(asked.values_list("pk", "stop_request", "stop_requested_by")) == [
        (waiting.pk, "cancel", "olive"),
        (running.pk, "cancel", "olive"),
    ]
    assert set(Job.objects.values_list("status_code", flat=True)) == {"created", "executing", "succeeded"}
    messages = [str(message) for message in answer.context["messages"]]
    assert messages == [
        "2 job(s) will be cancelled by the runner.",
        "1 job(s) had already ended or been asked to stop.",
    ]


def test_nothing_is_cancelled_without_a_reason(olive):
    job = make_job(StatusCode.EXECUTING)
    answer = olive.post(page(Job), {"action": "cancel", "reason": " ", "_selected_action": [job.pk]}, follow=True)
    assert [str(message) for message in answer.context["messages"]] == [
        "Nothing was cancelled: say why, beside the action."
    ]
    assert not Job.objects.stop_requested().exists()


def test_the_page_of_a_job_says_where_its_log_and_its_outputs_lie(olive, rows):
    shown = olive.get(page(Job, "change", rows[Job].pk)).content.decode()
    assert str(storage.job_log(rows[Job])) in shown
    assert str(storage.high_privacy_workspace(rows[Job].workspace)) in shown


def test_lists_of_rows_of_jobs_lead_to_the_jobs(olive, rows):
    address = page(Job, "change", rows[Job].pk)
    for model in (JobOutput, StatusChange):
        assert f'href="{address}"' in olive.get(page(model)).content.decode()


def test_cancelling_many_jobs_costs_as_many_queries_as_cancelling_two(olive):
    def queries_for(count: int) -> int:
        pks = [make_job(StatusCode.CREATED).pk for _ in range(count)]
        with CaptureQueriesContext(connection) as captured:
            olive.post(page(Job), {"action": "cancel", "reason": "wrong codelist", "_selected_action": pks})
        return len(captured)

    assert queries_for(2) == queries_for(40)
    assert Job.objects.filter(stop_requested_by="olive").count() == 42


def test_who_searched_and_chose_all_cancels_what_was_found(olive):
    found, other = make_job(StatusCode.CREATED, action="found"), make_job(StatusCode.CREATED, action="other")

    olive.post(
        page(Job) + "?q=found",
        {"action": "cancel", "reason": "x", "select_across": "1", "_selected_action": [found.pk]},
    )

    assert set(Job.objects.exclude(stop_request="").values_list("pk", flat=True)) == {found.pk}
    assert Job.objects.get(pk=other.pk).stop_request == ""


def test_who_may_only_look_cannot_cancel(client, rows):
    bob = bob_who_may(client, "view_job")
    assert bob.get(page(Job)).status_code == 200
    bob.post(page(Job), {"action": "cancel", "reason": "wrong codelist", "_selected_action": [rows[Job].pk]})
    assert Job.objects.get(pk=rows[Job].pk).stop_request == ""


def test_who_may_change_jobs_can_cancel_but_not_edit(client, rows):
    bob = bob_who_may(client, "view_job", "change_job")
    bob.post(page(Job), {"action": "cancel", "reason": "wrong codelist", "_selected_action": [rows[Job].pk]})
    assert Job.objects.get(pk=rows[Job].pk).stop_requested_by == "bob"
    assert bob.post(page(Job, "change", rows[Job].pk), {}).status_code == 403


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_without_a_permission_nothing_is_shown(client, rows, model):
    bob = bob_who_may(client)
    assert bob.get(page(model)).status_code == 403
    assert bob.get(page(model, "change", rows[model].pk)).status_code == 403


@pytest.mark.parametrize("address", ["/", "/admin/", "/admin/jobs/job/"])
def test_strangers_are_asked_who_they_are(client, address):
    answer = client.get(address)
    assert answer.status_code == 302 and answer.url.startswith("/admin/login/")


def test_a_flag_is_added_with_who_and_why_and_is_never_edited(olive):
    answer = olive.post(
        page(Flag, "add"),
        {"name": "paused", "value": "on", "reason": "new disk", "expires_at_0": "", "expires_at_1": ""},
    )
    assert answer.status_code == 302
    flag = Flag.objects.get()
    assert (flag.name, flag.value, flag.set_by, flag.reason) == ("paused", "on", "olive", "new disk")
    assert flag.set_at <= timezone.now()
    assert olive.post(page(Flag, "change", flag.pk), {"value": ""}).status_code == 403
    assert olive.post(page(Flag, "delete", flag.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("value", ["banana", "off", "false", "0"])
def test_a_flag_is_on_or_off_by_choice_and_nothing_that_reads_like_one(olive, value):
    """Any text would be on: who wrote "off" closed the backend."""
    olive.post(page(Flag, "add"), {"name": "paused", "value": value, "reason": "done"})
    assert not Flag.objects.exists()


def test_switching_a_flag_off_takes_it_back(olive):
    for value in ("on", ""):
        olive.post(page(Flag, "add"), {"name": "paused", "value": value, "reason": "new disk"})
    assert Flag.objects.current()["paused"].value == ""
    assert "off" in olive.get(page(Flag)).content.decode()


def test_a_flag_that_could_never_count_is_refused(olive):
    past = {"expires_at_0": "2020-01-01", "expires_at_1": "12:00:00"}
    answer = olive.post(page(Flag, "add"), {"name": "paused", "value": "on", "reason": "new disk", **past})
    assert "This moment has passed" in answer.content.decode()
    assert not Flag.objects.exists()


def test_the_list_of_flags_says_which_one_counts_now(olive):
    old, new = make_flag(), make_flag(value="")
    listed = olive.get(page(Flag)).context["cl"].queryset
    assert {flag.pk: flag.counts for flag in listed} == {old.pk: False, new.pk: True}


@pytest.mark.parametrize("missing", ["reason", "name"])
def test_a_flag_without_a_reason_or_a_name_is_not_added(olive, missing):
    fields = {"name": "paused", "value": "on", "reason": "new disk"}
    assert olive.post(page(Flag, "add"), {**fields, missing: ""}).status_code == 200
    assert not Flag.objects.exists()


def test_a_request_can_be_told_to_the_job_server_again_by_those_who_may(client, rows):
    Delivery.objects.update(acknowledged="digest", settled=True)
    asked = {"action": "tell_again", "_selected_action": [rows[Delivery].pk]}
    bob_who_may(client, "view_delivery").post(page(Delivery), asked)
    assert Delivery.objects.get().settled
    client.force_login(User.objects.create_superuser("olive"))
    answer = client.post(page(Delivery), asked, follow=True)
    assert "1 request(s) will be told to the job-server again." in answer.content.decode()
    delivery = Delivery.objects.get()
    assert (delivery.acknowledged, delivery.settled) == ("", False)


def test_a_request_whose_git_host_never_answers_is_refused_by_those_who_may_with_a_reason(client, rows):
    waiting = JobRequest.objects.create(outcome="waiting", workspace="w", backend="development")
    asked = {"action": "refuse", "_selected_action": [waiting.pk, rows[JobRequest].pk]}
    bob_who_may(client, "view_jobrequest").post(page(JobRequest), asked | {"reason": "no"})
    client.force_login(User.objects.create_superuser("olive"))
    assert "say why" in client.post(page(JobRequest), asked, follow=True).content.decode()
    assert JobRequest.objects.get(pk=waiting.pk).is_waiting
    answer = client.post(page(JobRequest), asked | {"reason": "that host is gone"}, follow=True).content.decode()
    assert "1 request(s) refused" in answer and "1 request(s) did not wait any more" in answer
    waiting.refresh_from_db()
    assert (waiting.outcome, waiting.outcome_message) == ("refused", "Refused by the operators: that host is gone")
