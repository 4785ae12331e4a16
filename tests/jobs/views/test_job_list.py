"""The jobs list: what it shows, to whom, by which address, and at what cost."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs.models import Heartbeat, Job, ResourceSample, SavedView
from jobs.people.roles import OPERATOR, VIEWER
from jobs.states import StatusCode
from jobs.views.job_list import PAGE_SIZE
from tests.factories import make_job, make_output, make_request
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db
CODES = (StatusCode.EXECUTING, StatusCode.CREATED, StatusCode.NONZERO_EXIT, StatusCode.SUCCEEDED)


def page(query: str = "", role: str = OPERATOR, **columns) -> str:
    response = client_of(role, **columns).get(f"{reverse('jobs')}?{query}")
    assert response.status_code == 200
    return response.content.decode()


def number_of_queries(address: str) -> int:
    client = client_of(OPERATOR)
    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def make_many(number: int) -> None:
    request = make_request()
    now = timezone.now()
    Job.objects.bulk_create(
        Job(
            request=request, identifier=f"many{number}x{each}", action=f"many{number}x{each}", workspace="study",
            backend="development", state="succeeded", status_code="succeeded", started_at=now, completed_at=now,
        )
        for each in range(number)
    )  # fmt: skip


@pytest.mark.parametrize("query", ["", "group=request", "state=succeeded", "workspace=study&state=succeeded&q=many"])
def test_the_number_of_queries_does_not_depend_on_the_number_of_jobs(query):
    address = f"{reverse('jobs')}?{query}"
    make_many(10)
    few = number_of_queries(address)
    make_many(500)
    # At most the query that counts "select all", and those that name these jobs, 500 at a time.
    assert number_of_queries(address) <= few + 6
    assert few < 40


def test_a_success_says_how_many_outputs_it_has_stored():
    done = make_job(status_code=StatusCode.SUCCEEDED, status_message="Completed successfully.")
    for number in range(3):
        make_output(done, f"output/{number}.csv")
    make_job(action="failed", status_code=StatusCode.NONZERO_EXIT)
    shown = page()
    assert 'Completed successfully.</span> <span class="quiet">3 outputs</span>' in shown
    assert shown.count(" output") == 1


def test_what_studies_write_is_shown_as_text():
    make_job(action="<b>bold</b>", status_message="<script>alert(1)</script>\u202egnp", workspace="w\u202e")
    content = page()
    assert "<b>bold</b>" not in content and "<script>alert" not in content
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202egnp" in content
    assert "\u202e" not in content


def test_nothing_in_the_page_needs_a_looser_policy():
    make_job(StatusCode.EXECUTING)
    content = page()
    assert " style=" not in content and " onclick=" not in content and "<script>" not in content


def test_filters_choose_and_stay_in_the_form():
    make_job(StatusCode.EXECUTING, action="wanted", workspace="one")
    make_job(StatusCode.NONZERO_EXIT, action="unwanted", workspace="one")
    content = page("workspace=one&state=running")
    assert ">wanted<" in content and ">unwanted<" not in content
    assert 'name="workspace" value="one"' in content
    assert 'type="hidden" name="state" value="running"' in content


@pytest.mark.parametrize(
    "query", ["state=nonsense", "before=-1", "before=x", f"before={10**30}", "age=1", "q=%00", "sort=x"]
)
def test_senseless_filters_are_left_out_and_said(query):
    make_job(action="shown_all_the_same")
    content = page(query)
    assert "shown_all_the_same" in content
    assert ("Ignored" in content) == (query != "q=%00")


def test_more_jobs_than_a_page_holds_are_on_the_next():
    make_many(PAGE_SIZE + 5)
    first = client_of(VIEWER).get(reverse("jobs"))
    assert len(first.context["rows"]) == PAGE_SIZE
    second = client_of(VIEWER).get(f"{reverse('jobs')}?{first.context['older']}")
    assert [row.job.action for row in second.context["rows"]] == [f"many55x{each}" for each in (4, 3, 2, 1, 0)]
    assert not second.context["older"]


def test_all_that_match_can_be_selected_where_a_page_shows_only_some():
    make_many(PAGE_SIZE + 5)
    assert f"all {PAGE_SIZE + 5} matching" in page("state=succeeded")
    assert "matching" not in page()  # not every job there ever was


def test_what_runs_is_told_beside_the_workers_of_both_pools(settings):
    settings.MAX_WORKERS, settings.MAX_DB_WORKERS = 3, 4
    make_job(StatusCode.EXECUTING, requires_db=True)
    assert "0 of 3 workers, DB 1 of 4" in page()
    settings.MAX_DB_WORKERS = 0
    assert ", DB" not in page()


def test_tiles_tell_how_many_and_filter():
    for code in CODES:
        make_job(code)
    tiles = {tile.kind: tile for tile in client_of(VIEWER).get(reverse("jobs")).context["tiles"]}
    assert {kind: tile.number for kind, tile in tiles.items()} == {
        "running": 1, "waiting": 1, "failed": 1, "succeeded": 1, "stopped": 0,
    }  # fmt: skip
    assert tiles["failed"].query == "age=24h&state=failed" or tiles["failed"].query == "state=failed&age=24h"
    assert all(len(tile.bars) == 24 for tile in tiles.values())


def test_a_running_job_is_held_against_what_its_action_usually_takes():
    now = timezone.now()
    make_job(StatusCode.SUCCEEDED, action="a", started_at=now - timedelta(minutes=10), completed_at=now)
    job = make_job(StatusCode.EXECUTING, action="a", started_at=now - timedelta(minutes=5))
    ResourceSample.objects.create(job=job, at=now, cpu_percent=1, memory_bytes=2**30)
    content = page("state=running")
    assert "usually takes 10m" in content
    assert "1.0 GiB" in content
    (row,) = client_of(VIEWER).get(f"{reverse('jobs')}?state=running").context["rows"]
    assert 45 < row.width < 60


def test_grouped_by_request_each_request_tells_how_far_it_is():
    request = make_request()
    for code in CODES:
        make_job(code, request)
    content = page("group=request")
    assert "2 of 4" in content and "1 failed, 1 running, 1 waiting, 1 succeeded" in content


def test_whoever_may_only_look_sees_no_buttons():
    make_job(StatusCode.EXECUTING)
    assert "bulk-cancel" in page() and "bulk-retry" in page()
    content = page(role=VIEWER)
    assert "bulk-cancel" not in content and "bulk-retry" not in content


def test_on_the_first_day_the_page_tells_what_is_still_missing():
    assert "The runner is at work: " in page()
    Heartbeat.objects.create(name="run", at=timezone.now(), detail={})
    content = page()
    assert 'The runner is at work<span class="visually-hidden">: yes' in content and "add_job" in content


def test_an_empty_list_says_why():
    make_job(StatusCode.SUCCEEDED)
    assert "No failed jobs in the last 24 h — good." in page("state=failed&age=24h")
    assert "No job matches" in page("q=zzz")


def test_the_title_says_what_runs_also_after_a_poll():
    make_job(StatusCode.EXECUTING)
    assert "<title>● 1 running · Jobs" in page()
    assert "<title>● 1 running · Jobs" in poll(client_of(VIEWER), reverse("jobs")).content.decode()


def test_a_poll_of_what_ages_hears_news_when_the_clock_goes_on(monkeypatch):
    client, address = client_of(VIEWER), f"{reverse('jobs')}?age=stuck"
    tag = client.get(address)["HX-PTag"]
    assert poll(client, address, tag).status_code == 304
    later = timezone.now() + timedelta(minutes=2)
    monkeypatch.setattr("jobs.views.job_list.timezone.now", lambda: later)
    assert poll(client, address, tag).status_code == 200


def test_saved_views_are_ones_own():
    client, other = client_of(OPERATOR), client_of(OPERATOR)
    client.post(reverse("save-view"), {"name": "My <view>", "query": "state=failed&nonsense=1&before=7"})
    view = SavedView.objects.get()
    assert (view.owner, view.query) == (client.person, "state=failed")
    assert "My &lt;view&gt;" in client.get(reverse("jobs")).content.decode()
    assert client.get(reverse("saved-view", args=[view.slug])).url == f"{reverse('jobs')}?state=failed"
    assert other.get(reverse("saved-view", args=[view.slug])).status_code == 404
    assert other.post(reverse("delete-view", args=[view.slug])).status_code == 404
    client.post(reverse("delete-view", args=[view.slug]))
    assert not SavedView.objects.exists()


def test_a_view_saved_twice_under_a_name_is_replaced():
    client = client_of(VIEWER)
    for query in ("state=failed", "state=running"):
        client.post(reverse("save-view"), {"name": "mine", "query": query})
    assert SavedView.objects.get().query == "state=running"
    client.post(reverse("save-view"), {"name": " ", "query": ""})
    assert SavedView.objects.count() == 1


def test_built_in_views_lead_to_their_filters():
    client = client_of(VIEWER, name="vera")
    assert client.get(reverse("saved-view", args=["mine"])).url.endswith("?by=vera")
    assert "age=stuck" in client.get(reverse("saved-view", args=["stuck"])).url
    assert client.get(reverse("saved-view", args=["failed-today"])).url.endswith("?state=failed&age=24h")


def test_a_running_job_shows_how_busy_its_processors_are_and_what_memory_it_may_have(settings):
    settings.JOB_MEMORY_BYTES = 4 * 1024**3
    job = make_job(StatusCode.EXECUTING)
    for percent in (0, 100, 50):
        ResourceSample.objects.create(job=job, at=timezone.now(), cpu_percent=percent, memory_bytes=1024**3)
    text = page()
    assert '<polyline points="1.0,' in text
    assert "of 4.0 GiB" in text


@pytest.mark.parametrize("query", ["workspace=a", "q=a", "by=a", "db=1"])
@pytest.mark.parametrize("before", [1, 1000, 10**6, 2**63 - 1])
def test_a_bookmark_from_before_a_database_was_restored_leads_to_a_page(query, before):
    make_job(StatusCode.NONZERO_EXIT)
    assert page(f"{query}&before={before}")
