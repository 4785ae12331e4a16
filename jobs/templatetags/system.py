"""How the system page prints moments, durations, and the marks of its checks: never by colour alone."""

from datetime import UTC, datetime, timedelta

from django import template
from django.utils.html import format_html, format_html_join
from heroicons.templatetags.heroicons import heroicon_mini

from jobs.log import escape
from jobs.signs import Answer

register = template.Library()
_ICONS = {"ok": "check-circle", "warn": "exclamation-triangle", "bad": "x-circle", "off": "minus-circle"}
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


@register.simple_tag
def check_icon(state: str, size: int = 20) -> str:
    return heroicon_mini(_ICONS[state], size=size, **{"aria-hidden": "true"})


@register.simple_tag
def ago(at: datetime | None) -> str:
    """Ticks in the browser; without JavaScript the moment itself."""
    if at is None:
        return ""
    at = at.astimezone(UTC)
    return format_html(
        '<relative-time datetime="{}" title="{}">{}</relative-time>',
        f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M:%S} UTC", f"{at:%Y-%m-%d %H:%M:%S} UTC",
    )  # fmt: skip


@register.simple_tag
def running_for(at: datetime | None) -> str:
    """How long it has gone on; ticks in the browser."""
    if at is None:
        return ""
    at = at.astimezone(UTC)
    return format_html(
        '<relative-time format="elapsed" datetime="{}" title="{}">since {}</relative-time>',
        f"{at:%Y-%m-%dT%H:%M:%SZ}", f"since {at:%Y-%m-%d %H:%M:%S} UTC", f"{at:%Y-%m-%d %H:%M:%S} UTC",
    )  # fmt: skip


@register.filter
def with_code(text: str) -> str:
    """What stands between backticks as code; all of it is escaped."""
    pieces = enumerate(escape(text).split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", each) if n % 2 else each,) for n, each in pieces)
    )


@register.filter
def shown(text: str) -> str:
    """What people or studies wrote, on one line: marks that reverse or hide text as their escapes."""
    return escape(str(text))


@register.filter
def utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@register.filter
def clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M}"


@register.filter
def duration(time: timedelta) -> str:
    """Its two largest units: "3 h 5 min"."""
    seconds, parts = max(0, round(time.total_seconds())), []
    for unit, size in _UNITS:
        number, seconds = divmod(seconds, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


@register.filter
def strip(answers: list[Answer]) -> list[tuple[int, Answer]]:
    """Each with where it stands in the strip's SVG."""
    return [(number * 7, answer) for number, answer in enumerate(answers)]


@register.filter
def in_words(answers: list[Answer]) -> str:
    """What the strip shows, for whoever does not see it."""
    failed = sum(1 for answer in answers if answer.error)
    return f"{len(answers) - failed} of the last {len(answers)} were answered"
