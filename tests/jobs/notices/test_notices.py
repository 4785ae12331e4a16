"""What operators are told: each thing once, nothing that names files or patients, and never lost with a mail server."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.chores import ChoreFailed
from jobs.models import ChoreRun, Heartbeat, Notice, StorageCheck
from jobs.models.notice import GONE_AFTER, STALE_AFTER
from jobs.notices.telling import notify, why_off
from jobs.states import StatusCode
from tests.factories import make_job, make_quarantine
from tests.smtp import mail_server

pytestmark = pytest.mark.django_db
GIB = 1024**3


@pytest.fixture
def post(settings):
    """A mail server, and a site that uses it."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.BACKEND, settings.DASHBOARD_URL = "tpp", "https://jobs.example.org"
    settings.NOTIFY_EMAILS, settings.DEFAULT_FROM_EMAIL = ("olive@example.org", "bob@example.org"), "runner@example.org"
    with mail_server() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        ChoreRun.objects.create(chore="notify", started_at=timezone.now())
        well()
        yield server


def well(**more) -> None:
    Heartbeat.beat("run", chores={"on": True}, **more)
    Heartbeat.beat("sync")


def tell():
    return notify(ChoreRun(chore="notify"))


def texts() -> list[str]:
    return list(Notice.objects.order_by("pk").values_list("text", flat=True))


def failed(**columns):
    return make_job(StatusCode.NONZERO_EXIT, workspace="diabetes", action="model", **columns)


def running(**columns):
    return make_job(StatusCode.EXECUTING, workspace="diabetes", action="model", **columns)


def test_a_failed_job_is_told_once_with_the_way_to_its_page(post):
    job = failed(status_message="No outputs for output/patients_of_dr_x.csv", status_detail="output/secret.csv")
    assert tell().said == "1 notice sent"
    assert tell().said == "nothing new" and tell().said == "nothing new"
    (letter,) = post.letters
    assert letter["Subject"] == f"[tpp] model in diabetes failed (nonzero_exit), job {job.identifier}"
    assert sorted(post.recipients) == ["bob@example.org", "olive@example.org"]
    body = letter.get_content()
    assert f"https://jobs.example.org/j/{job.identifier}/" in body
    assert "patients" not in body and "secret" not in body


def test_several_things_are_one_letter(post):
    failed()
    make_job(StatusCode.INTERNAL_ERROR, workspace="asthma", action="clean")
    tell()
    (letter,) = post.letters
    assert letter["Subject"] == "[tpp] 2 notices"
    assert "was cut off by a fault of the job runner" in letter.get_content()


@pytest.mark.parametrize(
    "status_code", [StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN, StatusCode.DEPENDENCY_FAILED]
)
def test_what_somebody_has_ended_and_what_follows_a_failure_is_no_news(post, status_code):
    make_job(status_code)
    make_job(StatusCode.SUCCEEDED)
    assert tell().said == "nothing new"


def test_what_failed_before_notices_were_set_up_is_no_news(post):
    failed(completed_at=timezone.now() - timedelta(hours=1))
    assert tell().said == "nothing new"


def test_after_a_pause_of_the_runner_what_failed_meanwhile_is_told(post):
    ChoreRun.objects.filter(chore="notify").update(started_at=timezone.now() - timedelta(hours=4))
    failed(completed_at=timezone.now() - timedelta(hours=3))
    failed(completed_at=timezone.now() - timedelta(hours=5))
    assert tell().said == "1 notice sent"


def test_what_failed_days_ago_is_no_news_however_long_notices_are_wanted(post):
    ChoreRun.objects.filter(chore="notify").update(started_at=timezone.now() - timedelta(days=7))
    failed(completed_at=timezone.now() - timedelta(days=2))
    assert tell().said == "nothing new"


def test_a_full_disk_is_told_when_it_begins_and_not_each_minute(post):
    disk = {"name": "jobs", "free": GIB, "total": 100 * GIB, "least": 2 * GIB}
    for _ in range(3):
        well(disks=[disk])
        tell()
    assert texts() == ["No new job starts: only 1.0 GiB is free for jobs"]
    # At its limit it comes and goes: no news.
    well(disks=[disk | {"free": 50 * GIB}])
    tell()
    well(disks=[disk])
    tell()
    assert len(post.letters) == 1
    # Away for long, then back: that is news.
    Notice.objects.update(seen_at=timezone.now() - GONE_AFTER - timedelta(seconds=1))
    well(disks=[disk | {"free": 50 * GIB}])
    tell()
    well(disks=[disk])
    tell()
    assert len(post.letters) == 2


