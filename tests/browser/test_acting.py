"""What operators do about jobs: find what failed, cancel with a reason; by keyboard, without scripts.

Nobody runs the jobs here: what is asked for stays asked, so that it can be looked at.
"""

import re

import pytest
from playwright.sync_api import expect

from jobs.models.job import job_identifier
from tests.browser.pages import FAILED, RUNNING
from tests.browser.served import Served
from tests.showcase import names


@pytest.fixture(scope="module")
def served_by(tmp_path_factory):
    with Served(tmp_path_factory.mktemp("acting"), rich=True) as site:
        yield site


def asked_to_stop(site: Served, identifier: str) -> tuple[str, str, str]:
    sql = "SELECT stop_request, stop_requested_by, stop_reason FROM jobs_job WHERE identifier = ?"
    return site.query(sql, identifier)[0]


def test_the_failed_job_and_the_line_of_its_error_are_found_from_the_front_page(visit):
    page = visit("operator").open("/jobs/")
    page.get_by_role("group", name="States").get_by_role("link", name="Failed").click()
    row = page.get_by_role("row").filter(has_text="model_unadjusted").filter(has_text=names.COVID)
    row.get_by_role("link", name="model_unadjusted").click()
    expect(page).to_have_url(re.compile(FAILED))
    expect(page.locator("#content")).to_contain_text("Input contains NaN in column 'bmi'")


def test_a_job_is_cancelled_with_a_reason_that_is_kept(visit, served_by):
    identifier = RUNNING.split("/")[2]
    page = visit("operator").open(f"/jobs/cancel/?job={identifier}")
    page.get_by_role("button", name="Cancel 1 job").click()
    assert asked_to_stop(served_by, identifier)[0] == ""  # the browser itself asks for the reason
    page.get_by_label("Why").fill("asked for by its author")
    page.get_by_role("button", name="Cancel 1 job").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("asked for 1 job")
    assert asked_to_stop(served_by, identifier) == ("cancel", "operator", "asked for by its author")
    said = served_by.query("SELECT actor, verb, reason FROM jobs_auditentry WHERE object_id = ?", identifier)
    assert ("operator", "cancel", "asked for by its author") in said


def test_many_jobs_are_ticked_and_cancelled_at_once(visit, served_by):
    page = visit("operator").open(f"/jobs/?workspace={names.VACCINES}&state=waiting")
    ticks = page.locator("#jobs-table tbody input[type=checkbox]")
    for number in range(3):
        ticks.nth(number).check()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_label("Why").fill("the study is withdrawn")
    page.get_by_role("button", name="Cancel 3 jobs").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("asked for 3 jobs")
    sql = (
        "SELECT count(*) FROM jobs_job WHERE stop_reason = 'the study is withdrawn' AND stop_requested_by = 'operator'"
    )
    assert served_by.query(sql) == [(3,)]


def test_without_scripts_one_reads_a_log_and_cancels(visit, served_by):
    person = visit("operator", java_script_enabled=False)
    page = person.open(FAILED)
    expect(page.locator("#content")).to_contain_text("Input contains NaN in column 'bmi'")
    page = person.open(f"/jobs/?workspace={names.COVID}&state=running")
    page.locator("#jobs-table tbody input[type=checkbox]").first.check()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_label("Why").fill("seen without scripts")
    page.get_by_role("button", name="Cancel 1 job").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("asked for 1 job")
    assert served_by.query("SELECT count(*) FROM jobs_job WHERE stop_reason = 'seen without scripts'") == [(1,)]


