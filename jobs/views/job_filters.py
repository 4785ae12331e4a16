"""The filters of the jobs list, as its address has them: read forgivingly, because addresses are kept and sent round.

What is no sensible value is left out, and said. Everything that a page of the list needs can be told from the address.
"""

from dataclasses import dataclass
from datetime import timedelta

from django import forms
from django.http import QueryDict
from django.utils import timezone

from jobs.models.job_list import KINDS, LONGEST, NEWEST, OLDEST, Wanted

_LARGEST_KEY = 2**63 - 1
KIND_LABELS = {
    "running": "Running",
    "waiting": "Waiting",
    "failed": "Failed",
    "succeeded": "Succeeded",
    "stopped": "Cancelled / not run",
}
_AGES = {"": "Any age", "24h": "Ended in the last 24 h", "7d": "Ended in the last 7 days", "stuck": "Stuck > 30 min"}
_ENDED_WITHIN = {"24h": timedelta(hours=24), "7d": timedelta(days=7)}
STUCK = timedelta(minutes=30)
_SORTS = {NEWEST: "Newest first", OLDEST: "Oldest first (active)", LONGEST: "Longest in its state (active)"}


class JobFilters(forms.Form):
    q = forms.CharField(required=False, max_length=255, label="Action or id begins with")
    state = forms.MultipleChoiceField(required=False, choices=KIND_LABELS, label="State")
    workspace = forms.CharField(required=False, max_length=128)
    backend = forms.CharField(required=False, max_length=64)
    by = forms.CharField(required=False, max_length=255, label="Asked for by")
    db = forms.ChoiceField(required=False, choices={"": "Database or not", "1": "Needs the database"}, label="Database")
    age = forms.ChoiceField(required=False, choices=_AGES)
    sort = forms.ChoiceField(required=False, choices=_SORTS)
    group = forms.ChoiceField(required=False, choices={"": "Flat", "request": "By request"})
    before = forms.IntegerField(required=False, min_value=1, max_value=_LARGEST_KEY)
    skip = forms.IntegerField(required=False, min_value=0, max_value=1_000_000)


@dataclass(frozen=True)
class Filters:
    """`values` are those that make sense; `ignored` the names of the others."""

    form: JobFilters
    values: dict
    ignored: list[str]

    @property
    def wanted(self) -> Wanted:
        get, now = self.values.get, timezone.now().replace(second=0, microsecond=0)
        age = get("age") or ""
        return Wanted(
            kinds=tuple(get("state") or ()),
            word=get("q") or "",
            workspace=get("workspace") or "",
            backend=get("backend") or "",
            requester=get("by") or "",
            needs_db=get("db") == "1",
            ended_since=now - _ENDED_WITHIN[age] if age in _ENDED_WITHIN else None,
            stuck_since=now - STUCK if age == "stuck" else None,
            sort=get("sort") or NEWEST,
        )

    @property
    def selects(self) -> list[tuple[str, str, list, str]]:
        """Name, what it is called, choices and what is chosen, for the fields that are lists."""
        fields = self.form.fields
        told = {"db": "Database", "age": "Age", "sort": "Order"}
        return [(name, title, fields[name].choices, self.values.get(name, "")) for name, title in told.items()]

    @property
    def is_filtered(self) -> bool:
        return any(self.values.get(name) for name in ("q", "state", "workspace", "backend", "by", "db", "age"))

    @property
    def depends_on_clock(self) -> bool:
        return bool(self.values.get("age"))

    def address(self, **changes: object) -> str:
        """What follows the question mark for these filters with some changed; a change also leads to the first page."""
        values = {name: value for name, value in self.values.items() if name not in ("before", "skip")} | changes
        query = QueryDict(mutable=True)
        for name, value in values.items():
            if value not in (None, "", [], ()):
                query.setlist(name, value if isinstance(value, list | tuple) else [str(value)])
        return query.urlencode()

    def toggled(self, kind: str) -> str:
        """The address with one kind of state more, or less."""
        chosen = list(self.values.get("state") or ())
        changed = [each for each in KINDS if (each in chosen) != (each == kind)]
        return self.address(state=changed)


def filters_of(query: QueryDict) -> Filters:
    query = query.copy()
    for name in query:
        query.setlist(name, [value.replace("\0", "") for value in query.getlist(name)])
    form = JobFilters(query)
    form.is_valid()
    values = {name: value for name, value in form.cleaned_data.items() if value not in (None, "", [])}
    return Filters(form, values, sorted(form.errors))
