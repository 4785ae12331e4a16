"""What operators do with a system at work: real sync-less installation, real loop, fake executor, real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.git_repositories import make_repository
from tests.site import wait_until

PROJECT = """
version: '4.0'
actions:
  extract:
    run: python:v2 python extract.py
    outputs:
      highly_sensitive:
        rows: output/rows.csv
  report:
    run: python:v2 python report.py
    needs: [extract]
    outputs:
      moderately_sensitive:
        text: output/report.txt
"""


@pytest.fixture
def served_by(own_site):
    return own_site


@pytest.fixture
def study(own_site):
    """Its jobs are asked for by `study()`; nothing runs them before `own_site.start("run")`."""
    repository = own_site.folder / "study"
    make_repository(repository, {"project.yaml": PROJECT})

    def ask(workspace: str = "study") -> None:
        own_site.manage("add_job", str(repository), "report", "--workspace", workspace)

    return ask


def page_is_not_reloaded(page) -> None:
    page.evaluate("window.stays = true")


def stayed(page) -> bool:
    return page.evaluate("window.stays === true")


def test_on_a_first_visit_one_signs_in_and_reads_how_a_request_gets_here(visit):
    person = visit()
    page = person.open("/")
    expect(page).to_have_title(re.compile("Sign in"))
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    person.log_in("operator")
    person.open("/")
    expect(page).to_have_url(re.compile("/jobs/"))
    expect(page.locator("body")).to_contain_text("manage.py run")
    expect(page.locator("#content")).to_contain_text(re.compile("no job|first request", re.I))


def test_a_request_is_watched_from_its_arrival_to_its_end_without_a_reload(visit, own_site, study):
    page = visit("operator").open("/jobs/")
    page_is_not_reloaded(page)
    study()
    expect(page.get_by_role("link", name="extract").first).to_be_visible()
    expect(page.locator("#content")).to_contain_text(re.compile("waiting|created", re.I))
    own_site.start("run")
    # The list's own words for a job that ended well, one for each of the two.
    expect(page.locator("#live .state-succeeded")).to_have_count(2)
    assert stayed(page)
    page.get_by_role("link", name="report").first.click()
    expect(page.locator("#content")).to_contain_text("The fake executor runs")


def test_while_all_is_paused_nothing_starts_and_resuming_lets_it_go_on(visit, own_site, study):
    own_site.start("run")
    person = visit("operator")
    page = person.open("/system/flags/paused/")
    page.get_by_label("Why").fill("the disk is being replaced")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#content")).to_contain_text("the disk is being replaced")
    page = person.open("/jobs/")
    expect(page.locator("#banner")).to_contain_text("the disk is being replaced")
    study()
    wait_until(lambda: "paused" in own_site.statuses().values(), what="a job that waits because of the pause")
    page = person.open("/system/flags/paused/")
    page.get_by_label("Why").fill("the disk is replaced")
    page.get_by_role("button", name="Resume", exact=True).click()
    page = person.open("/jobs/")
    expect(page.locator("#live .state-succeeded")).to_have_count(2)
    said = own_site.query("SELECT actor, reason FROM jobs_auditentry WHERE verb = 'switch' ORDER BY id")
    assert said == [("operator", "the disk is being replaced"), ("operator", "the disk is replaced")]


def test_when_the_session_ends_the_table_stays_and_the_pill_says_so(visit, own_site, study):
    study()
    person = visit("operator")
    person.watched.expect("401")
    page = person.open("/jobs/")
    expect(page.locator("#live-pill")).to_have_text(re.compile("Live"))
    person.context.clear_cookies()
    expect(page.locator("#live-pill")).to_have_text(re.compile("Signed out"))
    expect(page.get_by_role("link", name="extract").first).to_be_visible()
    expect(page.get_by_label("Password")).to_have_count(0)


def test_when_the_server_is_down_the_page_stays_and_says_so_until_it_is_back(visit, own_site, study):
    study()
    person = visit("operator")
    person.watched.expect("net::ERR", "Failed to fetch", "502", "503")
    page = person.open("/jobs/")
    page_is_not_reloaded(page)
    own_site.stop_web()
    expect(page.locator("#live-pill")).to_have_text(re.compile("Reconnecting"))
    expect(page.locator("html")).to_have_attribute("data-stale", "")
    expect(page.get_by_role("link", name="extract").first).to_be_visible()
    own_site.start_web()
    expect(page.locator("#live-pill")).to_have_text(re.compile("Live"), timeout=60_000)
    expect(page.locator("html")).not_to_have_attribute("data-stale", "")
    assert stayed(page)


def test_a_page_in_the_background_asks_for_nothing(visit, own_site, study):
    study()
    person = visit("operator")
    page = person.open("/jobs/")
    expect(page.locator("#live-pill")).to_have_text(re.compile("Live"))
    page.evaluate(HIDE)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    own_site.manage("shell", "-v0", "-c", "import time; time.sleep(5)")  # longer than the interval of a busy page
    page.wait_for_timeout(1)
    assert not asked
    with page.expect_request(lambda request: "/jobs/" in request.url):
        page.evaluate(SHOW)


HIDE = """Object.defineProperty(document, "hidden", {configurable: true, get: () => true});
document.dispatchEvent(new Event("visibilitychange"));"""
SHOW = """Object.defineProperty(document, "hidden", {configurable: true, get: () => false});
document.dispatchEvent(new Event("visibilitychange"));"""


@pytest.mark.parametrize("grouping", ["", "?group=request"])
def test_rows_that_come_later_do_not_push_what_one_selects_until_they_are_asked_for(visit, own_site, study, grouping):
    study("first")
    page = visit("operator").open(f"/jobs/{grouping}")
    table = page.locator("#jobs-table")
    table.get_by_label(re.compile("Select extract")).check()
    study("second")
    expect(page.locator("#newer")).to_contain_text("2 newer")
    expect(table.locator("tr:visible", has_text="second")).to_have_count(0)
    page.get_by_role("button", name=re.compile("2 newer")).click()
    expect(table.locator("tr[data-pk]:visible", has_text="second")).to_have_count(2)
    expect(table.get_by_label(re.compile("Select extract of first"))).to_be_checked()
