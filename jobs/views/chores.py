"""A chore's page: what it is, when it is done, what came of it; and asking for it, with a reason.

Reads rows only: a worker beside the runner does what is asked for.
"""

from dataclasses import dataclass
from datetime import datetime

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from jobs import chores
from jobs.chores import Chore
from jobs.chores.asking import CannotAsk, ask_for_chore
from jobs.chores.queueing import next_runs
from jobs.models import ChoreRun
from jobs.people.access import allowed, who
from jobs.reasons import LONGEST_REASON, NoReason
from jobs.views.live import live_page
from jobs.views.named import no_such

MOST_RUNS = 20
SECONDS = 3


@dataclass(frozen=True)
class Row:
    """One line of the System page. `why_off`: why the schedule does not do it, or empty."""

    chore: Chore
    every: str
    last: ChoreRun | None
    next_at: datetime | None
    why_off: str


def rows() -> list[Row]:
    """Three queries, however often each was done."""
    last, soon = ChoreRun.objects.last_of_each(), next_runs()
    waiting = {run.chore: run for run in ChoreRun.objects.open()}
    return [
        _row(each, waiting.get(each.name) or last.get(each.name), soon.get(each.name)) for each in chores.chores()
    ]  # fmt: skip


def _row(chore: Chore, last: ChoreRun | None, next_at: datetime | None) -> Row:
    why_off = chore.off()
    return Row(chore, chore.rhythm, last, next_at if chore.is_scheduled else None, why_off)


def changed() -> tuple:
    """For the tags of live pages: changes with each beginning and end. One query."""
    newest = ChoreRun.objects.order_by("-pk").values_list("pk", "queued_at", "started_at", "ended_at")
    return tuple(newest[:MOST_RUNS])


def _parts(request: HttpRequest, name: str) -> tuple:
    of_this = ChoreRun.objects.filter(chore=name).order_by("-pk")
    return tuple(of_this.values_list("pk", "started_at", "ended_at")[:MOST_RUNS])


@allowed("jobs.view_chorerun")
@live_page("system/chore.html", "system/_chore.html", _parts)
def chore(request: HttpRequest, name: str) -> dict:
    found = _chore(name)
    return {
        "title": found.title,
        "section": "system",
        "row": _row(found, None, next_runs().get(name)),
        "runs": ChoreRun.objects.filter(chore=name).order_by("-pk")[:MOST_RUNS],
        "may_ask": request.user.has_perm(found.permission),
        "live_seconds": SECONDS,
    }


class AskForm(forms.Form):
    argument = forms.CharField(
        required=False, max_length=255, widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off"})
    )
    reason = forms.CharField(
        max_length=LONGEST_REASON, error_messages={"required": "Say why."},
        widget=forms.Textarea(attrs={"rows": 2, "class": "form-control", "autofocus": True}),
    )  # fmt: skip

    def __init__(self, *arguments, chore: Chore, **named):
        super().__init__(*arguments, **named)
        if not chore.takes:
            del self.fields["argument"]


@allowed("jobs.add_chorerun")
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest, name: str) -> HttpResponse:
    found = _chore(name)
    if not request.user.has_perm(found.permission):
        raise PermissionDenied
    named = request.GET.get("argument", "")[:255]
    initial = {"argument": named if named.isprintable() else "", "reason": request.GET.get("reason", "")}
    form = AskForm(request.POST or None, initial=initial, chore=found)
    if request.method == "POST" and form.is_valid() and _asked(request, found, form):
        return redirect("chore", name)
    context = {"title": found.title, "section": "system", "chore": found, "form": form}
    return render(request, "system/ask_chore.html", context, status=400 if form.is_bound else 200)


def _asked(request: HttpRequest, chore: Chore, form: AskForm) -> bool:
    said = form.cleaned_data
    argument = said.get("argument", "").strip()
    try:
        _, is_new = ask_for_chore(chore.name, argument, who(request), said["reason"])
    except CannotAsk as error:
        form.add_error("argument" if "argument" in form.fields else None, str(error))
        return False
    except NoReason as error:
        messages.error(request, str(error))
        return False
    what = f"{chore.title}: {argument}" if argument else chore.title
    messages.success(request, f"{what}: asked for." if is_new else f"{what}: it is under way already.")
    return True


def _chore(name: str) -> Chore:
    found = chores.chore(name)
    if found is None:
        raise no_such("chore", name)
    return found