def test_a_job_is_found_and_cancelled_by_the_keyboard_alone(visit, served_by):
    page = visit("operator").open("/jobs/")
    page.keyboard.press("/")
    page.keyboard.type(job_identifier(names.WAITS, "write_report")[:9])
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_contain_text("write_report")
    page = visit("operator").open(f"/jobs/?workspace={names.COVID}&state=waiting")
    expect(page.locator("#live-pill, .pill").first).to_contain_text("Live")
    for key in ("j", "x", "c"):
        page.keyboard.press(key)
    expect(page.get_by_label("Why")).to_be_focused()
    page.keyboard.type("by the keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("asked for 1 job")
    assert served_by.query("SELECT count(*) FROM jobs_job WHERE stop_reason = 'by the keyboard'") == [(1,)]


def test_the_first_tab_stop_leads_past_the_bar_to_the_content(visit):
    page = visit("operator").open("/jobs/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_a_viewer_is_offered_nothing_to_change(visit):
    person = visit("viewer")
    page = person.open("/jobs/")
    expect(page.get_by_role("button", name=re.compile("Cancel|Retry"))).to_have_count(0)
    person.watched.expect("403")
    page = person.open(f"/jobs/cancel/?job={RUNNING.split('/')[2]}")
    expect(page.get_by_label("Why")).to_have_count(0)


def test_keys_of_a_request_lead_through_its_jobs_and_parts(visit):
    page = visit("operator").open(f"/r/{names.FAILS}/")
    page.keyboard.press("f")
    expect(page.locator("a.open:focus")).to_have_text("model_unadjusted")
    page.keyboard.press("f")
    expect(page.locator("a.open:focus")).to_have_text("model_adjusted")
    page.keyboard.press("b")
    expect(page.locator("a.open:focus")).to_have_text("model_unadjusted")
    page.keyboard.press("l")
    expect(page).to_have_url(re.compile("tab=timeline"))
    page.keyboard.press("d")
    expect(page).to_have_url(re.compile("tab=jobs"))


def test_the_picture_of_a_request_lights_what_belongs_to_a_job_and_is_walked_by_arrows(visit):
    page = visit("operator").open(f"/r/{names.FAILS}/")
    ends = page.locator("#graph .edge").evaluate_all(
        "edges => edges.map(edge => [edge.dataset.begin, edge.dataset.end])"
    )
    begin = ends[0][0]
    after = next(end for start, end in ends if start == begin)
    page.locator(f"#across-{begin}").focus()
    expect(page.locator("#graph")).to_have_class(re.compile("has-lit"))
    expect(page.locator(f"#across-{after}")).to_have_class(re.compile("is-lit"))
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"#across-{after}")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#graph .node:focus")).to_have_count(1)
    page.locator("#search").focus()
    expect(page.locator("#graph")).not_to_have_class(re.compile("has-lit"))


def test_the_size_of_the_picture_is_chosen_and_remembered(visit):
    page = visit("operator").open(f"/r/{names.FAILS}/")
    button = page.locator("#graph-size")
    before = button.inner_text()
    button.click()
    expect(button).not_to_have_text(before)
    after = button.inner_text()
    page.reload()
    expect(button).to_have_text(after)


def test_whoever_asked_to_be_told_hears_of_the_end_on_another_page(visit, served_by):
    person = visit("operator")
    page = person.open(f"/r/{names.WAITS}/")
    page.get_by_role("button", name="Tell me when it ends").click()
    expect(page.get_by_role("button", name="You will be told when it ends")).to_be_visible()
    person.open("/audit/")
    sql = "UPDATE jobs_job SET state = 'failed', status_code = 'cancelled_by_user', completed_at = updated_at WHERE "
    served_by.change(f"{sql} request_id = (SELECT id FROM jobs_jobrequest WHERE identifier = ?)", names.WAITS)
    expect(page.locator("#toasts")).to_contain_text("A request has ended", timeout=30_000)
    assert page.evaluate("localStorage.getItem('told-when-they-end')") == "{}"


def test_pointing_at_a_job_of_the_picture_lights_what_belongs_to_it(visit):
    page = visit("operator").open(f"/r/{names.FAILS}/")
    page.locator("#graph .graph-across .node").first.hover()
    expect(page.locator("#graph")).to_have_class(re.compile("has-lit"))
    expect(page.locator("#graph .graph-across .node.is-lit").first).to_be_visible()
    page.mouse.move(5, 5)
    expect(page.locator("#graph")).not_to_have_class(re.compile("has-lit"))


def test_on_a_phone_the_picture_goes_from_top_to_bottom_and_needs_no_scrolling_sideways(visit):
    page = visit("operator", viewport={"width": 390, "height": 800}).open(f"/r/{names.FAILS}/")
    expect(page.locator("#graph .graph-across")).to_be_hidden()
    down = page.locator("#graph .graph-down")
    expect(down).to_be_visible()
    assert down.evaluate("box => box.scrollWidth <= box.clientWidth")
    begin, after = down.locator(".edge").first.evaluate("edge => [edge.dataset.begin, edge.dataset.end]")
    page.locator(f"#down-{begin}").focus()
    expect(page.locator(f"#down-{after}")).to_have_class(re.compile("is-lit"))
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"#down-{after}")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#graph .graph-down .node:focus")).to_have_count(1)


def test_title_and_icon_of_a_request_tell_how_it_stands(visit):
    failed = visit("operator").open(f"/r/{names.FAILS}/")
    expect(failed).to_have_title(re.compile("5/9"))
    icon = failed.locator("link[rel=icon]")
    expect(icon).to_have_attribute("href", re.compile("b3261e"))
    runs = visit("operator").open(f"/r/{names.RUNS}/")
    expect(runs.locator("link[rel=icon]")).to_have_attribute("href", re.compile("0b5cad"))
