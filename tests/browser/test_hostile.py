"""What studies, job-servers and people write never becomes part of a page: no element, no attribute, no script."""

import pytest

from tests.browser.markup import faults
from tests.browser.pages import FAILED, PAGES
from tests.browser.served import Served
from tests.showcase import names

OF_ALL = (
    "jobs",
    "jobs grouped",
    "requests",
    "workspaces",
    "system",
    "switch-flag",
    "audit",
    "search",
    "account",
    "admin",
)
NASTY_PAGES = {name: PAGES[name] for name in (*OF_ALL, "admin jobs", "admin requests", "request refused")} | {
    "job": FAILED,
    "job outputs": f"{FAILED}?tab=outputs",
    "job provenance": f"{FAILED}?tab=provenance",
    "job events": f"{FAILED}?tab=events",
    "job-log": f"{FAILED}log/",
    "request": f"/r/{names.FAILS}/",
    "workspace": "/w/nasty/",
    "search script": "/search/?q=%3Cscript%20data-pwned%3E",
    "retry-jobs": f"/jobs/retry/?job={FAILED.split('/')[2]}&job=%22%20data-pwned=%221",
}


@pytest.fixture(scope="module")
def served_by(tmp_path_factory):
    with Served(tmp_path_factory.mktemp("hostile"), hostile=True) as site:
        yield site


@pytest.mark.parametrize("name", NASTY_PAGES)
def test_nothing_that_others_write_becomes_part_of_a_page(visit, name):
    page = visit("administrator").open(NASTY_PAGES[name])
    page.wait_for_timeout(300)  # what is loaded late may be theirs, too
    assert page.title().strip()
    assert page.locator("[data-pwned]").count() == 0
    assert page.evaluate("window.pwned") is None
    assert page.locator("a[href^='javascript:' i]").count() == 0


# Django writes the markup of the admin's pages.
@pytest.mark.parametrize("name", [name for name in NASTY_PAGES if not name.startswith("admin")])
def test_the_markup_stays_valid_whatever_others_write(visit, name):
    person = visit("administrator")
    assert not faults(person.context.request.get(person.site.url + NASTY_PAGES[name]).text())
