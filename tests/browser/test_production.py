"""In production mode: what is collected, hashed and compressed reaches a browser through a real gunicorn behind TLS's
settings. The proxy is left out: 127.0.0.1 counts as secure, so the cookies of production are taken."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.served import Served


@pytest.fixture(scope="module")
def served_by(tmp_path_factory):
    folder = tmp_path_factory.mktemp("production")
    (folder / "workdir").mkdir()
    settings = {
        "DJANGO_SETTINGS_MODULE": "tests.browser.production_settings",
        "JOB_RUNNER_MODE": "production",
        "SECRET_KEY": "of-a-test-" * 8,
        "ALLOWED_HOSTS": "127.0.0.1",
        "BACKEND": "tre",
        "HIGH_PRIVACY_STORAGE_BASE": str(folder / "high"),
        "MEDIUM_PRIVACY_STORAGE_BASE": str(folder / "medium"),
        "SECURE_SSL_REDIRECT": "false",
        "EXECUTOR": "docker",
        "INSTANCE": "browser-test",
        "USING_DUMMY_DATA_BACKEND": "true",
    }
    site = Served(folder, rich=True, **settings)
    site.manage("collectstatic", "--no-input", "--verbosity", "0")
    with site:
        yield site


@pytest.mark.parametrize("path", ["/jobs/", "/system/", "/audit/", "/api/docs", "/admin/", "/account/"])
def test_a_page_of_production_comes_with_all_its_files_hashed(visit, path):
    person = visit("administrator")
    page = person.open(path)
    page.wait_for_load_state("networkidle")
    sheets = page.evaluate("[...document.styleSheets].map((each) => each.href)")
    assert sheets and all(re.search(r"\.[0-9a-f]{12}\.css$", sheet) for sheet in sheets)
    assert {cookie["name"] for cookie in person.context.cookies()} >= {"__Host-sessionid"}


def test_files_are_kept_by_browsers_and_come_compressed(visit):
    person = visit("operator")
    with person.page.expect_response(re.compile(r"app\.[0-9a-f]{12}\.css")) as found:
        person.open("/jobs/")
    headers = found.value.all_headers()
    assert "immutable" in headers["cache-control"]
    assert headers["content-encoding"] in ("br", "gzip")


def test_the_pages_of_production_are_live(visit):
    page = visit("operator").open("/jobs/")
    expect(page.locator("#live-pill, .pill").first).to_contain_text("Live")
