"""A session that ends while somebody writes why: the page asks again, with what was written, after signing in."""

import pytest
from django.urls import reverse

from jobs.models import Delivery, Flag, Job
from jobs.people.roles import OPERATOR
from tests.factories import make_flag, make_job, make_request
from tests.web import PASSWORD, client_of

pytestmark = pytest.mark.django_db
REASON = "the disk & <more>"


def signed_in_again(client, address: str, **written):
    """Sends the form without a session, signs in as the page says, and returns the page that one comes to."""
    asked = client.post(address, written)
    assert asked.status_code == 302
    return client.post(asked.url, {"username": client.person.username, "password": PASSWORD}, follow=True)


@pytest.fixture
def client():
    client = client_of(OPERATOR)
    client.logout()
    return client


def test_the_jobs_and_the_reason_are_asked_for_again_and_nothing_is_done_before(client):
    jobs = [make_job(action=f"extract{number}") for number in range(3)]
    named = " ".join(job.identifier for job in jobs)
    page = signed_in_again(client, reverse("cancel-jobs"), confirmed="1", jobs=named, reason=REASON, once="x")
    assert "Cancel 3 jobs" in page.content.decode()
    assert "the disk &amp; &lt;more&gt;</textarea>" in page.content.decode()
    assert not Job.objects.exclude(stop_request="").exists()


def test_a_switch_is_asked_for_again_with_its_reason_and_end(client):
    until = "2999-01-01T10:00"
    page = signed_in_again(
        client, reverse("switch-flag", args=["paused"]), turn="on", reason=REASON, until=until, seen=""
    )
    assert "the disk &amp; &lt;more&gt;</textarea>" in page.content.decode()
    assert f'value="{until}"' in page.content.decode()
    assert not Flag.objects.exists()


def test_the_other_way_of_a_switch_is_kept(client):
    make_flag()
    page = signed_in_again(client, reverse("switch-flag", args=["paused"]), turn="on", reason=REASON, until="", seen="")
    assert 'name="turn" value="on"' in page.content.decode()


def test_the_pages_of_one_request_keep_the_reason(client):
    waiting = make_request(outcome="waiting")
    page = signed_in_again(client, reverse("refuse-request", args=[waiting.identifier]), reason=REASON)
    assert "the disk &amp; &lt;more&gt;</textarea>" in page.content.decode()
    waiting.refresh_from_db()
    assert waiting.is_waiting
    client.logout()
    told = Delivery.objects.create(request=make_request())
    page = signed_in_again(client, reverse("tell-again", args=[told.request.identifier]), reason=REASON)
    assert "the disk &amp; &lt;more&gt;</textarea>" in page.content.decode()


def test_an_emptied_reason_is_not_filled_in_from_the_address():
    job = make_job()
    waiting = make_request(outcome="waiting")
    client = client_of(OPERATOR)
    address = f"{reverse('cancel-jobs')}?jobs={job.identifier}&reason=because"
    assert client.post(address, {"confirmed": "1", "jobs": job.identifier, "reason": ""}).status_code == 400
    address = f"{reverse('refuse-request', args=[waiting.identifier])}?reason=because"
    assert client.post(address, {"reason": ""}).status_code == 400
    assert not Job.objects.exclude(stop_request="").exists()


def test_what_is_too_long_for_an_address_is_chosen_anew(client):
    asked = client.post(reverse("cancel-jobs"), {"confirmed": "1", "jobs": "x" * 5000, "reason": REASON})
    assert asked.status_code == 302
    assert "jobs%3D" not in asked.url and len(asked.url) < 100


def test_no_password_goes_into_an_address(client):
    asked = client.post(
        reverse("change-password"), {"old_password": "hunter2", "new_password1": "hunter3", "reason": "x"}
    )
    assert "hunter" not in asked.url
