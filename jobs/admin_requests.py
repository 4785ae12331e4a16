"""The admin's tables of what was asked for: requests, and what a polled job-server has been told of each."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from jobs.admin_lists import AuditedHistory, LargeTable, OnDashboard, ReadOnly, any_of, link_to
from jobs.admin_questions import REFUSE, TELL_AGAIN
from jobs.admin_reasons import AsksWhy
from jobs.models import Delivery, Job, JobRequest
from jobs.models.beginnings import beginning_with


@admin.register(JobRequest)
class JobRequestAdmin(OnDashboard, AuditedHistory, AsksWhy, ReadOnly, LargeTable):
    list_display = (
        *("identifier", "outcome", "workspace", "requested_actions", "outcome_message"),
        *("created_by", "source", "created_at", "its_jobs"),
    )
    list_filter = ("source",)
    readonly_fields = ("repository", "its_jobs")
    # An address may hold a password; what came in is on the request's page, without such.
    exclude = ("repo_url", "original", "graph")
    search_help_text = (
        "the beginning of an identifier or commit, or the whole name of a workspace, repository or person"
    )

    actions = ("refuse",)
    object_kind, object_column = "request", "identifier"

    def find(self, word: str) -> QuerySet:
        beginnings = [beginning_with(column, word) for column in ("identifier", "commit")]
        return any_of(JobRequest, *beginnings, *({column: word} for column in ("workspace", "repo_url", "created_by")))

    @admin.display(description="jobs")
    def its_jobs(self, job_request: JobRequest) -> str:
        return link_to(Job, f"request__id__exact={job_request.pk}", "jobs")

    @admin.action(description="Refuse selected requests that wait to be planned", permissions=["refuse"])
    def refuse(self, request: HttpRequest, queryset: QuerySet):
        """For one whose git host will never answer: whoever asked is told, and it is not tried again."""
        return self.ask_why(request, queryset, REFUSE)

    def has_refuse_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_jobrequest")


@admin.register(Delivery)
class DeliveryAdmin(AsksWhy, ReadOnly, LargeTable):
    """What a polled job-server has been told; what it has not acknowledged is told again and again by itself."""

    list_display = ("request", "settled", "is_listed", "failures", "failure", "failing_since", "acknowledged_at")
    list_select_related = ("request",)
    search_help_text = "the beginning of a request's identifier, or the whole name of a workspace"
    actions = ("tell_again",)

    def find(self, word: str) -> QuerySet:
        found = any_of(JobRequest, beginning_with("identifier", word), {"workspace": word})
        return any_of(Delivery, {"request__in": found})

    @admin.action(description="Tell the job-server again now", permissions=["tell"])
    def tell_again(self, request: HttpRequest, queryset: QuerySet):
        return self.ask_why(request, queryset, TELL_AGAIN)

    def has_tell_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_delivery")
