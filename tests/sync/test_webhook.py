"""Notices by webhook: what is sent, that it can be known for ours, and that trouble tells no secret."""

import hashlib
import hmac
import json

import pytest

from jobs.models import Notice
from jobs.notices import NotTold, channels
from sync.webhook import tell
from tests.raw_server import RawServer

pytestmark = pytest.mark.django_db


def notice(**columns) -> Notice:
    defaults = {"kind": "failed", "key": "x", "text": "model in diabetes failed, job abc", "path": "/j/abc/"}
    return Notice.objects.create(**defaults | columns)


@pytest.fixture
def called(settings):
    """What a server heard that answers with `status`."""
    heard = []

    def listen(status: str = "200 OK", body: bytes = b"ok"):
        def talk(line) -> None:
            heard.append(line.read_request())
            line.say(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)

        return RawServer(talk)

    settings.BACKEND, settings.DASHBOARD_URL = "tpp", "https://jobs.example.org"
    listen.heard = heard
    return listen


def point_at(settings, server) -> None:
    settings.NOTIFY_WEBHOOK_URL = f"{server.url.rstrip('/')}/hook/very-secret"


def test_all_notices_are_one_signed_post(called, settings):
    settings.NOTIFY_WEBHOOK_SECRET = "between us"
    first, second = notice(), notice(key="y", kind="disk", text="No new job starts", path="/system/")
    with called() as server:
        point_at(settings, server)
        tell([first, second])
    (request,) = called.heard
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v2/hook/very-secret HTTP/1.1")
    signature = hmac.new(b"between us", body, hashlib.sha256).hexdigest()
    assert f"X-Signature-256: sha256={signature}".encode() in head
    said = json.loads(body)
    assert said["text"] == (
        "[tpp] model in diabetes failed, job abc https://jobs.example.org/j/abc/\n"
        "[tpp] No new job starts https://jobs.example.org/system/"
    )
    assert [(each["id"], each["kind"]) for each in said["notices"]] == [(first.pk, "failed"), (second.pk, "disk")]


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oh", "302 Found"])
def test_what_is_not_taken_is_told_by_its_status_only(called, settings, status):
    with called(status, b"your very-secret address") as server:
        point_at(settings, server)
        with pytest.raises(NotTold) as refused:
            tell([notice()])
    assert str(refused.value) == f"it answered {status[:3]}"


def test_no_trouble_shows_the_address(settings, port_of_nobody):
    settings.NOTIFY_WEBHOOK_URL = f"http://127.0.0.1:{port_of_nobody}/hook/very-secret"
    with pytest.raises(NotTold) as refused:
        tell([notice()])
    assert str(refused.value) == "it refuses the connection"


def test_what_to_set_is_called_by_its_own_name(settings, port_of_nobody):
    settings.NOTIFY_WEBHOOK_URL = "http://chat.example.org/hook/very-secret"
    settings.NOTIFY_WEBHOOK_PROXY = f"http://127.0.0.1:{port_of_nobody}"
    with pytest.raises(NotTold, match="NOTIFY_WEBHOOK_PROXY is set") as refused:
        tell([notice()])
    assert "very-secret" not in str(refused.value)


def test_an_endless_answer_is_cut(settings):
    def talk(line) -> None:
        line.read_request()
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 200_000)
        line.hold()

    with RawServer(talk) as server:
        point_at(settings, server)
        with pytest.raises(NotTold, match="larger than"):
            tell([notice()])


def test_it_is_a_channel_once_it_has_an_address(settings):
    assert channels() == []
    settings.NOTIFY_WEBHOOK_URL = "https://chat.example.org/x"
    assert [each.name for each in channels()] == ["webhook"]
