"""The page of one job: head, why it waits, tabs."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs import storage
from jobs.inputs import record
from jobs.models import AuditEntry, Flag, Heartbeat, Job, ResourceSample, StatusChange, Who
from jobs.people.roles import OPERATOR, VIEWER
from jobs.states import StatusCode
from jobs.views.job_page import TABS
from tests.factories import make_flag, make_job, make_output, make_request
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db
EVIL = '<script>alert("x")</script>\u202egnp'


def beat(used=0, limit=2, **more):
    slots = {name: {"used": used, "limit": limit} for name in ("workers", "database workers")}
    Heartbeat.beat("run", slots=slots, **more)


def page(job, tab="", role=OPERATOR, **query) -> str:
    response = client_of(role).get(job.get_absolute_url(), {"tab": tab, **query})
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("code", [*StatusCode])
def test_every_tab_answers_in_every_status(code):
    beat()
    job, client = make_job(code), client_of(OPERATOR)
    for tab in TABS:
        response = client.get(job.get_absolute_url(), {"tab": tab})
        assert response.status_code == 200, tab
        assert "no-store" in response["Cache-Control"]


def test_a_job_that_does_not_exist_is_not_found():
    assert client_of(VIEWER).get(reverse("job", args=["nobody"])).status_code == 404


def test_an_attempt_that_never_was_is_not_found():
    assert client_of(VIEWER).get(make_job().get_absolute_url(), {"attempt": "2"}).status_code == 404


# --- who may do what


def test_a_viewer_is_offered_nothing_to_change():
    for code in (StatusCode.EXECUTING, StatusCode.NONZERO_EXIT):
        html = page(make_job(code), role=VIEWER)
        assert not any(f"/jobs/{verb}/" in html for verb in ("cancel", "kill", "retry"))


def test_an_operator_is_offered_what_makes_sense():
    running, ended = page(make_job(StatusCode.EXECUTING)), page(make_job(StatusCode.NONZERO_EXIT))
    assert "/jobs/cancel/?job=" in running
    assert "/jobs/kill/?job=" in running
    assert "/jobs/retry/?job=" not in running
    assert "/jobs/retry/?job=" in ended
    assert "/jobs/cancel/?job=" not in ended


def test_a_job_that_is_to_be_cancelled_can_still_be_killed():
    job = make_job(StatusCode.EXECUTING)
    job.request_cancel("olive", "a mistake")
    html = page(job)
    assert "/jobs/cancel/?job=" not in html
    assert "/jobs/kill/?job=" in html
    assert "olive has asked to cancel it: a mistake" in html


# --- why it waits


def test_the_page_names_the_jobs_that_it_waits_for():
    beat()
    awaited = make_job(StatusCode.EXECUTING, action="generate")
    html = page(make_job(StatusCode.WAITING_ON_DEPENDENCIES, waits_for=[awaited]))
    assert awaited.get_absolute_url() in html
    assert "0 of 1 have" in html
    assert "in line for" not in html


@pytest.mark.parametrize("name", [Flag.Name.PAUSED, Flag.Name.REBOOT, Flag.Name.DB_MAINTENANCE])
def test_the_page_names_who_holds_everything_back_and_why(name):
    beat()
    make_flag(name, set_by="olive", reason="patching")
    html = page(make_job(StatusCode.WAITING_ON_DB_WORKERS, requires_db=True))
    assert "by olive since" in html
    assert "patching" in html
    assert f"/system/flags/{name}/" in html


def test_a_planned_reboot_holds_only_what_would_not_be_done():
    beat()
    now = timezone.now()
    make_job(StatusCode.SUCCEEDED, action="long", started_at=now - timedelta(hours=3), completed_at=now)
    make_flag(Flag.Name.REBOOT, due_at=now + timedelta(hours=2), reason="a new kernel")
    html = page(make_job(StatusCode.WAITING_ON_REBOOT, action="long"))
    assert "Its action has lately taken up to 3h, longer than is left, so it waits" in html and "a new kernel" in html
    html = page(make_job(StatusCode.WAITING_ON_WORKERS, action="new"))
    assert "never succeeded before, so it may start" in html and "Nothing holds it" in html


def test_database_maintenance_holds_no_other_job():
    beat()
    make_flag(Flag.Name.DB_MAINTENANCE)
    assert "Nothing holds it" in page(make_job(StatusCode.WAITING_ON_WORKERS))


def test_a_silent_runner_is_the_reason_of_all():
    html = page(make_job())
    assert "nothing starts: start `manage.py run`" in html


def test_a_full_disk_is_told():
    beat(disks=[{"name": "high privacy storage", "free": 1, "total": 100, "least": 10}])
    assert "is free for high privacy storage" in page(make_job(StatusCode.WAITING_ON_WORKERS))


def test_the_page_tells_what_occupies_the_workers_the_place_in_line_and_an_estimate():
    beat(used=1, limit=1)
    now = timezone.now()
    last = make_job(StatusCode.SUCCEEDED, action="slow", started_at=now - timedelta(minutes=30))
    running = make_job(StatusCode.EXECUTING, action="slow", started_at=now - timedelta(minutes=20))
    make_job(StatusCode.WAITING_ON_WORKERS)
    html = page(make_job(StatusCode.WAITING_ON_WORKERS))
    assert last.started_at < running.started_at
    assert "1 of 1 workers are busy. It is about number 2 in line." in html
    assert running.get_absolute_url() in html
    assert "in about 40 minutes" in html


def test_a_worker_that_was_left_free_for_a_heavier_job_is_not_promised():
    job = make_job(StatusCode.WAITING_ON_WORKERS)
    beat(used=1, limit=2)
    html = page(job)
    assert "counts for more than are free" in html
    assert "one is free for this job" not in html
    beat(used=1, limit=2, why_held={"workers": "the disk is full"})
    assert "counts for more than are free" not in page(job)


def test_there_is_no_estimate_from_what_never_ended_before():
    beat(used=1, limit=1)
    make_job(StatusCode.EXECUTING, action="new_action", started_at=timezone.now())
    assert "new_action, which runs now, has never succeeded before" in page(make_job(StatusCode.WAITING_ON_WORKERS))


# --- the other tabs


def test_a_withheld_output_is_shown_with_its_reason_and_how_to_mend_it():
    job = make_job(StatusCode.SUCCEEDED, output_spec={"moderately_sensitive": {"t": "output/*.csv"}})
    make_output(job, level="moderately_sensitive", excluded=True, rule="rows", message="Too many.", row_count=9000)
    html = page(job, "outputs")
    assert "Too many." in html
    assert "Summarise to fewer rows" in html
    assert "output/*.csv" in html


def test_many_outputs_come_in_pages_and_can_be_filtered():
    job = make_job(StatusCode.SUCCEEDED)
    for number in range(205):
        make_output(job, f"output/{number:03}.csv")
    html = page(job, "outputs")
    assert "output/199.csv" in html
    assert "output/200.csv" not in html
    assert "205 files" in html
    assert "output/204.csv" in page(job, "outputs", after="output/199.csv")
    assert "output/001.csv" not in page(job, "outputs", path="204")


def test_hostile_names_stay_text_on_every_tab():
    beat()
    request = make_request(created_by=EVIL, branch=EVIL, repo_url=f"javascript:{EVIL}")
    job = make_job(
        StatusCode.SUCCEEDED, request, run_command=EVIL, image=EVIL, arguments=[EVIL], status_message=EVIL,
        status_detail=EVIL, output_spec={"highly_sensitive": {EVIL: EVIL}}, code_repo_url=EVIL, code_commit="x",
    )  # fmt: skip
    make_output(job, EVIL, excluded=True, message=EVIL)
    StatusChange.objects.create(job=job, to_code=EVIL[:30], message=EVIL, actor=EVIL, at=timezone.now())
    AuditEntry.note(Who(EVIL, "dashboard"), "kill", object_kind="job", object_id=job.identifier, reason=EVIL)
    for tab in TABS:
        html = page(job, tab)
        assert "<script>alert" not in html
        assert "\u202e" not in html
        assert 'href="javascript' not in html


def test_a_first_run_has_nothing_to_be_compared_with():
    assert "has never succeeded before" in page(make_job(StatusCode.NONZERO_EXIT), "changes")


def test_only_what_differs_from_the_last_success_is_marked():
    make_job(StatusCode.SUCCEEDED, make_request(commit="a" * 40), action="table")
    same = make_job(StatusCode.SUCCEEDED, make_request(commit="a" * 40), action="table")
    assert "Nothing has changed:" in page(same, "changes")
    other = make_job(StatusCode.NONZERO_EXIT, make_request(commit="b" * 40), action="table", run_command="r:latest")
    html = page(other, "changes")
    assert "Nothing has changed:" not in html
    assert html.count('class="is-different"') == 2
    assert f"/compare/{'a' * 40}...{'b' * 40}" in html


def test_an_input_that_differs_is_named():
    now = timezone.now()
    for digit in "12":
        made = make_job(StatusCode.SUCCEEDED, action="data", completed_at=now, started_at=now)
        make_output(made, "output/data.csv", content_hash=digit * 64)
        now += timedelta(minutes=5)
        job = make_job(StatusCode.SUCCEEDED, action="table", needs=["data"], started_at=now, completed_at=now)
        now += timedelta(minutes=5)
    html = page(job, "changes")
    assert "Inputs that differ" in html
    assert "1" * 12 in html
    assert "2" * 12 in html
    assert made.identifier in page(job, "provenance")


def test_the_timeline_tells_stages_with_durations_and_what_people_did():
    job = make_job(created_at=timezone.now() - timedelta(minutes=5))
    job.move_to(StatusCode.INITIATED, "Starting.")
    AuditEntry.note(Who("olive", "dashboard"), "cancel", object_kind="job", object_id=job.identifier, reason="a slip")
    html = page(job, "events")
    assert "for 5m" in html
    assert "a slip" in html
    assert "so far" in html
    assert "a slip" not in page(job, "events", role=VIEWER)


def test_without_samples_the_page_says_why():
    assert "has not started" in page(make_job(), "resources")


def test_memory_near_its_limit_is_told(settings):
    settings.JOB_MEMORY_BYTES = 1000
    job = make_job(StatusCode.EXECUTING)
    ResourceSample.objects.create(job=job, at=timezone.now(), cpu_percent=10, memory_bytes=950)
    assert "95 % of the memory" in page(job, "resources")


def test_samples_are_thinned_out_for_the_chart():
    job, now = make_job(StatusCode.EXECUTING), timezone.now()
    rows = [ResourceSample(job=job, at=now, cpu_percent=number, memory_bytes=1) for number in range(700)]
    ResourceSample.objects.bulk_create(rows)
    answer = client_of(VIEWER).get(reverse("job-samples", args=[job.identifier])).json()
    assert len(answer["at"]) == 500
    assert answer["cpu_percent"][-1] == 699
    assert answer["is_growing"]


@pytest.mark.parametrize("name", ["job-samples", "job-provenance"])
def test_data_of_a_job_asks_who_is_there(client, name):
    address = reverse(name, args=[make_job().identifier])
    assert client.get(address).status_code == 302
    assert client_of().get(address).status_code == 403


def test_provenance_comes_as_a_file_without_values_of_the_environment(settings, tmp_path):
    settings.HIGH_PRIVACY_STORAGE_BASE = tmp_path
    job = make_job(StatusCode.SUCCEEDED, exit_code=0)
    path = storage.job_metadata(job)
    path.parent.mkdir(parents=True)
    config = '{"Config": {"Env": ["SECRET=hunter2", "PATH=/bin"], "Hostname": "job"}, "Id": "5b71b67ee541"}'
    path.write_text(f'{{"host": "tre-1", "runner version": "abc123", "container": {config}}}')
    response = client_of(VIEWER).get(reverse("job-provenance", args=[job.identifier]))
    facts = response.json()
    assert facts["environment_names"] == ["PATH", "SECRET"]
    assert [facts[name] for name in ("host", "runner_version", "container_id")] == ["tre-1", "abc123", "5b71b67ee541"]
    assert "hunter2" not in response.content.decode()


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"container": 3, "host": [], "runner version": {}}', '{"container": {"Config": {"Env": 3}}}']
)
def test_a_damaged_file_of_the_engines_facts_breaks_nothing(settings, tmp_path, text):
    settings.HIGH_PRIVACY_STORAGE_BASE = tmp_path
    job = make_job(StatusCode.SUCCEEDED)
    path = storage.job_metadata(job)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert "not recorded" in page(job, "provenance")


def test_a_folder_where_the_engines_facts_belong_breaks_nothing(settings, tmp_path):
    settings.HIGH_PRIVACY_STORAGE_BASE = tmp_path
    job = make_job(StatusCode.SUCCEEDED)
    storage.job_metadata(job).mkdir(parents=True)
    assert "not recorded" in page(job, "provenance")


def test_provenance_says_whether_inputs_were_recorded_or_worked_out(settings, tmp_path):
    settings.HIGH_PRIVACY_STORAGE_BASE = tmp_path
    made = make_output(make_job(StatusCode.SUCCEEDED, action="extract"), "output/rows.csv")
    job = make_job(StatusCode.EXECUTING, needs=["extract"], started_at=timezone.now())
    assert "Not recorded: these are the outputs" in page(job, "provenance")
    path = storage.job_inputs(job)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(record([made])))
    text = page(job, "provenance")
    assert "Not recorded" not in text and "output/rows.csv" in text


def test_a_job_that_was_not_run_leads_to_those_that_failed_before_it():
    failed = make_job(StatusCode.NONZERO_EXIT, action="extract")
    good = make_job(StatusCode.SUCCEEDED, action="load", request=failed.request)
    job = make_job(StatusCode.DEPENDENCY_FAILED, request=failed.request, waits_for=[failed, good])
    text = page(job)
    assert reverse("job", args=[failed.identifier]) in text
    assert reverse("job", args=[good.identifier]) not in text.replace('rel="prev"', "").split("standing-title")[1]


def test_what_has_changed_is_offered_only_where_there_was_a_success():
    job = make_job(StatusCode.NONZERO_EXIT, action="count", started_at=timezone.now())
    assert "It has never succeeded before in this workspace." in page(job)
    make_job(StatusCode.SUCCEEDED, action="extract")
    before = make_job(StatusCode.SUCCEEDED, action="count", completed_at=timezone.now())
    job = make_job(StatusCode.NONZERO_EXIT, action="count", started_at=timezone.now())
    assert before.pk < job.pk
    assert "What has changed since it last succeeded?" in page(job)


# --- live, and what it costs


def test_a_finished_job_is_not_polled_and_an_active_one_is():
    assert 'data-live="0"' in page(make_job(StatusCode.SUCCEEDED))
    assert 'data-live="2"' in page(make_job(StatusCode.EXECUTING))


def test_a_waiting_jobs_poll_hears_of_the_jobs_before_it_and_of_flags():
    beat()
    other, job = make_job(StatusCode.WAITING_ON_WORKERS), make_job(StatusCode.WAITING_ON_WORKERS)
    client, address = client_of(VIEWER), job.get_absolute_url()
    tag = client.get(address)["HX-PTag"]
    assert poll(client, address, tag).status_code == 304
    other.move_to(StatusCode.INITIATED, "Starting.")
    changed = poll(client, address, tag)
    assert changed.status_code == 200
    assert b'id="log"' not in changed.content
    make_flag()
    assert poll(client, address, changed["HX-PTag"]).status_code == 200


def queries(client, address, django_assert_max_num_queries, tab) -> int:
    with django_assert_max_num_queries(40) as counted:
        client.get(address, {"tab": tab})
    return len(counted)


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("code", [StatusCode.WAITING_ON_WORKERS, StatusCode.SUCCEEDED])
def test_a_page_takes_as_many_queries_whatever_there_is(django_assert_max_num_queries, tab, code):
    beat(used=2)
    request = make_request()
    needed = make_job(StatusCode.SUCCEEDED, request, action="data")
    make_job(StatusCode.EXECUTING, action="other")
    make_job(StatusCode.SUCCEEDED, action="table")
    job = make_job(code, request, [needed], action="table", started_at=None)
    make_output(job, "a.csv", is_current=False)
    client = client_of(VIEWER)
    client.get(job.get_absolute_url(), {"tab": tab})
    few = queries(client, job.get_absolute_url(), django_assert_max_num_queries, tab)
    for number in range(30):
        job.waits_for.add(make_job(StatusCode.SUCCEEDED, request, action=f"data_{number}"))
        make_job(StatusCode.EXECUTING, action=f"run_{number}", workspace=f"w{number}")
        make_job(StatusCode.WAITING_ON_WORKERS, workspace=f"w{number}")
        make_output(job, f"{number}.csv")
    Job.objects.filter(pk=job.pk).update(updated_at=timezone.now())
    assert queries(client, job.get_absolute_url(), django_assert_max_num_queries, tab) <= few
