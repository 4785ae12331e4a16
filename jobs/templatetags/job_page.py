"""How the job's page prints names that studies chose, sizes, and kinds of outputs."""

from django import template

from jobs.levels import MODERATELY_SENSITIVE
from jobs.log import escape
from jobs.text import size_in_words

register = template.Library()


@register.filter
def plain(text: object) -> str:
    """On one line, with controls and marks of direction as escapes; the template escapes HTML."""
    return escape(str(text))


@register.filter
def size(number: float) -> str:
    return size_in_words(int(number))


@register.filter
def level_class(level: str) -> str:
    return "reviewable" if level == MODERATELY_SENSITIVE else "stays"


@register.filter
def level_words(level: str) -> str:
    return level.replace("_", " ")


@register.filter
def level_meaning(level: str) -> str:
    return "may be reviewed for release" if level == MODERATELY_SENSITIVE else "stays in high privacy storage"
