"""How the system page prints the marks of its checks and what to do: never by colour alone."""

from django import template
from django.utils.html import format_html, format_html_join
from heroicons.templatetags.heroicons import heroicon_mini

from jobs.log import escape
from jobs.said import Answer

register = template.Library()
_ICONS = {
    "ok": "check-circle",
    "warn": "exclamation-triangle",
    "bad": "x-circle",
    "off": "minus-circle",
    "unknown": "question-mark-circle",
}


@register.simple_tag
def check_icon(state: str, size: int = 20) -> str:
    return heroicon_mini(_ICONS[state], size=size, **{"aria-hidden": "true"})


@register.filter
def with_code(text: str) -> str:
    """What stands between backticks as code; all of it is escaped."""
    pieces = enumerate(escape(text).split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", each) if n % 2 else each,) for n, each in pieces)
    )


@register.filter
def strip(answers: list[Answer]) -> list[tuple[int, Answer]]:
    """Each with where it stands in the strip's SVG."""
    return [(number * 7, answer) for number, answer in enumerate(answers)]


@register.filter
def in_words(answers: list[Answer]) -> str:
    """What the strip shows, for whoever does not see it."""
    failed = sum(1 for answer in answers if answer.error)
    return f"{len(answers) - failed} of the last {len(answers)} were answered"
