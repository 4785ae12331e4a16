"""Pages of the list of jobs: what is on them, and what they cost."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Job, job_list
from jobs.models.job_list import KINDS, LONGEST, OLDEST, Wanted, activity, matching, page_of
from jobs.states import StatusCode
from jobs.tallies import tallies
from tests.factories import make_job, make_request

pytestmark = pytest.mark.django_db
ONE_OF_EACH = (StatusCode.EXECUTING, StatusCode.CREATED, StatusCode.NONZERO_EXIT, StatusCode.SUCCEEDED)


def found(wanted=None, size=50, **more) -> list[str]:
    return [job.action for job in page_of(wanted or Wanted(), size, **more).jobs]


def test_each_code_is_of_one_kind():
    codes = [code for codes in KINDS.values() for code in codes]
    assert sorted(codes) == sorted(StatusCode)


@pytest.mark.parametrize(
    "wanted",
    [Wanted(), Wanted(kinds=tuple(KINDS)), Wanted(workspace="study"), Wanted(kinds=("waiting", "failed", "running"))],
    ids=["all", "by state", "by workspace", "of some states"],
)
def test_pages_hold_every_job_once_the_newest_first(wanted):
    for number in range(7):
        make_job(ONE_OF_EACH[number % 3], action=f"a{number}")
    seen, before = [], None
    for _ in range(5):
        page = page_of(wanted, 3, before=before)
        seen += [job.action for job in page.jobs]
        before = page.older
        if before is None:
            break
    assert seen == [f"a{number}" for number in reversed(range(7))]


def test_every_filter_leaves_out_what_does_not_fit():
    fits = make_job(StatusCode.EXECUTING, make_request(workspace="w", created_by="bob"), action="aa", requires_db=True)
    make_job(StatusCode.EXECUTING, action="ab")
    for wanted in (
        Wanted(workspace="w"), Wanted(requester="bob"), Wanted(needs_db=True), Wanted(word="aa"),
        Wanted(word=fits.identifier[:9]), Wanted(kinds=("running",), workspace="w", word="a"),
    ):  # fmt: skip
        assert found(wanted) == ["aa"], wanted
    assert found(Wanted(backend="elsewhere")) == found(Wanted(kinds=("failed",), workspace="w")) == []


def test_a_word_is_no_pattern():
    make_job(action="a_b")
    make_job(action="axb")
    assert found(Wanted(word="a_")) == ["a_b"]
    assert found(Wanted(word="%")) == []


def test_stuck_jobs_are_active_ones_whose_state_has_not_changed_for_long():
    now = timezone.now()
    make_job(StatusCode.EXECUTING, action="slow", status_changed_at=now - timedelta(hours=1))
    make_job(StatusCode.SUCCEEDED, action="done", status_changed_at=now - timedelta(hours=1))
    make_job(StatusCode.EXECUTING, action="quick")
    assert found(Wanted(stuck_since=now - timedelta(minutes=30))) == ["slow"]


def test_what_ended_lately_has_no_active_or_older_jobs():
    now = timezone.now()
    make_job(StatusCode.EXECUTING)
    make_job(StatusCode.SUCCEEDED, completed_at=now - timedelta(days=3))
    make_job(StatusCode.SUCCEEDED, action="today")
    assert found(Wanted(ended_since=now - timedelta(days=1))) == ["today"]


def test_other_orders_are_for_active_jobs():
    now = timezone.now()
    for action, hours in (("first", 1), ("second", 5), ("third", 2)):
        make_job(StatusCode.EXECUTING, action=action, status_changed_at=now - timedelta(hours=hours))
    make_job(StatusCode.SUCCEEDED)
    assert found(Wanted(sort=OLDEST)) == ["first", "second", "third"]
    assert found(Wanted(sort=LONGEST)) == ["second", "third", "first"]
    page = page_of(Wanted(sort=OLDEST), 2)
    assert found(Wanted(sort=OLDEST), 2, skip=page.older) == ["third"]


def test_a_search_tells_how_far_it_looked_back_and_can_go_on(monkeypatch):
    monkeypatch.setattr(job_list, "WINDOW", 3)
    make_job(StatusCode.SUCCEEDED, action="wanted")
    active = make_job(StatusCode.EXECUTING, action="wanted_too")
    for _ in range(4):
        make_job(StatusCode.SUCCEEDED)
    page = page_of(Wanted(word="wanted"), 10)
    assert page.jobs == [active]  # however old it is
    assert page.looked_back_to
    assert found(Wanted(word="wanted"), 10, before=page.older)[-1] == "wanted"


def test_all_that_match_are_found_beyond_the_page():
    jobs = [make_job(StatusCode.EXECUTING) for _ in range(5)]
    make_job(StatusCode.SUCCEEDED)
    assert matching(Wanted(kinds=("running",)), 100) == [job.identifier for job in reversed(jobs)]
    assert len(matching(Wanted(kinds=("running",)), 3)) == 3


def test_activity_counts_what_is_active_and_what_ended_per_hour():
    now = timezone.now()
    oldest = make_job(StatusCode.CREATED, created_at=now - timedelta(minutes=14))
    make_job(StatusCode.CREATED)
    make_job(StatusCode.EXECUTING)
    make_job(StatusCode.NONZERO_EXIT)
    make_job(StatusCode.CANCELLED_BY_USER)
    make_job(StatusCode.SUCCEEDED, completed_at=now - timedelta(days=2), updated_at=now - timedelta(days=2))
    seen = activity(now - timedelta(hours=24))
    assert seen.active == {"running": 1, "waiting": 2}
    assert seen.oldest["waiting"] == oldest.created_at
    sums = {kind: sum(hours.values()) for kind, hours in seen.per_hour.items()}
    assert (sums["failed"], sums["stopped"], sums["succeeded"], sums["running"]) == (1, 1, 0, 1)
    assert set(seen.per_hour["failed"]) == {f"{now:%Y-%m-%d %H}"}


def test_tallies_of_requests_come_in_one_query(django_assert_num_queries):
    one, other, empty = make_request(), make_request(), make_request()
    for code in (StatusCode.SUCCEEDED, StatusCode.NONZERO_EXIT, StatusCode.EXECUTING):
        make_job(code, one)
    make_job(StatusCode.CREATED, other)
    with django_assert_num_queries(1):
        found = tallies([one.pk, other.pk, empty.pk])
    assert found[one.pk].in_words == "1 failed, 1 running, 1 succeeded"
    assert (found[one.pk].done, found[one.pk].total) == (2, 3)
    assert [part[0] for part in found[one.pk].parts] == ["succeeded", "failed", "running"]
    assert found[empty.pk].in_words == "no jobs" and not found[empty.pk].is_active
    assert Job.objects.count() == 4
