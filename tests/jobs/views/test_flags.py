"""Switching flags: what it would do is shown first, a reason is needed, and nobody overrules another unawares."""

from datetime import UTC, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs import asking
from jobs.models import AuditEntry, Flag, Heartbeat
from jobs.people.roles import OPERATOR, VIEWER
from jobs.states import StatusCode
from jobs.views.frame import Frame
from tests.factories import make_flag, make_job
from tests.web import client_of

pytestmark = pytest.mark.django_db
NAMES = [name.value for name in Flag.Name]


def address(name: str = "paused") -> str:
    return reverse("switch-flag", args=[name])


def switch(client, name: str = "paused", **said):
    return client.post(address(name), {"turn": "on", "seen": "", "reason": "a new disk", "until": ""} | said)


def row(name: str = "paused") -> Flag | None:
    return Flag.objects.current().get(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_flag_is_switched_on_and_off_with_who_and_why(name):
    client = client_of(OPERATOR)
    assert switch(client, name).url == reverse("system")
    flag = row(name)
    assert (flag.value, flag.set_by, flag.reason) == ("on", client.person.username, "a new disk")
    assert switch(client, name, turn="off", seen=flag.pk, reason="done").status_code == 302
    assert row(name).value == ""
    entries = AuditEntry.objects.order_by("pk").values_list("verb", "object_id", "before", "after", "reason")
    assert list(entries) == [("switch", name, "off", "on", "a new disk"), ("switch", name, "on", "off", "done")]


def test_without_a_reason_nothing_is_switched():
    answer = switch(client_of(OPERATOR), reason="  ")
    assert answer.status_code == 400 and "Say why." in answer.content.decode()
    assert Flag.objects.count() == 0


def test_only_whoever_may_switches_flags():
    client = client_of(VIEWER)
    assert client.get(address()).status_code == 403
    assert switch(client).status_code == 403
    assert "Switch on" not in client.get(reverse("system")).content.decode()
    assert Flag.objects.count() == 0


def test_until_is_a_time_of_utc_that_lies_ahead():
    client = client_of(OPERATOR)
    for until in ("yesterday", f"{timezone.now() - timedelta(minutes=1):%Y-%m-%dT%H:%M}"):
        assert switch(client, until=until).status_code == 400
    assert Flag.objects.count() == 0
    until = (timezone.now() + timedelta(hours=2)).astimezone(UTC).replace(second=0, microsecond=0)
    switch(client, until=f"{until:%Y-%m-%dT%H:%M}")
    assert row().expires_at == until


def test_what_it_changes_is_shown_before():
    make_job(StatusCode.EXECUTING)
    make_job(StatusCode.EXECUTING, requires_db=True)
    for requires_db in (True, False, False):
        make_job(StatusCode.WAITING_ON_WORKERS, requires_db=requires_db)
    client = client_of(OPERATOR)
    text = client.get(address()).content.decode()
    assert "3 waiting jobs will not start" in text and "2 running jobs go on" in text
    text = client.get(address("db-maintenance")).content.decode()
    assert "1 waiting database job will not start" in text
    assert "1 running database job is stopped, and what it has done so far is lost: it is run again" in text
    text = client.get(address("reboot")).content.decode()
    assert "2 running jobs are stopped, and what they have done so far is lost: they are run again" in text
    make_flag()
    assert "3 waiting jobs may start" in client.get(address()).content.decode()
    assert Flag.objects.count() == 1, "looking switches nothing"


def test_who_has_seen_another_state_is_told_so_and_switches_nothing():
    client = client_of(OPERATOR)
    flag = make_flag(set_by="oscar", reason="a reboot")
    answer = switch(client, turn="on", seen="")
    text = answer.content.decode()
    assert answer.status_code == 400
    assert "switched meanwhile (on by oscar: a reboot)" in text
    assert f'name="seen" value="{flag.pk}"' in text, "sent again, it counts"
    assert Flag.objects.count() == 1


def test_of_two_who_switch_at_the_same_moment_the_second_is_told(monkeypatch):
    first, second = client_of(OPERATOR), client_of(OPERATOR)
    real = asking.switch

    def overtaken(*arguments, **named):
        """The other one comes between the look at the form and the write."""
        monkeypatch.setattr(asking, "switch", real)
        assert switch(second, turn="on", reason="until the patch is in").status_code == 302
        return real(*arguments, **named)

    monkeypatch.setattr(asking, "switch", overtaken)
    answer = switch(first, turn="on", reason="lunch")
    assert "switched meanwhile" in first.get(answer["Location"]).content.decode()
    assert Flag.objects.get().reason == "until the patch is in"


def test_a_flag_that_nobody_knows_is_not_found():
    client = client_of(OPERATOR)
    assert client.get("/system/flags/nothing/").status_code == 404
    assert client.post("/system/flags/nothing/", {"turn": "on", "reason": "x"}).status_code == 404


@pytest.mark.parametrize("turn", ["", "sideways", "<script>"])
def test_there_are_only_two_ways_to_switch(turn):
    assert switch(client_of(OPERATOR), turn=turn).status_code == 400
    assert Flag.objects.count() == 0


def test_hostile_reasons_are_shown_harmlessly():
    client = client_of(OPERATOR)
    switch(client, reason="<script>alert(1)</script>`<b>`\u202e")
    for page in (client.get(address()), client.get(reverse("system"))):
        text = page.content.decode()
        assert "<script>alert" not in text and "\u202e" not in text and "<b>" not in text
        assert "&lt;script&gt;" in text


def test_the_history_tells_who_and_why():
    make_flag(set_by="oscar", reason="a reboot")
    make_flag(value="", set_by="olive", reason="it is done")
    text = client_of(VIEWER).get(reverse("system")).content.decode()
    assert "oscar" in text and "a reboot" in text and "it is done" in text


# --- the banner


def banner(rf, **more):
    request = rf.get("/")
    request.user = client_of(OPERATOR).person
    return Frame(request).banner


def well(**detail) -> None:
    Heartbeat.objects.update_or_create(name="run", defaults={"at": timezone.now(), "detail": detail})


def test_the_banner_shows_the_worst_first(rf, settings):
    settings.JOB_SERVER_ENDPOINT, settings.RAP_API_TOKENS = "", {}
    full = {"name": "high privacy storage", "free": 1, "total": 100 * 2**30, "least": 2 * 2**30}
    well(disks=[full])
    assert (banner(rf).level, banner(rf).text[:20]) == ("warning", "No new job starts: o")
    make_flag(Flag.Name.DB_MAINTENANCE)
    assert banner(rf).text.startswith("Database maintenance")
    make_flag(Flag.Name.PAUSED, reason="a new disk")
    assert banner(rf).text.startswith("Paused") and "by olive: a new disk" in banner(rf).text
    make_flag(Flag.Name.REBOOT)
    assert (banner(rf).text[:21], banner(rf).flag) == ("Prepared for a reboot", "reboot")
    well(engine_unavailable_since=(timezone.now() - timedelta(minutes=2)).timestamp())
    assert (banner(rf).level, "Docker engine" in banner(rf).text) == ("danger", True)
    settings.JOB_SERVER_ENDPOINT = "https://jobs.example.org/"
    assert "speaks with the job-server" in banner(rf).text
    Heartbeat.objects.filter(name="run").delete()
    assert banner(rf).text.startswith("The runner was never heard")


def test_folders_on_one_full_disk_are_told_together_and_the_fullest_first(rf, settings):
    settings.JOB_SERVER_ENDPOINT, settings.RAP_API_TOKENS = "", {}
    nearly = {"free": 3 * 2**30, "total": 100 * 2**30, "least": 2 * 2**30}
    full = nearly | {"name": "medium privacy storage", "free": 2**30, "total": 50 * 2**30}
    well(disks=[nearly | {"name": "the jobs' folders"}, nearly | {"name": "high privacy storage"}, full])
    request = rf.get("/")
    request.user = client_of(OPERATOR).person
    first, second = Frame(request).warnings
    assert first.text == "No new job starts: only 1.0 GiB is free for medium privacy storage"
    assert "3.0 GiB is free for the jobs' folders and high privacy storage" in second.text


def test_with_nothing_wrong_there_is_no_banner_and_it_takes_five_queries(rf, settings, django_assert_num_queries):
    settings.JOB_SERVER_ENDPOINT = "https://jobs.example.org/"
    well()
    Heartbeat.beat("sync", last_poll_at=f"{timezone.now():%Y-%m-%dT%H:%M:%SZ}")
    request = rf.get("/")
    request.user = client_of(OPERATOR).person
    with django_assert_num_queries(5):
        assert Frame(request).banner is None


def test_an_operator_switches_a_flag_off_from_any_page():
    well()
    make_flag()
    assert f"{address()}?turn=off" in client_of(OPERATOR).get(reverse("jobs")).content.decode()
    assert address() not in client_of(VIEWER).get(reverse("jobs")).content.decode()


def test_a_reboot_can_be_planned_and_nothing_else_can():
    client, due = client_of(OPERATOR), (timezone.now() + timedelta(hours=2)).replace(second=0, microsecond=0)
    when = f"{due.astimezone(UTC):%Y-%m-%dT%H:%M}"
    assert 'type="datetime-local" name="due"' in client.get(address("reboot")).content.decode()
    assert 'name="due"' not in client.get(address()).content.decode()
    assert switch(client, "paused", due=when).status_code == 302 and row().due_at is None
    for words in ({"due": "2020-01-01T00:00"}, {"due": when, "until": when}):
        assert switch(client, "reboot", **words).status_code == 400
    assert switch(client, "reboot", due=when).status_code == 302
    assert row("reboot").due_at == due
    text = client.get(reverse("system")).content.decode()
    assert "planned" in text and "A reboot is planned" in text
    assert switch(client, "reboot", turn="off", seen=row("reboot").pk, due=when).status_code == 302
    assert row("reboot").due_at is None
