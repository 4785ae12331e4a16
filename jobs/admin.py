"""Django's admin for looking at everything and asking for a few things.

Nothing here writes a status: columns are read-only, rows are neither added nor deleted, and a change is an action that
calls the same verb as every other way in. Flags are added (never edited), because their rows are their own history.
"""

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from jobs.models import Flag, Heartbeat, Job, JobOutput, JobRequest, StatusChange


class ReadOnly:
    """No row is added, edited or deleted."""

    def has_add_permission(self, request: HttpRequest, obj=None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj=None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj=None) -> bool:
        return False


class StatusChanges(ReadOnly, admin.TabularInline):
    model = StatusChange
    fields = ("at", "from_code", "to_code", "message", "actor", "attempt")
    extra = 0


class Outputs(ReadOnly, admin.TabularInline):
    model = JobOutput
    fields = ("path", "level", "size", "row_count", "excluded", "message", "is_current")
    extra = 0


@admin.register(Job)
class JobAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("identifier", "status_code", "action", "workspace", "status_message", "created_at", "stopping")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "identifier",
                    "request",
                    "workspace",
                    "action",
                    "status_code",
                    "status_message",
                    "status_detail",
                    "attempt",
                )
            },
        ),
        ("Times (UTC)", {"fields": ("created_at", "started_at", "completed_at", "status_changed_at", "updated_at")}),
        ("What runs", {"fields": ("run_command", "image", "arguments", "code_repo_url", "code_commit", "requires_db")}),
        ("Inputs and outputs", {"fields": ("needs", "waits_for", "output_spec")}),
        (
            "How it ended",
            {"fields": ("outcome_code", "outcome_message", "outcome_detail", "exit_code", "out_of_memory", "image_id")},
        ),
        ("Stop", {"fields": ("stop_request", "stop_requested_by", "stop_requested_at", "stop_reason")}),
        ("For the job-server", {"fields": ("backend", "state", "metrics", "trace_context"), "classes": ("collapse",)}),
    )
    list_filter = ("state", "status_code", "requires_db", "backend", "workspace")
    search_fields = ("identifier", "action", "workspace", "request__identifier", "run_command")
    search_help_text = "part of a job's or request's identifier, an action, a workspace or a command"
    list_select_related = ("request",)
    date_hierarchy = "created_at"
    show_full_result_count = False
    inlines = (StatusChanges, Outputs)
    actions = ("cancel",)

    @admin.display(description="stop asked by")
    def stopping(self, job: Job) -> str:
        return job.stop_requested_by if job.is_active else ""

    @admin.action(description="Cancel selected jobs", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset) -> None:
        selected = queryset.count()
        asked = queryset.request_cancel(by=request.user.get_username(), reason="cancelled in the admin")
        if asked:
            self.message_user(request, f"{asked} job(s) will be cancelled by the runner.", messages.SUCCESS)
        others = selected - asked
        if others:
            self.message_user(request, f"{others} job(s) had already ended or been asked to stop.", messages.WARNING)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_job")


@admin.register(JobRequest)
class JobRequestAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("identifier", "workspace", "requested_actions", "created_by", "source", "created_at", "its_jobs")
    list_filter = ("source", "backend", "database_name", "workspace")
    search_fields = ("identifier", "workspace", "repo_url", "commit", "created_by")
    date_hierarchy = "created_at"
    show_full_result_count = False

    @admin.display(description="jobs")
    def its_jobs(self, job_request: JobRequest) -> str:
        url = reverse("admin:jobs_job_changelist")
        return format_html('<a href="{}?request__id__exact={}">jobs</a>', url, job_request.pk)


@admin.register(JobOutput)
class JobOutputAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("path", "job", "level", "size", "row_count", "excluded", "is_current")
    list_filter = ("level", "excluded", "is_current", "rule")
    search_fields = ("path", "job__identifier", "job__action", "job__workspace", "content_hash")
    list_select_related = ("job",)
    show_full_result_count = False


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("at", "job", "from_code", "to_code", "message", "actor", "attempt")
    list_filter = ("to_code", "actor")
    search_fields = ("job__identifier", "job__action", "job__workspace", "message")
    list_select_related = ("job",)
    show_full_result_count = False


class FlagForm(forms.ModelForm):
    """On or off by choice: whoever types "off" means off, and any text would be on."""

    value = forms.ChoiceField(
        choices=[("on", "on"), ("", "off")], required=False, widget=forms.RadioSelect, initial="on"
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
class FlagAdmin(admin.ModelAdmin):
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
        obj.set_by = request.user.get_username()
        super().save_model(request, obj, form, change)


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("name", "at", "detail")


# Operators keep several backends open at once: each page says which one it is.
admin.site.site_header = admin.site.site_title = f"Job runner · {settings.BACKEND}"
admin.site.index_title = "Jobs, requests, outputs and flags"
