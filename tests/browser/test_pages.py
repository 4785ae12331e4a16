"""What holds on every page, with a full installation behind it: in both themes, on a phone, under the strict policy."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import URLPattern
from playwright.sync_api import Page, expect

from jobs.urls import urlpatterns
from tests.browser.markup import faults
from tests.browser.pages import NO_PAGES, PAGES, SIGNED_OUT

# Written by others (Django's admin, Swagger): theirs to mend, so only the policy is held against them.
OF_OTHERS = ("admin", "api-docs")
OURS = [name for name in PAGES if name.split()[0] not in OF_OTHERS]
ASKED_FOR = {"not found": "404"}


@pytest.fixture(scope="module")
def served_by(rich_site):
    return rich_site


@pytest.fixture
def operator(visit):
    """`operator(name, …)` opens that page of the list."""

    def opened(name: str, role: str = "administrator", **options):
        person = visit("" if name in SIGNED_OUT else role, **options)
        if name in ASKED_FOR:
            person.watched.expect(ASKED_FOR[name])
        person.open((PAGES | SIGNED_OUT)[name])
        return person

    return opened


def test_every_route_is_in_the_list_of_pages():
    routes = {route.name for route in urlpatterns if isinstance(route, URLPattern)}
    listed = {name.split()[0] for name in PAGES | SIGNED_OUT}
    assert not routes - listed - set(NO_PAGES)


@pytest.mark.parametrize("name", PAGES | SIGNED_OUT)
def test_a_page_breaks_no_policy_and_asks_nobody_else(operator, name):
    page = operator(name).page
    page.wait_for_load_state("networkidle")
    assert page.locator("body").inner_text().strip()


@pytest.mark.parametrize("name", [*OURS, *SIGNED_OUT])
def test_people_who_do_not_see_or_point_can_use_a_page_in_both_themes(operator, name):
    page = operator(name, color_scheme="light", reduced_motion="reduce").page
    in_light = _grave(page)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    in_dark = _grave(page)
    assert not in_light + in_dark, "\n".join([*in_light, "In the dark:", *in_dark])


def _grave(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{each['impact']}: {each['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for each in violations
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize("name", [*OURS, *SIGNED_OUT])
def test_a_page_fits_a_phone(operator, name):
    page = operator(name, viewport={"width": 390, "height": 844}).page
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, json.dumps(page.evaluate(TOO_WIDE), indent=1)


@pytest.mark.parametrize("name", [*OURS, *SIGNED_OUT])
def test_the_markup_of_a_page_is_valid(visit, name):
    person = visit("" if name in SIGNED_OUT else "administrator")
    found = person.context.request.get(person.site.url + (PAGES | SIGNED_OUT)[name])
    assert not faults(found.text())


# Which elements stick out to the right, for the message.
TOO_WIDE = """[...document.querySelectorAll("body *")]
.filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
.slice(0, 8).map((each) => each.outerHTML.slice(0, 160))"""
