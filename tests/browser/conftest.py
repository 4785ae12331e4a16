"""A real Chromium and people who use it. Only these tests start one; it ends with the last of them.

The plugin's own fixtures last until the end of all tests and keep an event loop running, in which Django refuses every
query of the tests that follow: so the browser here belongs to a module. Nor is there a database in this process: the
installation that is looked at is a folder with processes of its own (`tests.browser.served`).
"""

import functools
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.served import Served
from tests.browser.watched import Watched
from tests.web import PASSWORD

CHROMIUM = "/usr/bin/chromium"
expect.set_options(timeout=15_000)
_here = os.path.dirname(__file__)  # noqa: PTH120 - compared with pytest's own paths


@functools.cache
def browser_trouble() -> str:
    """Why there is no browser, or an empty string."""
    try:
        subprocess.run([CHROMIUM, "--version"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path).startswith(_here) and "served_by" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.needs_browser)
            item.add_marker(pytest.mark.slow_test)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if trouble := browser_trouble():
        report = pytest.fail if os.environ.get("CI") else pytest.skip
        report(f"no Chromium at {CHROMIUM} ({trouble}); `scripts/browser.sh` installs it")
    with sync_playwright() as playwright:
        rules = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", f"--host-resolver-rules={rules}", "--disable-gpu"]
        )
        yield browser
        browser.close()


@dataclass
class Visit:
    """One person's browser. `open` goes to a path of the site."""

    page: Page
    context: BrowserContext
    watched: Watched
    site: Served

    def open(self, path: str) -> Page:
        self.page.goto(self.site.url + path, wait_until="load")
        return self.page

    def log_in(self, name: str) -> Page:
        self.page.goto(f"{self.site.url}/login/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name=re.compile("(log|sign) in", re.I)).click()
        self.page.wait_for_url(lambda url: "/login/" not in url)
        return self.page

    def live_word(self) -> str:
        return self.page.locator("#live-pill").inner_text()


@pytest.fixture
def visit(chromium, served_by) -> Iterator[Callable[..., Visit]]:
    """`visit(role, **options of the context)`: a browser of its own in which such a person is logged in."""
    made: list[Visit] = []

    def begin(role: str = "", **options) -> Visit:
        remembered = {"storage_state": served_by.logged_in[role]} if role in served_by.logged_in else {}
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | remembered | options)
        watched = Watched(context, f"127.0.0.1:{served_by.port}")
        begun = Visit(context.new_page(), context, watched, served_by)
        begun.page.set_default_timeout(15_000)
        made.append(begun)
        if role and not remembered:
            begun.log_in(role)
            served_by.logged_in[role] = context.storage_state()
        return begun

    yield begin
    for each in made:
        each.context.close()
    for each in made:
        each.watched.assert_clean()


@pytest.fixture(scope="module")
def rich_site(tmp_path_factory) -> Iterator[Served]:
    """The showcase, for tests that only look; one of its containers hangs."""
    with Served(tmp_path_factory.mktemp("rich"), rich=True) as site:
        site.manage("shell", "-v0", "-c", "from tests.showcase.backend import wedge; wedge()")
        yield site


@pytest.fixture
def own_site(tmp_path) -> Iterator[Served]:
    """An empty installation, for tests that change it."""
    with Served(tmp_path / "site") as site:
        yield site
