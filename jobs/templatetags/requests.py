"""How pages of requests and workspaces print names that a study or a job-server chose, and numbers for pictures."""

from django import template
from django.urls import reverse
from django.utils.html import format_html

from jobs.log import escape
from jobs.models import Job
from jobs.templatetags.states import state_class, state_word
from jobs.text import duration_in_words, listed

register = template.Library()


@register.filter
def named(names: object, most: int) -> str:
    """Some of the names, and how many more there are; whatever was sent in their place."""
    names = names if isinstance(names, list) else [names]
    return listed([short(str(name), 60) for name in names], most=most)


@register.filter
def short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


@register.filter
def add_to(number: float, more: float) -> str:
    return f"{number + more:.1f}"


@register.simple_tag
def matrix_cell(job: Job, action: str) -> str:
    """A link in a table of thousands, which a template's own tags would be slow to print."""
    place, word = reverse("job", args=[job.identifier]), state_word(job)
    return format_html(
        '<a class="cell cell-{0}" href="{1}" title="{2}: {3}" aria-label="{3}"><svg width="16" height="16" '
        'aria-hidden="true"><use href="#sign-{0}"/></svg></a>',
        *(state_class(job), place, escape(action), word),
    )


@register.filter
def ran(job: Job) -> str:
    return duration_in_words(job.completed_at - job.started_at)


@register.filter
def level(name: str) -> str:
    """The privacy level with what it means for the file."""
    return {
        "highly_sensitive": "highly sensitive: stays here",
        "moderately_sensitive": "moderately sensitive: for review",
    }.get(name, name)
