"""The front page: what runs, what waits and why, what has failed; as few or as many jobs as its address asks for."""

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from jobs.asking import MOST_AT_ONCE
from jobs.models import Job
from jobs.models.job_list import Page, activity, number_matching, page_of
from jobs.people.access import allowed
from jobs.views.frame import Frame
from jobs.views.job_filters import KIND_LABELS, Filters, filters_of
from jobs.views.job_rows import groups_of, rows_of
from jobs.views.job_tiles import tiles_of
from jobs.views.live import BUSY_SECONDS, IDLE_SECONDS, all_jobs_changed, live_page
from jobs.views.saved_views import BUILT_IN, views_of

PAGE_SIZE = 50
# Key -> what static/js/list.js does with the row that the cursor is on.
_ROW_KEYS = (("j", "next"), ("k", "previous"), ("x", "select"), ("o", "open"), ("f", "failure"))


def _changed(request: HttpRequest) -> tuple:
    """What ages moves on with the clock alone: once a minute is enough for that, and once an hour for the tiles."""
    now = timezone.now()
    moment = f"{now:%H:%M}" if filters_of(request.GET).depends_on_clock else f"{now:%d %H}"
    return (*all_jobs_changed(), moment)


@allowed()
@live_page("jobs/list.html", "jobs/_list.html", _changed)
def jobs(request: HttpRequest) -> dict:
    filters = filters_of(request.GET)
    values, wanted = filters.values, filters.wanted
    page = page_of(wanted, PAGE_SIZE, before=values.get("before"), skip=values.get("skip", 0))
    rows = rows_of(page.jobs)
    seen = activity(timezone.now() - timedelta(hours=24))
    is_first = not (values.get("before") or values.get("skip"))
    has_none = not rows and is_first and not Job.objects.exists()
    return {
        "title": "Jobs",
        "title_state": _state(seen.active),
        "section": "jobs",
        "filters": filters,
        "page": page,
        "rows": rows,
        "groups": groups_of(rows) if values.get("group") else [],
        "tiles": tiles_of(seen, filters),
        "most_at_once": MOST_AT_ONCE,
        "number_matching": _number_matching(filters, page) if rows and is_first else 0,
        "is_first": is_first,
        "memory_limit": settings.JOB_MEMORY_BYTES,
        "older": _older(filters, page),
        "steps": _steps(request) if has_none else [],
        "live_seconds": BUSY_SECONDS if any(seen.active.values()) else IDLE_SECONDS,
        **_choices(request, filters),
    }


def _state(active: dict[str, int]) -> str:
    if active["running"]:
        return f"● {active['running']} running"
    return f"{active['waiting']} waiting" if active["waiting"] else ""


def _number_matching(filters: Filters, page: Page) -> int:
    """How many "select all" would select; told only where the page does not show them all."""
    if page.older is None or page.looked_back_to or not filters.is_filtered:
        return 0
    return number_matching(filters.wanted, MOST_AT_ONCE + 1)


def _older(filters: Filters, page: Page) -> str:
    if page.older is None:
        return ""
    name = "before" if filters.wanted.sort == "newest" else "skip"
    return filters.address(**{name: page.older})


def _choices(request: HttpRequest, filters: Filters) -> dict:
    """The ways on: chips of states, saved views, the other grouping."""
    chosen = filters.values.get("state") or []
    mine = [(view.name, f"/jobs/?{view.query}", view) for view in views_of(request.user)]
    built_in = [(name, f"/views/{slug}/", None) for slug, (name, _) in BUILT_IN.items()]
    return {
        "chips": [(kind, label, kind in chosen, filters.toggled(kind)) for kind, label in KIND_LABELS.items()],
        "views": built_in + mine,
        "this_query": filters.address(),
        "selects": filters.selects,
        "failed_only": ["failed"],
        "row_keys": _ROW_KEYS,
        "flat": filters.address(group=""),
        "grouped": filters.address(group="request"),
        "is_grouped": bool(filters.values.get("group")),
    }


def _steps(request: HttpRequest) -> list[tuple[bool, str, str]]:
    """For the first day: whether each part is there, its name, and what to do if not."""
    signs = Frame.of(request).signs
    is_fresh = signs.run.is_fresh
    has_engine = is_fresh and signs.run.engine_silent_since is None
    return [
        (is_fresh, "The runner is at work", "start `manage.py run`"),
        (has_engine, "Docker answers", "see whether `docker info` answers on this machine"),
        (
            signs.sync.time("last_poll_at") is not None,
            "The job-server was reached",
            "start `manage.py sync`; not needed to try out",
        ),
    ]
