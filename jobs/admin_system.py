"""The admin's tables of the system: flags, which are added and never edited, and what the processes say of themselves.

A flag's rows are its history.
"""

from django import forms
from django.contrib import admin
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince

from jobs import asking
from jobs.admin_lists import AuditedHistory, ReadOnly
from jobs.log import escape
from jobs.models import AuditEntry, Flag, Heartbeat
from jobs.models.flag import FRESH
from jobs.people.access import who
from jobs.text import listed

_MOST_SAID = 300


class FlagForm(forms.ModelForm):
    """On or off by choice: whoever types "off" means off, and any text would be on."""

    value = forms.ChoiceField(
        label="Switch", choices=[("on", "on"), ("", "off")], required=False, widget=forms.RadioSelect, initial="on"
    )

    class Meta:
        help_texts = {
            "name": "paused: no new job starts. db-maintenance: no new database job starts. "
            "reboot: no new job starts, and waiting ones say that the host is being rebooted.",
            "reason": "why, for everybody whose job waits",
            "expires_at": "UTC; empty: until somebody adds the flag again, switched off",
        }

    def clean_expires_at(self):
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError("This moment has passed: the flag would never count.")
        return expires_at


@admin.register(Flag)
class FlagAdmin(AuditedHistory, admin.ModelAdmin):
    object_kind, object_column = "flag", "name"
    form = FlagForm
    list_display = ("name", "switched", "counts_now", "reason", "set_by", "set_at", "expires_at")
    list_filter = ("name",)
    search_fields = ("name", "reason", "set_by")
    fields = ("name", "value", "reason", "expires_at")

    def has_change_permission(self, request: HttpRequest, obj=None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj=None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest):
        counting = Flag.objects.counting().filter(pk=OuterRef("pk"))
        return super().get_queryset(request).annotate(counts=Exists(counting))

    def get_fields(self, request: HttpRequest, obj: Flag | None = None):
        return self.fields if obj is None else (*self.fields, "set_by", "set_at")

    @admin.display(description="switched", ordering="value")
    def switched(self, flag: Flag) -> str:
        return flag.value or "off"

    @admin.display(description="counts now", boolean=True)
    def counts_now(self, flag: Flag) -> bool:
        return flag.counts

    def save_model(self, request: HttpRequest, obj: Flag, form, change: bool) -> None:
        by = who(request, AuditEntry.Via.ADMIN)
        obj.pk = asking.switch(obj.name, obj.value, by, obj.reason, obj.expires_at).pk
        obj.refresh_from_db()


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("name", "at", "age", "said")
    fields = ("name", "at", "age", "said")

    @admin.display(description="last heard")
    def age(self, beat: Heartbeat) -> str:
        age = timezone.now() - beat.at
        return f"{timesince(beat.at)} ago" if age > FRESH else "a moment ago"

    @admin.display(description="what it says of itself")
    def said(self, beat: Heartbeat) -> str:
        lines = beat.detail.items() if isinstance(beat.detail, dict) else ()
        items = format_html_join(
            "", "<li>{}: {}</li>", ((key.replace("_", " "), _in_words(said)) for key, said in lines)
        )
        return format_html('<ul class="said">{}</ul>', items)


def _in_words(said: object) -> str:
    """One line of what a process wrote as JSON."""
    if said is None or said == "":
        return "none"
    if isinstance(said, bool):
        return "yes" if said else "no"
    if isinstance(said, list):
        return f"{len(said)}: {listed([str(each) for each in said])}"[:_MOST_SAID] if said else "none"
    if isinstance(said, dict):
        return ", ".join(f"{key} {_in_words(value)}" for key, value in said.items())[:_MOST_SAID] or "none"
    return escape(str(said))[:_MOST_SAID]
