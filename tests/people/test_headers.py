"""What every answer says to browsers: pages, files, errors, refusals, and the monitor's door."""

import pytest
from django.test import Client

from jobs.people.roles import ADMINISTRATOR, VIEWER
from tests.web import client_of

pytestmark = pytest.mark.django_db
ADDRESSES = {
    "/jobs/": 200, "/account/": 200, "/login/?x": 302, "/nowhere/": 404, "/j/nobody/": 404, "/admin/": 200,
    "/admin/jobs/job/": 200, "/controller/v1/docs/": 404, "/controller/v1/spec.json": 404, "/healthz/": 503,
    "/static/css/app.css": 200, "/logout/": 405, "/": 302,
}  # fmt: skip
LEAST = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def holds_all(response) -> None:
    for name, value in LEAST.items():
        assert response.headers[name] == value, name
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy


@pytest.mark.parametrize(("address", "status"), ADDRESSES.items())
def test_every_answer_says_what_browsers_must_not_do(address, status, settings):
    settings.WHITENOISE_AUTOREFRESH = settings.WHITENOISE_USE_FINDERS = True
    response = client_of(ADMINISTRATOR).get(address)
    assert response.status_code == status
    holds_all(response)
    response.close()
    kept = "static" in address
    assert kept != ("no-store" in response.headers["Cache-Control"])


def broken(get_response):
    def middleware(request):
        raise LookupError("CANARY-OF-THE-SITE")

    return middleware


@pytest.mark.parametrize("place", [0, -1])
def test_an_error_says_the_same_and_nothing_of_what_broke(settings, place):
    middleware = list(settings.MIDDLEWARE)
    middleware.insert(len(middleware) if place else 1, f"{__name__}.broken")
    settings.MIDDLEWARE, settings.DEBUG = middleware, False
    response = Client(raise_request_exception=False).get("/jobs/")
    assert response.status_code == 500
    assert "<h1" in response.content.decode() and "CANARY" not in response.content.decode()
    holds_all(response)


def test_a_host_that_is_not_ours_is_refused_in_the_same_way():
    response = client_of(VIEWER).get("/jobs/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    holds_all(response)


def test_a_form_from_elsewhere_changes_nothing_and_is_told_so():
    client = Client(enforce_csrf_checks=True)
    response = client.post("/login/", {"username": "x", "password": "y"})
    assert response.status_code == 403 and "Nothing was changed" in response.content.decode()
    holds_all(response)


def test_over_https_browsers_are_told_to_stay_there(settings):
    settings.WHITENOISE_AUTOREFRESH = settings.WHITENOISE_USE_FINDERS = True
    settings.SECURE_HSTS_SECONDS = 60
    for address in ("/healthz/", "/login/", "/static/css/app.css"):
        response = Client().get(address, secure=True)
        response.close()
        assert response.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "Strict-Transport-Security" not in Client().get("/healthz/").headers


def test_methods_that_nobody_needs_reach_no_page():
    client = client_of(VIEWER)
    for address in ("/jobs/", "/login/", "/healthz/", "/admin/"):
        assert client.generic("TRACE", address).status_code == 405