def test_a_disk_that_is_nearly_full_and_then_full_is_two_things(post):
    disk = {"name": "jobs", "free": 3 * GIB, "total": 100 * GIB, "least": 2 * GIB}
    well(disks=[disk])
    tell()
    well(disks=[disk | {"free": GIB}])
    tell()
    assert texts() == [
        "A disk is nearly full: 3.0 GiB is free for jobs",
        "No new job starts: only 1.0 GiB is free for jobs",
    ]


def test_jobs_that_do_not_move_are_told(post):
    long_ago = timezone.now() - timedelta(minutes=10)
    running(updated_at=long_ago)
    running(updated_at=timezone.now(), stop_request="cancel", stop_requested_by="olive", stop_requested_at=long_ago)
    tell()
    assert sorted(text.partition(", job")[0] for text in texts()) == [
        "model in diabetes executes and has given no sign of life for minutes",
        "model in diabetes was asked to stop and is still there",
    ]


@pytest.mark.parametrize(
    ("usual", "now", "is_told"),
    [
        (timedelta(minutes=1), timedelta(minutes=50), False),
        (timedelta(minutes=1), timedelta(minutes=70), True),
        (timedelta(hours=5), timedelta(hours=14), False),
        (timedelta(hours=5), timedelta(hours=16), True),
        (None, timedelta(days=50), False),
    ],
)
def test_a_job_that_runs_far_longer_than_ever_may_hang(post, usual, now, is_told):
    if usual:
        at = timezone.now() - timedelta(days=3)
        make_job(
            StatusCode.SUCCEEDED, workspace="diabetes", action="model", started_at=at, completed_at=at + usual
        )  # fmt: skip
    running(started_at=timezone.now() - now)
    tell()
    assert any("it may hang" in text for text in texts()) == is_told


def test_troubles_of_the_system_its_storage_and_its_chores_are_told(post, settings):
    settings.JOB_SERVER_ENDPOINT = "https://jobs.example.org/"
    well()
    Heartbeat.beat("sync", started_at="2026-01-01T00:00:00Z")
    StorageCheck.objects.create(workspace="diabetes", at=timezone.now(), is_sound=False, number=2)
    now = timezone.now()
    ChoreRun.objects.create(chore="snapshot", started_at=now, ended_at=now, outcome="failed", said="/secret is full")
    tell()
    body = post.letters[0].get_content()
    assert "The job-server has never been reached yet" in body
    assert "The storage of diabetes is not as it was stored: 2 faults" in body
    assert "The chore “snapshot” failed" in body and "secret" not in body


def test_only_what_the_site_wants_to_hear_of_is_told(post, settings):
    settings.NOTIFY_ABOUT = ("disk",)
    failed()
    assert tell().said == "nothing new" and not Notice.objects.exists()


def test_a_mail_server_that_takes_nothing_loses_nothing(post):
    job = failed()
    post.refuses = True
    for _ in range(2):
        with pytest.raises(ChoreFailed, match="email: the mail server 127\\.0\\.0\\.1 did not take it"):
            tell()
    post.refuses = False
    assert tell().said == "1 notice sent" and job.identifier in post.letters[0]["Subject"]
    assert tell().said == "nothing new"


def test_a_mail_server_that_is_not_there_loses_nothing(post, settings, port_of_nobody):
    failed()
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, port_of_nobody
    with pytest.raises(ChoreFailed, match="ConnectionRefusedError"):
        tell()
    settings.EMAIL_PORT = port
    assert tell().said == "1 notice sent"


def test_what_could_not_be_told_for_a_day_is_not_told_any_more(post):
    failed()
    post.refuses = True
    with pytest.raises(ChoreFailed):
        tell()
    Notice.objects.update(at=timezone.now() - STALE_AFTER - timedelta(minutes=1))
    post.refuses = False
    assert tell().said == "nothing new" and not post.letters


def test_sent_again_after_a_kill_it_is_the_same_letter(post):
    failed()
    tell()
    Notice.objects.update(email_at=None)  # it was killed between sending and noting
    tell()
    first, second = post.letters
    assert first["Message-ID"] == second["Message-ID"]


def test_what_is_told_again_is_the_same_letter_also_if_there_is_more_by_then(post):
    failed()
    tell()
    Notice.objects.update(email_at=None)  # it was killed between sending and noting
    failed()
    tell()
    first, again, new = post.letters
    assert first["Message-ID"] == again["Message-ID"] != new["Message-ID"]
    assert first.get_content() == again.get_content()


