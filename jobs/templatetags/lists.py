"""What lists show beside text: durations in words, and names that come from outside without what nobody sees."""

from django import template

from jobs.log import escape
from jobs.text import size_in_words

register = template.Library()
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@register.filter
def shown(text: object) -> str:
    """The text with control characters and marks of direction as their escapes; the template still escapes HTML."""
    return escape(str(text)) if text is not None else ""


@register.filter
def duration(seconds: float | None) -> str:
    """ "45 s", "3 min 05 s", "2 h 05 min", "3 d 4 h"."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


@register.filter
def size(number: int | None) -> str:
    return "" if number is None else size_in_words(number)
