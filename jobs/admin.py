"""Django's admin for looking at everything and asking for a few things.

Nothing here writes a status: columns are read-only, rows are neither added nor deleted, and a change is an action that
calls the same verb as every other way in, after a page that asks why.
"""

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from jobs import admin_chores, admin_people, admin_requests, admin_system, logs, storage
from jobs import admin_questions as questions
from jobs.admin_filters import StateFilter, StatusFilter
from jobs.admin_lists import (
    MOST_IN_PAGE,
    AuditedHistory,
    FewRows,
    LargeTable,
    OnDashboard,
    ReadOnly,
    any_of,
    link_to,
)
from jobs.admin_reasons import AsksWhy
from jobs.models import Job, JobOutput, JobRequest, StatusChange
from jobs.models.beginnings import beginning_with


@admin.display(description="at")
def moment(change: StatusChange) -> str:
    """Several changes of a job happen within one second."""
    return f"{change.at:%Y-%m-%d %H:%M:%S}.{change.at.microsecond // 1000:03d}"


class StatusChanges(ReadOnly, FewRows):
    model = StatusChange
    fk_name = "job"
    fields = readonly_fields = (moment, "from_code", "to_code", "message", "actor", "attempt")
    verbose_name_plural = f"status changes (the last {MOST_IN_PAGE})"


class Outputs(ReadOnly, FewRows):
    model = JobOutput
    fk_name = "job"
    fields = ("path", "level", "size", "row_count", "excluded", "message", "is_current")
    verbose_name_plural = f"outputs (the last {MOST_IN_PAGE})"


def _choices_of_jobs(word: str) -> list[dict[str, object]]:
    beginning = beginning_with("identifier", word)
    return [beginning, {"request__in": any_of(JobRequest, beginning)}, {"workspace": word}]


def jobs_of(word: str) -> QuerySet:
    """The jobs of an identifier, or of a request's, of which the word is the beginning, or of a workspace."""
    return any_of(Job, *_choices_of_jobs(word))


@admin.register(Job)
class JobAdmin(OnDashboard, AuditedHistory, AsksWhy, ReadOnly, LargeTable):
    list_display = ("identifier", "code", "action", "stopping", "workspace", "status_message", "created_at")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "identifier",
                    "request",
                    "workspace",
                    "action",
                    "code",
                    "status_message",
                    "status_detail",
                    "attempt",
                    "log",
                    "stored_in",
                )
            },
        ),
        ("Times (UTC)", {"fields": ("created_at", "started_at", "completed_at", "status_changed_at", "updated_at")}),
        ("What runs", {"fields": ("run_command", "image", "arguments", "code_commit", "requires_db")}),
        ("Inputs and outputs", {"fields": ("needs", "waits_for", "output_spec", "all_outputs", "all_changes")}),
        (
            "How it ended",
            {"fields": ("outcome_code", "outcome_message", "outcome_detail", "exit_code", "out_of_memory", "image_id")},
        ),
        ("Stop", {"fields": ("stop_request", "stop_requested_by", "stop_requested_at", "stop_reason")}),
        ("For the job-server", {"fields": ("backend", "state", "metrics", "trace_context"), "classes": ("collapse",)}),
    )
    readonly_fields = ("code", "log", "stored_in", "all_outputs", "all_changes")
    list_filter = (StateFilter, StatusFilter)
    search_help_text = "the beginning of a job's or request's identifier, or the whole name of an action or workspace"
    inlines = (StatusChanges, Outputs)
    actions = ("cancel", "kill", "finalise_again", "run_again")
    frozen_by = object_column = "identifier"
    object_kind = "job"

    def find(self, word: str) -> QuerySet:
        return any_of(Job, *_choices_of_jobs(word), {"action": word})

    @admin.display(description="all outputs")
    def all_outputs(self, job: Job) -> str:
        return link_to(JobOutput, f"job__id__exact={job.pk}", "all outputs")

    @admin.display(description="all status changes")
    def all_changes(self, job: Job) -> str:
        return link_to(StatusChange, f"job__id__exact={job.pk}", "all status changes")

    @admin.display(description="status code")
    def code(self, job: Job) -> str:
        return job.status_code  # as the documents, the logs and the job-server spell it

    @admin.display(description="log")
    def log(self, job: Job) -> str:
        return str(logs.place_of(job))

    @admin.display(description="outputs stored in")
    def stored_in(self, job: Job) -> str:
        return str(storage.high_privacy_workspace(job.workspace))

    @admin.display(description="stop requested by")
    def stopping(self, job: Job) -> str:
        return job.stop_requested_by if job.is_active else ""

    @admin.action(description="Cancel selected jobs", permissions=["stop"])
    def cancel(self, request: HttpRequest, queryset: QuerySet):
        return self.ask_why(request, queryset, questions.CANCEL)

    @admin.action(description="Kill selected jobs now", permissions=["stop"])
    def kill(self, request: HttpRequest, queryset: QuerySet):
        return self.ask_why(request, queryset, questions.KILL)

    @admin.action(description="Finalise selected jobs again", permissions=["retry"])
    def finalise_again(self, request: HttpRequest, queryset: QuerySet):
        return self.ask_why(request, queryset, questions.FINALISE_AGAIN)

    @admin.action(description="Run selected jobs again", permissions=["retry"])
    def run_again(self, request: HttpRequest, queryset: QuerySet):
        return self.ask_why(request, queryset, questions.RUN_AGAIN)

    def has_stop_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.cancel_job")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.retry_job")


class OfAJob(ReadOnly):
    """Columns that tell whose a row is, short enough for a list."""

    @admin.display(description="action")
    def action(self, row: JobOutput | StatusChange) -> str:
        return f"{row.job.workspace}: {row.job.action}"

    @admin.display(description="job")
    def job_link(self, row: JobOutput | StatusChange) -> str:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:jobs_job_change", args=[row.job_id]), row.job.identifier
        )


@admin.register(JobOutput)
class JobOutputAdmin(OfAJob, LargeTable):
    list_display = ("path", "excluded", "level", "size", "row_count", "is_current", "action", "job_link")
    list_filter = ("level",)
    search_help_text = "the beginning of a path, of a job's or request's identifier, or the whole name of a workspace"
    list_select_related = ("job",)

    def find(self, word: str) -> QuerySet:
        return any_of(JobOutput, beginning_with("path", word), {"job__in": jobs_of(word)})


@admin.register(StatusChange)
class StatusChangeAdmin(OfAJob, LargeTable):
    list_display = (moment, "to_code", "message", "actor", "action", "job_link", "from_code", "attempt")
    search_help_text = "the beginning of a job's or request's identifier, or the whole name of a workspace"
    list_select_related = ("job",)

    def find(self, word: str) -> QuerySet:
        return any_of(StatusChange, {"job__in": jobs_of(word)})


# Register their tables by being imported.
__all__ = ["admin_chores", "admin_people", "admin_requests", "admin_system"]
# Operators keep several backends open at once: each page says which one it is.
admin.site.site_header = admin.site.site_title = f"Job runner · {settings.BACKEND}"
# The lists need the width, and every page's path leads back to the index.
admin.site.enable_nav_sidebar = False
admin.site.index_title = "Jobs, requests, outputs and flags"
