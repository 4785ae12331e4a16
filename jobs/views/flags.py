"""Switching a flag (paused, database maintenance, reboot): first what it would change, then why, then it is done."""

from datetime import UTC, datetime

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from jobs import asking
from jobs.models import Flag
from jobs.people.access import allowed, who
from jobs.reasons import LONGEST_REASON, NoReason
from jobs.system.effects import effects

MOST_HISTORY = 20
_INPUT_FORMAT = "%Y-%m-%dT%H:%M"
# Flag -> what the button says that switches it on, and off; what it is for.
WORDS = {
    Flag.Name.PAUSED: ("Pause", "Resume", "no new job starts; what runs goes on."),
    Flag.Name.DB_MAINTENANCE: (
        "Begin database maintenance", "End database maintenance",
        "no database job starts; those that run are stopped and run again later.",
    ),
    Flag.Name.REBOOT: (
        "Prepare for a reboot", "The reboot is done",
        "no new job starts; those that run are stopped and run again later. The System page says when it is safe.",
    ),
}  # fmt: skip


class SwitchForm(forms.Form):
    """`turn` is on or off; `seen` is the row that counted when the form was shown, empty for none."""

    turn = forms.ChoiceField(choices=[("on", "on"), ("off", "off")], widget=forms.HiddenInput)
    seen = forms.CharField(required=False, max_length=20, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=LONGEST_REASON, error_messages={"required": "Say why."},
        widget=forms.Textarea(attrs={"rows": 2, "class": "form-control", "autofocus": True}),
    )  # fmt: skip
    until = forms.DateTimeField(
        required=False, input_formats=[_INPUT_FORMAT, f"{_INPUT_FORMAT}:%S"],
        error_messages={"invalid": "Give a day and a time (UTC)."},
        widget=forms.DateTimeInput(format=_INPUT_FORMAT, attrs={"type": "datetime-local", "class": "form-control"}),
    )  # fmt: skip

    due = forms.DateTimeField(
        required=False, input_formats=[_INPUT_FORMAT, f"{_INPUT_FORMAT}:%S"],
        error_messages={"invalid": "Give a day and a time (UTC)."},
        widget=forms.DateTimeInput(format=_INPUT_FORMAT, attrs={"type": "datetime-local", "class": "form-control"}),
    )  # fmt: skip

    def __init__(self, *arguments, name: str, current: Flag | None, **named):
        super().__init__(*arguments, **named)
        self._current = current
        if name != Flag.Name.REBOOT:
            del self.fields["due"]

    def clean_until(self) -> datetime | None:
        return _ahead(self.cleaned_data["until"])

    def clean_due(self) -> datetime | None:
        return _ahead(self.cleaned_data["due"])

    def clean(self) -> dict:
        said = super().clean()
        due, until = said.get("due"), said.get("until")
        if due and until and until <= due:
            self.add_error("until", "This has to come after the reboot.")
        return said

    def clean_seen(self) -> str:
        """Somebody else may have switched it since the form was shown: whoever sends it has to see that first."""
        if self.cleaned_data["seen"] != row_of(self._current):
            current = self._current
            state = f"{current.value or 'off'} by {current.set_by}: {current.reason}" if current else "no longer set"
            raise forms.ValidationError(f"It has been switched meanwhile ({state}). Look again, then send it again.")
        return self.cleaned_data["seen"]


def _ahead(time: datetime | None) -> datetime | None:
    if time is not None and time.astimezone(UTC) <= timezone.now():
        raise forms.ValidationError("This time is over already; times are UTC.")
    return time


def row_of(flag: Flag | None) -> str:
    return str(flag.pk) if flag else ""


@allowed("jobs.add_flag")
@require_http_methods(["GET", "HEAD", "POST"])
def switch_flag(request: HttpRequest, name: str) -> HttpResponse:
    if name not in Flag.Name:
        raise Http404
    current = Flag.objects.current().get(name)
    form = SwitchForm(request.POST or None, name=name, current=current)
    if request.method == "POST" and form.is_valid():
        return _switched(request, name, form.cleaned_data)
    turns_on = _turns_on(request, current)
    kept = {name: request.GET.get(name, "")[:LONGEST_REASON] for name in ("reason", "until", "due")}
    initial = {"turn": "on" if turns_on else "off", "seen": row_of(current)} | kept
    fresh = SwitchForm(initial=initial, name=name, current=current)
    context = _context(name, current, turns_on) | {"form": form if form.is_bound else fresh, "seen": row_of(current)}
    return render(request, "system/flag.html", context, status=400 if form.is_bound else 200)


def _turns_on(request: HttpRequest, current: Flag | None) -> bool:
    """As asked, else the other way than it is."""
    turn = request.POST.get("turn") or request.GET.get("turn")
    return turn == "on" if turn in ("on", "off") else not (current and current.value)


def _switched(request: HttpRequest, name: str, said: dict) -> HttpResponse:
    turns_on = said["turn"] == "on"
    try:
        until, due = (said.get(word) if turns_on else None for word in ("until", "due"))
        value = "on" if turns_on else ""
        asking.switch(name, value, who(request), said["reason"], until, due=due, seen=said["seen"])
    except (NoReason, asking.Overtaken) as error:
        messages.error(request, str(error))
        return redirect("switch-flag", name)
    messages.success(request, f"Done: {WORDS[name][0 if turns_on else 1]}.")
    return redirect("system")


def _context(name: str, current: Flag | None, turns_on: bool) -> dict:
    on, off, meaning = WORDS[name]
    return {
        "title": on if turns_on else off,
        "section": "system",
        "name": name,
        "meaning": meaning,
        "current": current if current and current.value else None,
        "turn": "on" if turns_on else "off",
        "effects": effects(name, turns_on),
        "history": Flag.objects.filter(name=name).order_by("-pk")[:MOST_HISTORY],
    }
