"""A debug page of a development installation shows where something broke, and no secret of the site."""

import pytest
from django.test import Client

from jobrunner_site.debug_pages import SecretsHidden

SECRET = "hunter2-of-the-site"
HOLD_SECRETS = {
    "JOB_SERVER_TOKEN": SECRET,
    "JOB_SERVER_PROXY": f"http://alice:{SECRET}@proxy.example.org:3128",
    "RAP_API_TOKENS": {SECRET: frozenset({"test"})},
    "PRIVATE_REPO_ACCESS_TOKEN": SECRET,
    "GIT_PROXY": f"http://alice:{SECRET}@proxy.example.org:3128",
    "GIT_ENVIRONMENT": {"https_proxy": f"http://alice:{SECRET}@proxy.example.org:3128"},
    "DATABASE_URL": f"postgres://alice:{SECRET}@db/jobs",
    "DATABASE_URLS": {"default": f"mssql://alice:{SECRET}@db/patients"},
    "STATA_LICENSE": SECRET,
    "EMIS_ORGANISATION_HASH": SECRET,
    "SECRET_KEY": SECRET,
}
# `manage.py runserver` shows the whole environment, with what stands in .env.
VARIABLES = ("https_proxy", "ALL_PROXY", "FULL_DATABASE_URL", *HOLD_SECRETS)


@pytest.fixture
def page(settings) -> str:
    """What a page that breaks shows to its developer."""
    settings.DEBUG, settings.DEBUG_PROPAGATE_EXCEPTIONS = True, False
    for name, value in HOLD_SECRETS.items():
        setattr(settings, name, value)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.jobs.test_debug_pages.breaking"]
    client = Client(raise_request_exception=False)
    answer = client.get("/admin/login/", **dict.fromkeys(VARIABLES, f"http://alice:{SECRET}@somewhere"))
    assert answer.status_code == 500
    return answer.content.decode()


def breaking(get_response):
    def middleware(request):
        raise LookupError("broken on purpose")

    return middleware


@pytest.mark.django_db
def test_a_debug_page_shows_no_secret_of_the_site(page):
    assert "broken on purpose" in page and all(name in page for name in (*HOLD_SECRETS, *VARIABLES))
    assert SECRET not in page


def test_the_passwords_of_django_s_own_databases_are_hidden():
    shown = SecretsHidden().cleanse_setting("DATABASES", {"default": {"NAME": "jobs", "PASSWORD": SECRET}})
    assert shown["default"]["NAME"] == "jobs" and SECRET not in str(shown)
