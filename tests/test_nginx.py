"""deploy/nginx.conf with Debian's nginx, in front of the real gunicorn, over TLS: nothing that a browser sends is taken
for the proxy's word."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.authorities import Authority
from tests.ports import hold_port, port_of
from tests.rap import TOKEN
from tests.site import ROOT, Site, wait_until
from tests.web import PASSWORD

pytestmark = pytest.mark.slow_test
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
NAME = "jobs.example.org"
BROWSER = "127.0.0.2"  # so that it is not the address of the proxy
FORGED = {
    "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "X-Remote-User": "root", "X-Forwarded-Host": "evil",
    "Forwarded": "for=203.0.113.9;proto=http",
}  # fmt: skip


class Proxied:
    """An installation in production mode behind nginx; `ask` calls it as a browser on this machine does."""

    def __init__(self, folder: Path, bind: str):
        self.folder, self.bind = folder, bind
        self.site = Site(
            folder,
            JOB_RUNNER_MODE="production",
            DJANGO_SETTINGS_MODULE="tests.browser.production_settings",
            SECRET_KEY="of-a-test-" * 8,
            ALLOWED_HOSTS=NAME,
            BACKEND="test",
            HIGH_PRIVACY_STORAGE_BASE=str(folder / "high"),
            MEDIUM_PRIVACY_STORAGE_BASE=str(folder / "medium"),
            BEHIND_TLS_PROXY="true",
            TRUSTED_PROXIES="unix" if bind.startswith("unix:") else "127.0.0.1",
            SSO_HEADER="X-Remote-User",
            SSO_TRUSTED_PROXIES="unix" if bind.startswith("unix:") else "127.0.0.1",
            SSO_ROLE="viewer",
            RAP_API_TOKENS=TOKEN,
            RAP_API_BASE_URL="",
            WEB_BIND=bind,
        )
        self.authority = Authority(folder)
        self.authority.server(f"DNS:{NAME}")
        self.holders = [hold_port(), hold_port()]
        self.port_plain, self.port = (port_of(holder) for holder in self.holders)
        self.cookies: dict[str, str] = {}

    def configuration(self) -> Path:
        """The file as it stands, with the places of this test."""
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        for old, new in (
            ("server 127.0.0.1:8000;", f"server {self.bind};"),
            ("listen 80;", f"listen 127.0.0.1:{self.port_plain};"),
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("/etc/ssl/jobrunner/fullchain.pem", str(self.folder / "authority-server.pem")),
            ("/etc/ssl/jobrunner/key.pem", str(self.folder / "authority-server.key")),
            ("/var/log/nginx/jobrunner.log", str(self.folder / "access.log")),
            ("client_header_timeout 15s", "client_header_timeout 2s"),
        ):
            assert old in text
            text = text.replace(old, new)
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.getuid() == 0 else ""
        path = self.folder / "nginx.conf"
        path.write_text(
            f"{user}daemon off;\npid {self.folder}/nginx.pid;\nerror_log {self.folder}/nginx.log;\n"
            f"events {{}}\nhttp {{\n{temporary}{text}}}\n"
        )
        return path

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxied"]:
        with contextlib.ExitStack() as ended, self.site as site:
            site.manage("collectstatic", "--no-input", "--verbosity", "0")
            site.manage("shell", "-v0", "-c", _ALICE)
            for holder in self.holders:
                ended.callback(holder.close)
            config = ["--config", "python:jobrunner_site.gunicorn_conf", "--workers", "1"]
            ended.enter_context(self._process([sys.executable, "-m", "gunicorn", *config], "web.log"))
            wait_until(lambda: b"Booting worker" in (self.folder / "web.log").read_bytes(), what="gunicorn")
            words = [NGINX, "-c", str(self.configuration()), "-e", str(self.folder / "nginx.log")]
            ended.enter_context(self._process(words, "nginx.out"))
            wait_until(self._listens, what="nginx")
            yield self

    @contextlib.contextmanager
    def _process(self, command: list[str], log: str) -> Iterator[None]:
        with (self.folder / log).open("wb") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.site.environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL
            )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.authority.file)
        plain = socket.create_connection(("127.0.0.1", self.port), 30, source_address=(BROWSER, 0))
        return context.wrap_socket(plain, server_hostname=NAME)

    def ask(
        self, method: str, path: str, form: dict | bytes | None = None, host: str = NAME, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.sock = self.connect()
        body = urlencode(form).encode() if isinstance(form, dict) else form
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if isinstance(form, dict) else {}
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        connection.request(
            method, path, body, {"Host": host, "Referer": f"https://{NAME}/", **cookies, **kind, **headers}
        )
        answer = connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        return answer.status, answer.headers, text


_ALICE = f"""
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
user = get_user_model().objects.create_user("alice", password={PASSWORD!r})
user.groups.add(Group.objects.get(name="administrator"))
"""


@pytest.fixture(scope="module", params=["tcp", "unix"])
def proxied(request, tmp_path_factory) -> Iterator[Proxied]:
    if NGINX is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no nginx; scripts/nginx.sh installs it")
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "workdir").mkdir()
    with hold_port() as holder:
        bind = f"127.0.0.1:{port_of(holder)}" if request.param == "tcp" else f"unix:{folder}/socket"
        with Proxied(folder, bind).running() as found:
            yield found


def test_somebody_logs_in_and_the_audit_has_the_address_that_called_whatever_the_headers_said(proxied):
    proxied.cookies.clear()
    status, headers, text = proxied.ask("GET", "/login/", **FORGED)
    assert status == 200 and headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
    assert len(headers.get_all("Content-Security-Policy")) == len(headers.get_all("X-Frame-Options")) == 1
    assert "gunicorn" not in str(headers) and "1.2" not in headers["Server"]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text)[1]
    form = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": token}
    status, headers, text = proxied.ask("POST", "/login/", form, **FORGED)
    assert status == 302 and headers["Location"].startswith("/"), text
    assert set(proxied.cookies) >= {"__Host-sessionid", "__Host-csrftoken"}
    assert proxied.ask("GET", "/jobs/", **FORGED)[0] == 200
    rows = proxied.site.query("SELECT DISTINCT address FROM jobs_auditentry WHERE address != ''")
    assert rows == [(BROWSER,)]


def test_a_name_in_the_header_of_single_sign_on_opens_nothing(proxied):
    proxied.cookies.clear()
    for spelling in ("X-Remote-User", "x-remote-user", "X_Remote_User"):
        status, headers, _ = proxied.ask("GET", "/jobs/", **{spelling: "mallory"})
        assert status == 302 and "/login/" in headers["Location"]
    assert proxied.site.query("SELECT 1 FROM auth_user WHERE username = 'mallory'") == []


def test_no_location_has_headers_of_its_own_which_would_lose_all_that_the_server_sets():
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    locations = text[text.index("    location / {") :]
    assert locations.count("location ") == 2 == locations.count("proxy_pass ") and "proxy_set_header" not in locations


def test_what_a_monitor_may_ask_on_this_machine_is_nobodys_elsewhere(proxied):
    assert proxied.ask("GET", "/livez", **FORGED)[0] == 403  # not from 127.0.0.1, whatever the headers say


def test_plain_http_is_sent_to_the_name_of_the_site_not_to_the_callers(proxied):
    connection = http.client.HTTPConnection("127.0.0.1", proxied.port_plain, timeout=30)
    connection.request("GET", "/jobs/?page=2", headers={"Host": "evil.example.com"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}/jobs/?page=2")
    connection.close()
    assert proxied.ask("GET", "/login/", host="evil.example.com")[0] == 421


def test_a_call_of_the_rap_api_passes_with_its_token_and_its_body(proxied):
    path, body = "/controller/v1/rap/status/", json.dumps({"rap_ids": ["0" * 16]}).encode()
    words = {"Authorization": TOKEN, "Content-Type": "application/json"}
    status, _, text = proxied.ask("POST", path, body, **words)
    assert (status, json.loads(text)["unrecognised_rap_ids"]) == (200, ["0" * 16])
    assert proxied.ask("POST", path, b"x" * 1_000_000, **words)[0] == 400  # read, and no JSON
    assert proxied.ask("POST", path, b"x" * 1_200_000, **words)[0] == 413


def test_requests_that_come_slowly_hold_no_thread(proxied):
    """More of them than gunicorn has threads; a page is answered all the same, and nginx ends them in time."""
    half = f"POST /login/ HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1000\r\n\r\nx".encode()
    with contextlib.ExitStack() as kept:
        slow = [kept.enter_context(contextlib.closing(proxied.connect())) for _ in range(40)]
        for each in slow:
            each.sendall(half)
        began = time.monotonic()
        assert proxied.ask("GET", "/login/")[0] == 200
        assert time.monotonic() - began < 14, "answered only after nginx had ended the slow ones"
        silent = kept.enter_context(contextlib.closing(proxied.connect()))
        silent.sendall(b"GET / HTTP/1.1\r\nHo")
        assert silent.recv(1000) == b""  # nginx has ended it


def test_the_access_log_has_no_queries(proxied):
    proxied.ask("GET", "/login/?next=secret-of-somebody")
    text = wait_until(
        lambda: found if "GET /login/" in (found := (proxied.folder / "access.log").read_text()) else "", what="a line"
    )
    assert "secret-of-somebody" not in text