def test_what_lasts_is_told_however_long_the_mail_server_was_away(post):
    disk = {"name": "jobs", "free": GIB, "total": 100 * GIB, "least": 2 * GIB}
    well(disks=[disk])
    post.refuses = True
    with pytest.raises(ChoreFailed):
        tell()
    Notice.objects.update(at=timezone.now() - STALE_AFTER - timedelta(hours=1))
    post.refuses = False
    assert tell().said == "1 notice sent"


def test_what_is_over_by_now_says_so(post):
    disk = {"name": "jobs", "free": GIB, "total": 100 * GIB, "least": 2 * GIB}
    well(disks=[disk])
    post.refuses = True
    with pytest.raises(ChoreFailed):
        tell()
    Notice.objects.update(seen_at=timezone.now() - GONE_AFTER - timedelta(seconds=1))
    well(disks=[])
    post.refuses = False
    tell()
    assert "is free for jobs (over by now)" in post.letters[0].get_content()


def test_what_is_seen_all_the_time_is_never_news_again(post):
    disk = {"name": "jobs", "free": GIB, "total": 100 * GIB, "least": 2 * GIB}
    for _ in range(3):
        well(disks=[disk])
        tell()
        # Nearly as long as it takes to be forgotten, each time.
        Notice.objects.update(seen_at=timezone.now() - GONE_AFTER + timedelta(minutes=1))
    assert len(post.letters) == 1


def test_a_letter_that_is_refused_holds_up_no_other(post):
    failed()
    with pytest.raises(ChoreFailed):
        post.refuses = True
        tell()
    failed()
    post.refuses_once = True
    post.refuses = False
    with pytest.raises(ChoreFailed):
        tell()
    assert len(post.letters) == 1


def test_each_container_in_quarantine_and_each_leak_is_news(post):
    make_quarantine(make_job(StatusCode.EXECUTING))
    StorageCheck.objects.create(workspace="diabetes", at=timezone.now(), is_sound=False, number=1)
    tell()
    make_quarantine(make_job(StatusCode.EXECUTING))
    StorageCheck.objects.update(number=2, findings=[{"kind": "leak"}])
    tell()
    first, second = (letter.get_content() for letter in post.letters)
    assert first.count("does not answer about container") == second.count("does not answer about container") == 1
    assert "something may have leaked" in second and "something may have leaked" not in first


def test_what_somebody_asked_for_and_what_storage_lacks_is_told_in_one_way_only(post):
    now = timezone.now()
    times = {"started_at": now, "ended_at": now, "outcome": "failed"}
    ChoreRun.objects.create(chore="export", asked_by="olive", reason="x", **times)
    ChoreRun.objects.create(chore="storage", **times)
    ChoreRun.objects.create(chore="notify", **times)
    assert tell().said == "nothing new"


def test_disks_of_a_runner_that_is_silent_are_no_news(post):
    well(disks=[{"name": "jobs", "free": GIB, "total": 100 * GIB, "least": 2 * GIB}])
    Heartbeat.objects.filter(name="run").update(at=timezone.now() - timedelta(minutes=5))
    tell()
    assert not any("is free for" in text for text in texts())


def test_a_storm_of_failures_is_cut_to_a_sentence(post, monkeypatch):
    monkeypatch.setattr("jobs.notices.finding.MOST_JOBS", 3)
    for _ in range(5):
        failed()
    tell()
    assert len(texts()) == 4 and texts()[-1].startswith("More than 3 jobs failed in a short time")


def test_names_from_outside_end_no_line_of_the_letters_head(post):
    make_job(StatusCode.NONZERO_EXIT, workspace="diabetes", action="x\r\nBcc: eve@example.org")
    tell()
    assert len(post.letters) == 1 and post.letters[0]["Bcc"] is None


def test_it_costs_the_same_however_much_there_is(post, django_assert_max_num_queries):
    for _ in range(30):
        failed()
        running(started_at=timezone.now())
    with django_assert_max_num_queries(30):
        tell()


def test_where_nobody_is_named_nothing_is_looked_for(settings):
    assert why_off() == "nobody is named in NOTIFY_EMAILS or NOTIFY_WEBHOOK_URL"
    settings.NOTIFY_WEBHOOK_URL = "https://chat.example.org/x"
    assert why_off() == ""
