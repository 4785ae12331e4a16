"""How the job's page prints the privacy levels of outputs."""

from django import template

from jobs.levels import MODERATELY_SENSITIVE

register = template.Library()


@register.filter
def level_class(level: str) -> str:
    return "reviewable" if level == MODERATELY_SENSITIVE else "stays"


@register.filter
def level_words(level: str) -> str:
    return level.replace("_", " ")


@register.filter
def level_meaning(level: str) -> str:
    return "may be reviewed for release" if level == MODERATELY_SENSITIVE else "stays in high privacy storage"
