"""A job's state as people see it: an icon, a word and a colour, never the colour alone."""

import functools

from django import template
from heroicons.templatetags.heroicons import heroicon_mini

from jobs.models import Job
from jobs.states import State, StatusCode

register = template.Library()

# Status code -> word; what is not here is told by the state's own word.
_WORDS = {
    StatusCode.CANCELLED_BY_USER: "cancelled",
    StatusCode.KILLED_BY_ADMIN: "killed",
    StatusCode.DEPENDENCY_FAILED: "not run",
    StatusCode.STALE_CODELISTS: "not run",
    StatusCode.PAUSED: "paused",
}
_STOPPED = (StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN, StatusCode.DEPENDENCY_FAILED)
_STATE_WORDS = {
    State.PENDING: "waiting",
    State.RUNNING: "running",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
}
_ICONS = {
    "pending": "clock",
    "running": "play",
    "succeeded": "check-circle",
    "failed": "x-circle",
    "stopped": "no-symbol",
}


@register.filter
def state_class(job: Job) -> str:
    return "stopped" if job.status_code in _STOPPED else job.state


@register.filter
def state_word(job: Job) -> str:
    if job.is_active and job.is_stop_requested:
        return "stopping"
    return _WORDS.get(job.status_code) or _STATE_WORDS[job.state]


@register.simple_tag
def state_icon(job: Job) -> str:
    return _icon(state_class(job))


@functools.cache
def _icon(kind: str) -> str:
    return heroicon_mini(_ICONS[kind], size=16, **{"aria-hidden": "true"})


@register.simple_tag
def state_signs() -> list[tuple[str, str]]:
    """Kind of state and its icon, for a page with thousands of them that prints each once and refers to it."""
    return [(kind, _icon(kind)) for kind in _ICONS]
