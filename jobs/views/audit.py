"""Who did what, the newest first; as a page, and as a file for whoever has to look into it elsewhere."""

import csv
import json
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from jobs.log import escape
from jobs.models import AuditEntry
from jobs.people.access import allowed, who

PAGE_SIZE = 100
_CHUNK = 1000
COLUMNS = (
    *("at", "actor", "address", "via", "verb", "object_kind", "object_id", "label", "before", "after", "reason"),
)
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_PAGES = {"job": "job", "request": "request"}


class AuditFilter(forms.Form):
    """What stands in the address. A field that makes no sense is shown as such and narrows nothing."""

    actor = forms.CharField(label="Who", required=False, max_length=255, strip=True)
    verb = forms.CharField(label="Did", required=False, max_length=32)
    kind = forms.CharField(label="To what kind", required=False, max_length=32)
    object = forms.CharField(label="To which", required=False, max_length=255)
    since = forms.DateField(label="From (UTC)", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To (UTC)", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, label_suffix="", **named)
        for field in self.fields.values():
            field.widget.attrs["class"] = "form-control form-control-sm"
        for name in ("verb", "kind"):
            self.fields[name].widget.attrs["list"] = f"{name}s"

    def entries(self):
        self.is_valid()
        return AuditEntry.objects.narrowed(**{name: value for name, value in self.cleaned_data.items() if value})

    def address(self) -> str:
        """The filter as it stands in an address."""
        wanted = {name: self.data.get(name, "") for name in self.fields}
        return urlencode({name: value for name, value in wanted.items() if value})


@allowed("jobs.view_auditentry")
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    form = AuditFilter(request.GET)
    before = request.GET.get("before", "")
    found = form.entries().older_than(int(before) if before.isdecimal() and len(before) < 19 else None)
    entries = list(found[: PAGE_SIZE + 1])
    for entry in entries:
        entry.url = _object_url(entry)
    context = {
        "title": "Audit", "section": "audit", "form": form, "entries": entries[:PAGE_SIZE], "filter": form.address(),
        "older": entries[PAGE_SIZE - 1].pk if len(entries) > PAGE_SIZE else None, "is_older": bool(before),
        "verbs": AuditEntry.VERBS, "kinds": AuditEntry.KINDS,
    }  # fmt: skip
    return render(request, "audit/audit.html", context)


@allowed("jobs.view_auditentry")
@require_safe
def export(request: HttpRequest, form: str) -> StreamingHttpResponse:
    """Everything that the filter finds, in pieces, so that no export holds the database or the memory."""
    wanted = AuditFilter(request.GET)
    lines = {"csv": _csv_lines, "json": _json_lines}.get(form)
    if lines is None:
        raise Http404
    entries = wanted.entries()
    address = wanted.address()
    AuditEntry.note(
        who(request), "export", object_kind="audit", object_id=form, label=f"audit as {form}", after=address or "all"
    )
    content_type = {"csv": "text/csv; charset=utf-8", "json": "application/json"}[form]
    answer = StreamingHttpResponse(lines(_in_chunks(entries)), content_type=content_type)
    name = f"audit-{settings.BACKEND}-{timezone.now():%Y-%m-%d}.{form}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _object_url(entry: AuditEntry) -> str:
    if entry.object_kind == "flag":
        return reverse("system")
    page = _PAGES.get(entry.object_kind)
    try:
        return reverse(page, args=[entry.object_id]) if page and entry.object_id else ""
    except NoReverseMatch:
        return ""


def _in_chunks(entries) -> Iterator[list[list[str]]]:
    last = None
    while chunk := list(entries.older_than(last).values_list("pk", *COLUMNS)[:_CHUNK]):
        yield [[each.isoformat() if isinstance(each, datetime) else str(each) for each in row] for _, *row in chunk]
        last = chunk[-1][0]


class _Line:
    """What csv.writer takes for a file: hands each line back."""

    def write(self, text: str) -> str:
        return text


def _csv_lines(chunks: Iterator[list[list[str]]]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for chunk in chunks:
        yield "".join(writer.writerow([as_cell(text) for text in row]) for row in chunk)


def as_cell(text: str) -> str:
    """For a spreadsheet: never a formula, whatever somebody wrote for a reason."""
    text = escape(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else text


def _json_lines(chunks: Iterator[list[list[str]]]) -> Iterator[str]:
    yield "["
    separator = "\n"
    for chunk in chunks:
        yield separator + ",\n".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in chunk)
        separator = ",\n"
    yield "\n]\n"
