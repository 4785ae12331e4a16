"""`manage.py notices`: what was told, by which way; and whether a letter arrives."""

import json

import pytest
from django.utils import timezone

from jobs.models import Notice
from tests.smtp import mail_server

pytestmark = pytest.mark.django_db


@pytest.fixture
def post(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.NOTIFY_EMAILS, settings.DEFAULT_FROM_EMAIL = ("olive@example.org",), "runner@example.org"
    settings.BACKEND, settings.DASHBOARD_URL = "tpp", "https://jobs.example.org"
    with mail_server() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        yield server


def test_the_table_tells_what_was_told_and_what_not_yet(manage, post):
    now = timezone.now()
    Notice.objects.create(kind="failed", key="a", text="model failed", wants_email=True, email_at=now)
    Notice.objects.create(kind="disk", key="b", text="full\x1b[2J", lasts=True, gone_at=now, wants_webhook=True)
    called = manage("notices")
    newest, older = called.out.splitlines()[1:]
    assert called.code == 0 and "model failed" in older and older.rstrip().endswith("email")
    assert r"full\x1b[2J (over)" in newest and newest.rstrip().endswith("webhook: not yet")
    assert manage("notices", "--limit", "1").out.count("UTC") == 1
    said = json.loads(manage("notices", "--json").out)
    assert said["channels"] == ["email"] and [each["kind"] for each in said["notices"]] == ["disk", "failed"]
    assert said["notices"][0]["told"] == {"webhook": None} and said["notices"][1]["told"]["email"].endswith("Z")


def test_where_nobody_is_named_it_says_so(manage):
    called = manage("notices")
    assert called.out == "There was nothing to tell yet.\n" and "Nobody is told of anything" in called.err
    refused = manage("notices", "--test")
    assert refused.code == 1 and "nobody is named in NOTIFY_EMAILS" in refused.refusal


def test_a_test_arrives_and_leaves_no_row(manage, post):
    called = manage("notices", "--test")
    assert (called.code, called.out) == (0, "✓ email: taken\n")
    (letter,) = post.letters
    assert letter["Subject"] == "[tpp] This is a test of the notices of tpp: nothing is wrong"
    assert "https://jobs.example.org/system/" in letter.get_content()
    assert not Notice.objects.exists()
    manage("notices", "--test")
    assert post.letters[0]["Message-ID"] != post.letters[1]["Message-ID"]


def test_a_test_that_is_not_taken_says_why(manage, post, settings, port_of_nobody):
    post.refuses = True
    settings.NOTIFY_WEBHOOK_URL = f"http://127.0.0.1:{port_of_nobody}/very-secret"
    called = manage("notices", "--test")
    assert called.code == 1 and "very-secret" not in called.out
    assert "✗ email: the mail server 127.0.0.1 did not take it" in called.out
    assert "✗ webhook: it refuses the connection" in called.out
    said = json.loads(manage("notices", "--test", "--json").out)
    assert [each["channel"] for each in said["results"]] == ["email", "webhook"]
    assert all(each["error"] for each in said["results"])
