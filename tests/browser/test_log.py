"""The log viewer in a real browser: following, jumping, searching, and lines in the address."""

import re

import pytest
from playwright.sync_api import expect

from tests.logs import stamped

_JOB = """
from jobs import logs
from jobs.states import StatusCode
from tests.factories import make_job
job = make_job(StatusCode.{status}, action="fit")
print(job.identifier, logs.path_of(job))
"""


@pytest.fixture
def served_by(own_site):
    return own_site


class Log:
    """The log of a job of this site, which a test writes as a runner would."""

    def __init__(self, site, status: str):
        self._site = site
        self.identifier, path = site.manage("shell", "-v0", "-c", _JOB.format(status=status)).split()
        self.path = site.folder / path
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.address = f"/j/{self.identifier}/log/"

    def write(self, lines: list[str]) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(stamped(line) for line in lines))


@pytest.fixture
def log(own_site):
    return lambda status="EXECUTING": Log(own_site, status)


def last_line(page):
    return page.locator(".log-line").last


def test_new_lines_appear_at_the_end_until_one_scrolls_up_and_then_are_counted(visit, log):
    log = log()
    log.write([f"line {number}" for number in range(1, 201)])
    page = visit("operator").open(log.address)
    expect(last_line(page)).to_be_in_viewport()
    expect(page.locator("#log-state")).to_contain_text("Following")
    log.write(["line 201"])
    expect(last_line(page)).to_contain_text("line 201")
    expect(last_line(page)).to_be_in_viewport()
    page.locator("#log-scroll").hover()
    page.mouse.wheel(0, -1000)
    expect(page.locator("#log-state")).to_contain_text("Not following")
    log.write([f"later {number}" for number in range(37)])
    expect(page.locator(".log-newest")).to_have_text("▼ 37 new lines")
    expect(last_line(page)).not_to_be_in_viewport()
    page.locator(".log-newest").click()
    expect(last_line(page)).to_be_in_viewport()
    expect(page.locator("#log-state")).to_contain_text("Following")


def test_the_first_line_appears_without_a_reload(visit, log):
    log = log()
    page = visit("operator").open(log.address)
    expect(page.locator("#log")).to_contain_text("written nothing yet")
    log.write(["hello"])
    expect(last_line(page)).to_contain_text("hello")
    log.write(["and more"])
    expect(last_line(page)).to_contain_text("and more")


def test_lines_are_chosen_by_clicks_and_the_address_leads_back_to_them(visit, log):
    log = log("SUCCEEDED")
    log.write([f"line {number}" for number in range(1, 5001)])
    person = visit("operator")
    page = person.open(log.address)
    page.keyboard.press("g")
    page.keyboard.press("g")
    page.locator("#L12 .log-number").click()
    page.locator("#L30 .log-number").click(modifiers=["Shift"])
    expect(page).to_have_url(re.compile(r"#L12-L30$"))
    address = page.url
    page = person.open("/jobs/")
    page.goto(address)
    expect(page.locator("#L12")).to_be_in_viewport()
    expect(page.locator(".is-chosen")).to_have_count(19)


def test_hits_are_stepped_through_and_loaded_though_they_are_far_away(visit, log):
    log = log("SUCCEEDED")
    log.write([f"{'needle' if number in (10, 3000) else 'hay'} {number}" for number in range(1, 5001)])
    page = visit("operator").open(log.address)
    page.keyboard.press("/")
    page.keyboard.type("needle")
    page.keyboard.press("Enter")
    expect(page.locator("#log-count")).to_have_text("hit 1 of 2")
    expect(page.locator("#L10")).to_be_in_viewport()
    page.locator("#log-scroll").focus()
    page.keyboard.press("n")
    expect(page.locator("#log-count")).to_have_text("hit 2 of 2")
    expect(page.locator("#L3000")).to_be_in_viewport()
    page.keyboard.press("Shift+N")
    expect(page.locator("#L10")).to_be_in_viewport()


def test_the_next_error_is_a_key_away_unless_keys_are_off(visit, log):
    log = log("NONZERO_EXIT")
    log.write([*(["fine"] * 3000), "ValueError: no rows", *(["fine"] * 3000)])
    page = visit("operator").open(log.address)
    page.evaluate("localStorage.setItem('shortcuts', 'off')")
    page.keyboard.press("e")
    page.keyboard.press("w")
    expect(page.locator("#log-count")).to_be_empty()
    page.evaluate("localStorage.removeItem('shortcuts')")
    page.keyboard.press("e")
    expect(page.locator("#L3001")).to_be_in_viewport()
    expect(page.locator("#log-count")).to_have_text("error 1 of 1")
    page.keyboard.press("w")
    expect(page.locator("#log.is-wrapped")).to_have_count(1)
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page).to_have_url(re.compile(r"/w/$"))


def test_when_the_session_ends_the_lines_stay_and_it_says_so(visit, log):
    log = log()
    log.write(["one"])
    person = visit("operator")
    person.watched.expect("401")
    page = person.open(log.address)
    expect(page.locator("#log-state")).to_contain_text("Following")
    person.context.clear_cookies()
    expect(page.locator("#log-state")).to_contain_text("Signed out")
    expect(page.locator(".log-line")).to_have_count(1)


def test_hostile_lines_do_nothing(visit, log):
    log = log()
    log.write(["<img src=x onerror=alert(1)>", "\x1b]8;;javascript:alert(2)\x07click\x1b]8;;\x07", "x" * 2**20])
    page = visit("operator").open(log.address)
    expect(page.locator(".log-line")).to_have_count(3)
    log.write(["<script>alert(3)</script>", "<svg onload=alert(4)>"])
    expect(page.locator(".log-line")).to_have_count(5)
    assert page.locator("#log-lines :is(img, script, svg)").count() == 0
