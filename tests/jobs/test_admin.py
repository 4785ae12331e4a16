"""The admin shows everything and changes nothing but what people may ask for."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs import admin_lists, admin_reasons, storage
from jobs.admin import JobAdmin
from jobs.models import (
    ApiToken,
    AuditEntry,
    Delivery,
    Flag,
    Heartbeat,
    Job,
    JobOutput,
    JobRequest,
    LogInCount,
    SavedView,
    StatusChange,
)
from jobs.states import StatusCode
from tests.factories import make_flag, make_job, make_output

pytestmark = pytest.mark.django_db

READ_ONLY = [
    *(ApiToken, AuditEntry, Delivery, Heartbeat, Job, JobOutput, JobRequest, LogInCount, SavedView, StatusChange),
]
MODELS = [Flag, *READ_ONLY]


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
        ApiToken: ApiToken.objects.create(user=User.objects.create_user("tom"), name="<b>now</b>", digest="0" * 64),
        AuditEntry: AuditEntry.objects.create(actor="<b>now</b>", verb="cancel", via="admin", object_kind="job"),
        LogInCount: LogInCount.objects.create(name="<b>now</b>", last_at=timezone.now()),
        SavedView: SavedView.objects.create(name="<b>now</b>", slug="now"),
    }


@pytest.fixture
def olive(client) -> Client:
    client.force_login(User.objects.create_superuser("olive"))
    return client


def bob_who_may(client: Client, *permissions: str) -> Client:
    bob = User.objects.create_user("bob", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(codename__in=("use_admin", *permissions)))
    client.force_login(bob)
    return client


def asked(client: Client, model: type, action: str, rows: list, why: str = "wrong codelist", query: str = "", **more):
    """Choose the action, and confirm what the page shows that is between; returns that page and the last one."""
    address = page(model) + query
    between = client.post(address, {"action": action, "_selected_action": [row.pk for row in rows], **more})
    if between.status_code != 200 or "frozen" not in (between.context or {}):
        return between, between
    confirmed = {"action": action, "_selected_action": "0", "frozen": between.context["frozen"], "why": why}
    return between, client.post(address, confirmed, follow=True)


def page(model: type, view: str = "changelist", *arguments) -> str:
    return reverse(f"admin:jobs_{model._meta.model_name}_{view}", args=arguments)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_list_and_every_row_can_be_looked_at(olive, rows, model):
    assert olive.get(page(model)).status_code == 200
    shown = olive.get(page(model, "change", rows[model].pk))
    assert shown.status_code == 200
    assert "<b>now</b>" not in shown.content.decode()


@pytest.mark.parametrize("model", [*MODELS, User], ids=lambda model: model.__name__)
@pytest.mark.parametrize("column", ["pk", "id", "job", "user", "request"])
def test_a_number_in_an_address_that_is_too_large_is_answered(olive, rows, model, column):
    place = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for number in (2**63, -(2**63) - 1, 10**40):
        assert olive.get(place, {column: number}, follow=True).status_code in (200, 400)


@pytest.mark.parametrize("model", [Job, JobRequest, AuditEntry], ids=lambda model: model.__name__)
@pytest.mark.parametrize("year", [0, 99999, "x"])
def test_a_year_that_there_is_not_is_answered(olive, rows, model, year):
    for column in ("created_at", "at"):
        assert olive.get(page(model), {f"{column}__year": year}, follow=True).status_code in (200, 400)


@pytest.mark.parametrize("model", [*MODELS, User], ids=lambda model: model.__name__)
def test_an_address_that_names_an_empty_field_is_answered(olive, rows, model):
    row = rows.get(model) or User.objects.get(username="tom")
    place = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
    assert olive.get(place, {"_to_field": ""}).status_code == 200


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


@pytest.mark.sqlite_only
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


def messages_of(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def audited() -> list[tuple[str, ...]]:
    columns = ("actor", "via", "verb", "object_kind", "object_id", "reason")
    entries = AuditEntry.objects.exclude(actor="<b>now</b>")
    return list(entries.order_by("pk").values_list(*columns))


def test_cancelling_shows_what_will_happen_and_asks_the_runner_in_the_name_of_who_is_logged_in(olive):
    waiting, running = make_job(StatusCode.CREATED), make_job(StatusCode.EXECUTING)
    ended = make_job(StatusCode.SUCCEEDED)

    between, answer = asked(olive, Job, "cancel", [waiting, running, ended])

    shown = between.content.decode()
    for sentence in ("Cancel 3 job(s)?", "1 running", "1 waiting", "1 ended already", str(waiting)):
        assert sentence in shown, sentence
    stopped = Job.objects.exclude(stop_request="").order_by("pk")
    assert list(stopped.values_list("pk", "stop_request", "stop_requested_by", "stop_reason")) == [
        (waiting.pk, "cancel", "olive", "wrong codelist"),
        (running.pk, "cancel", "olive", "wrong codelist"),
    ]
    assert set(Job.objects.values_list("status_code", flat=True)) == {"created", "executing", "succeeded"}
    assert messages_of(answer) == [
        "2 job(s) will be cancelled by the runner.",
        "1 job(s) left alone: has ended already (succeeded).",
    ]
    assert audited() == [
        ("olive", "admin", "cancel", "job", job.identifier, "wrong codelist") for job in (waiting, running)
    ]


def test_nothing_happens_before_it_is_confirmed(olive):
    job = make_job(StatusCode.EXECUTING)
    for action in ("cancel", "kill", "finalise_again", "run_again"):
        assert olive.post(page(Job), {"action": action, "_selected_action": [job.pk]}).status_code == 200
    assert not Job.objects.stop_requested().exists() and audited() == []


@pytest.mark.parametrize("why", ["", " ", "\n"])
def test_nothing_is_cancelled_without_a_reason_and_the_page_asks_again(olive, why):
    job = make_job(StatusCode.EXECUTING)
    between, answer = asked(olive, Job, "cancel", [job], why)
    assert "Say why" in answer.content.decode()
    assert answer.context["frozen"] == between.context["frozen"] == job.identifier
    assert not Job.objects.stop_requested().exists() and audited() == []


def test_what_was_shown_is_cancelled_whatever_the_list_says_now(olive):
    chosen = make_job(StatusCode.CREATED, action="chosen")
    between = olive.post(page(Job) + "?state=pending", {"action": "cancel", "select_across": "1",
                                                        "_selected_action": [chosen.pk]})  # fmt: skip
    later = make_job(StatusCode.CREATED, action="later")
    confirmed = {"action": "cancel", "_selected_action": "0", "frozen": between.context["frozen"], "why": "x"}
    olive.post(page(Job) + "?state=pending", confirmed)
    assert [job.pk for job in Job.objects.stop_requested()] == [chosen.pk]
    assert Job.objects.get(pk=later.pk).stop_request == ""


def test_killing_finalising_again_and_running_again_are_asked_for(olive):
    running, cut_off = make_job(StatusCode.EXECUTING), make_job(StatusCode.INTERNAL_ERROR)
    failed = make_job(StatusCode.NONZERO_EXIT)
    asked(olive, Job, "kill", [running])
    assert Job.objects.get(pk=running.pk).stop_request == "kill"
    asked(olive, Job, "finalise_again", [cut_off])
    assert Job.objects.get(pk=cut_off.pk).retry_requested_by == "olive"
    requests = JobRequest.objects.count()
    asked(olive, Job, "run_again", [failed])
    assert JobRequest.objects.count() == requests + 1
    assert [entry[2] for entry in audited()] == ["kill", "retry", "rerun"]


def test_the_page_between_takes_the_same_number_of_queries_however_many_are_chosen(olive):
    def queries_for(count: int) -> int:
        pks = [make_job(StatusCode.CREATED).pk for _ in range(count)]
        with CaptureQueriesContext(connection) as captured:
            olive.post(page(Job), {"action": "cancel", "_selected_action": pks})
        return len(captured)

    queries_for(1)  # the first call of a session notes when it began
    assert queries_for(2) == queries_for(40)


def test_more_than_can_be_done_at_once_are_refused(olive, monkeypatch):
    monkeypatch.setattr(admin_reasons, "MOST_AT_ONCE", 2)
    jobs = [make_job(StatusCode.CREATED) for _ in range(3)]
    between, _ = asked(olive, Job, "cancel", jobs)
    assert between.status_code == 302 and not Job.objects.stop_requested().exists()


def test_who_searched_and_chose_all_cancels_what_was_found(olive):
    found, other = make_job(StatusCode.CREATED, action="found"), make_job(StatusCode.CREATED, action="other")
    asked(olive, Job, "cancel", [found], query="?q=found", select_across="1")
    assert set(Job.objects.exclude(stop_request="").values_list("pk", flat=True)) == {found.pk}
    assert Job.objects.get(pk=other.pk).stop_request == ""


def test_who_may_only_look_cannot_cancel_not_even_by_confirming(client, rows):
    bob = bob_who_may(client, "view_job")
    assert bob.get(page(Job)).status_code == 200
    asked(bob, Job, "cancel", [rows[Job]])
    confirmed = {"action": "cancel", "_selected_action": "0", "frozen": rows[Job].identifier, "why": "x"}
    bob.post(page(Job), confirmed)
    assert Job.objects.get(pk=rows[Job].pk).stop_request == ""


def test_who_may_cancel_jobs_can_do_so_but_not_edit(client, rows):
    bob = bob_who_may(client, "view_job", "cancel_job")
    asked(bob, Job, "cancel", [rows[Job]])
    assert Job.objects.get(pk=rows[Job].pk).stop_requested_by == "bob"
    assert bob.post(page(Job, "change", rows[Job].pk), {}).status_code == 403


def test_rows_lead_to_their_pages_and_to_their_audit(olive, rows):
    for model, address in ((Job, "job"), (JobRequest, "request")):
        shown = olive.get(page(model, "change", rows[model].pk)).content.decode()
        assert f'href="/{address[0]}/{rows[model].identifier}/"' in shown and "View on dashboard" in shown
        history = olive.get(page(model, "history", rows[model].pk))
        assert history.url == f"/audit/?kind={address}&object={rows[model].identifier}"


def test_the_front_page_says_how_it_stands_and_what_one_did_last(olive, rows):
    asked(olive, Job, "cancel", [rows[Job]])
    shown = olive.get("/admin/").content.decode()
    assert "All is well" in shown and "last heard" in shown and "cancel job" in shown
    Heartbeat.objects.all().delete()
    shown = olive.get("/admin/").content.decode()
    assert "Trouble" in shown and "start `manage.py run`" in shown


def test_heartbeats_are_told_in_words_and_harmlessly(olive):
    Heartbeat.beat("run", tick_ms=1, jobs=["a", "b"], nothing=None, slots={"db": 2}, nasty="<b>x</b>\u202e")
    shown = olive.get(page(Heartbeat)).content.decode()
    for words in ("tick ms: 1", "jobs: 2: a and b", "nothing: none", "slots: db 2", "&lt;b&gt;x&lt;/b&gt;\\u202e"):
        assert words in shown, words


def test_the_page_of_a_job_says_where_its_log_and_its_outputs_lie(olive, rows):
    shown = olive.get(page(Job, "change", rows[Job].pk)).content.decode()
    assert str(storage.job_log(rows[Job])) in shown
    assert str(storage.high_privacy_workspace(rows[Job].workspace)) in shown


def test_lists_of_rows_of_jobs_lead_to_the_jobs(olive, rows):
    address = page(Job, "change", rows[Job].pk)
    for model in (JobOutput, StatusChange):
        assert f'href="{address}"' in olive.get(page(model)).content.decode()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_without_a_permission_nothing_is_shown(client, rows, model):
    bob = bob_who_may(client)
    assert bob.get(page(model)).status_code == 403
    assert bob.get(page(model, "change", rows[model].pk)).status_code == 403


@pytest.mark.parametrize("address", ["/", "/admin/", "/admin/jobs/job/", "/admin/login/", "/admin/nowhere/"])
def test_strangers_are_asked_who_they_are(client, address):
    answer = client.get(address, follow=True)
    assert answer.redirect_chain[-1][0].startswith("/login/")


def test_a_flag_is_added_with_who_and_why_and_is_never_edited(olive):
    answer = olive.post(
        page(Flag, "add"),
        {"name": "paused", "value": "on", "reason": "new disk", "expires_at_0": "", "expires_at_1": ""},
    )
    assert answer.status_code == 302
    flag = Flag.objects.get()
    assert (flag.name, flag.value, flag.set_by, flag.reason) == ("paused", "on", "olive", "new disk")
    assert flag.set_at <= timezone.now()
    assert audited() == [("olive", "admin", "switch", "flag", "paused", "new disk")]
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
    asked(bob_who_may(client, "view_delivery"), Delivery, "tell_again", [rows[Delivery]])
    assert Delivery.objects.get().settled
    client.force_login(User.objects.create_superuser("olive"))
    _, answer = asked(client, Delivery, "tell_again", [rows[Delivery]], "it lost its database")
    assert messages_of(answer) == ["1 request(s) will be told to the job-server again."]
    delivery = Delivery.objects.get()
    assert (delivery.acknowledged, delivery.settled) == ("", False)
    identifier = rows[JobRequest].identifier
    assert audited() == [("olive", "admin", "tell again", "request", identifier, "it lost its database")]


def test_a_request_whose_git_host_never_answers_is_refused_by_those_who_may_with_a_reason(client, rows):
    waiting = JobRequest.objects.create(outcome="waiting", workspace="w", backend="development")
    chosen = [waiting, rows[JobRequest]]
    asked(bob_who_may(client, "view_jobrequest"), JobRequest, "refuse", chosen)
    assert JobRequest.objects.get(pk=waiting.pk).is_waiting
    client.force_login(User.objects.create_superuser("olive"))
    between, answer = asked(client, JobRequest, "refuse", chosen, "that host is gone")
    assert "1 waiting to be planned" in between.content.decode()
    assert messages_of(answer) == [
        "1 request(s) refused; whoever asked will be told.",
        "1 request(s) did not wait any more.",
    ]
    waiting.refresh_from_db()
    assert (waiting.outcome, waiting.outcome_message) == ("refused", "Refused by the operators: that host is gone")


def test_a_lock_out_is_lifted_and_a_token_revoked_by_those_who_may(client):
    bob_who_may(client, "view_logincount", "change_user", "view_apitoken", "change_apitoken")
    count = LogInCount.objects.create(name="alice", failures=7, last_at=timezone.now())
    asked(client, LogInCount, "lift", [count], "she called")
    count.refresh_from_db()
    token = ApiToken.objects.create(user=User.objects.get(), name="monitor", digest="0" * 64, beginning="abc")
    asked(client, ApiToken, "revoke", [token], "lost laptop")
    token.refresh_from_db()
    assert count.failures == 0 and token.revoked_at is not None
    assert [entry[2:] for entry in audited()] == [
        ("lift", "log-in count", "alice", "she called"),
        ("revoke", "token", "abc", "lost laptop"),
    ]


def test_the_queues_own_tables_are_not_shown_as_any_function_could_be_named_there(client):
    from django.contrib import admin
    from django_q.models import Failure, OrmQ, Schedule, Success

    assert not {Failure, OrmQ, Schedule, Success} & set(admin.site._registry)
