"""How every page prints names that come from outside, sizes, durations and moments."""

from datetime import UTC, datetime, timedelta

from django import template
from django.utils.html import format_html

from jobs.log import escape
from jobs.text import duration_in_words, size_in_words

register = template.Library()


@register.filter
def shown(text: object) -> str:
    """On one line, with controls and marks that reverse or hide text as their escapes; the template escapes HTML."""
    return "" if text is None else escape(str(text))


@register.filter
def size(number: float | None) -> str:
    return "" if number is None else size_in_words(int(number))


@register.filter
def duration(time: timedelta | float | None) -> str:
    return "" if time is None else duration_in_words(time)


@register.filter
def utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@register.filter
def clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M}"


def _moment(at: datetime) -> str:
    """For browsers without scripts: of today only the time."""
    is_today = at.date() == datetime.now(UTC).date()
    return f"{at:%H:%M} UTC" if is_today else f"{at:%Y-%m-%d %H:%M} UTC"


@register.simple_tag
def ago(at: datetime | None) -> str:
    """Ticks in the browser; without JavaScript the moment itself."""
    if at is None:
        return ""
    at = at.astimezone(UTC)
    return format_html(
        '<relative-time datetime="{}" title="{}">{}</relative-time>',
        f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M:%S} UTC", _moment(at),
    )  # fmt: skip


@register.simple_tag
def running_for(at: datetime | None, before: str = "", after: str = "") -> str:
    """How long it has gone on, between two words: "for 5m 3s", "5m 3s ago". Ticks in the browser.

    Without JavaScript it is "since" the moment, or "at" it if the word behind is "ago", and the two words go.
    """
    if at is None:
        return ""
    at = at.astimezone(UTC)
    begin = format_html('<span class="only-js">{} </span>', before) if before else ""
    end = format_html('<span class="only-js"> {}</span>', after) if after else ""
    return format_html(
        '{}<relative-time format="elapsed" datetime="{}" title="{}">{} {}</relative-time>{}',
        begin, f"{at:%Y-%m-%dT%H:%M:%SZ}", f"since {at:%Y-%m-%d %H:%M:%S} UTC", "at" if after == "ago" else "since",
        _moment(at), end,
    )  # fmt: skip
