"""The row that an address names. Where there is none, the page that says so names it as well."""

from django.db.models import Model, QuerySet
from django.http import Http404

_LONGEST = 64


def one_called(rows: QuerySet, identifier: str, kind: str) -> Model:
    """The row of that identifier. Raises Http404."""
    row = rows.filter(identifier=identifier).first()
    if row is None:
        raise no_such(kind, identifier)
    return row


def no_such(kind: str, name: str) -> Http404:
    """To be raised; templates/404.html makes a headline of what begins like this, and of nothing else."""
    return Http404(f"There is no {kind} {name[:_LONGEST]}")
