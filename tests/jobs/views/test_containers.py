"""Containers in quarantine on the System page, and the page that releases one."""

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs.models import AuditEntry, Heartbeat, Quarantine
from jobs.people.roles import OPERATOR, VIEWER
from tests.factories import make_quarantine
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db


def address(row: Quarantine) -> str:
    return reverse("release-container", args=[row.name])


def system(role: str = OPERATOR) -> str:
    Heartbeat.beat("run")
    return client_of(role).get(reverse("system")).content.decode()


def test_the_system_page_names_each_with_its_job_and_the_last_error():
    assert "Containers in quarantine" not in system()
    row = make_quarantine(last_error="<b>no answer\u202e</b>")
    text = system()
    assert "Containers in quarantine" in text and row.name in text
    assert f'href="{reverse("job", args=[row.job.identifier])}"' in text
    assert "&lt;b&gt;no answer\\u202e&lt;/b&gt;" in text
    assert address(row) in text


def test_who_may_not_release_is_not_offered_it():
    row = make_quarantine()
    text = system(VIEWER)
    assert row.name in text and address(row) not in text
    assert client_of(VIEWER).post(address(row), {"reason": "why"}).status_code == 403
    assert Quarantine.objects.get().release_requested_at is None


def test_a_container_that_belongs_to_no_job_is_named_as_well():
    row = make_quarantine(name="jobrunner-database-status")
    assert "jobrunner-database-status" in system()
    assert client_of(OPERATOR).get(address(row)).status_code == 200


def test_it_is_released_for_a_reason_after_being_told_what_that_does():
    row, client = make_quarantine(), client_of(OPERATOR)
    text = client.get(address(row)).content.decode()
    assert f"docker inspect {row.name}" in text and row.job.action in text and row.last_error in text
    assert Quarantine.objects.get().release_requested_at is None

    assert client.post(address(row), {"reason": " "}).status_code == 400
    response = client.post(address(row), {"reason": "the folder is back"}, follow=True)

    text = response.content.decode()
    assert f"Container {row.name} is released" in text
    assert "Released by" in text and address(row) not in text
    assert (AuditEntry.objects.get(verb="release").via, AuditEntry.objects.get(verb="release").reason) == (
        "dashboard",
        "the folder is back",
    )


def test_who_comes_second_is_told_who_was_faster():
    row, client = make_quarantine(), client_of(OPERATOR)
    row.request_release("oscar", "the folder is back")
    assert "oscar released it" in client.get(address(row)).content.decode()
    text = client.post(address(row), {"reason": "why"}, follow=True).content.decode()
    assert f"Nothing was changed: container {row.name} was asked for already, by oscar." in text


def test_a_stop_that_waits_for_the_release_is_told():
    row = make_quarantine()
    row.job.request_cancel("alice", "not needed")
    assert "alice asked for this job to be stopped" in client_of(OPERATOR).get(address(row)).content.decode()


def test_what_is_not_in_quarantine_has_no_page():
    assert client_of(OPERATOR).get("/system/containers/jobrunner-x-1/release/").status_code == 404


def test_who_watches_the_page_sees_a_quarantine_come_be_released_and_go():
    Heartbeat.beat("run")
    client = client_of(OPERATOR)

    def is_news(tag: str) -> str:
        answer = poll(client, reverse("system"), tag)
        assert answer.status_code == 200
        return answer["HX-PTag"]

    tag = client.get(reverse("system"))["HX-PTag"]
    make_quarantine()
    tag = is_news(tag)
    Quarantine.objects.update(release_requested_by="oscar", release_requested_at=timezone.now(), release_reason="why")
    tag = is_news(tag)
    Quarantine.objects.all().delete()
    is_news(tag)
