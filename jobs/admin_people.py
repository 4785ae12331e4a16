"""The admin's tables of what people did and hold: the audit, tokens, saved views, counts of failed log-ins."""

from datetime import datetime

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from jobs.admin_lists import AnyNumber, LargeTable, ReadOnly, any_of
from jobs.admin_questions import LIFT, REVOKE
from jobs.admin_reasons import AsksWhy
from jobs.models import ApiToken, AuditEntry, LogInCount, SavedView
from jobs.people import user_admin
from jobs.people.lock_out import waits_until


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, LargeTable):
    list_display = ("at", "actor", "verb", "object_kind", "object_id", "before", "after", "reason", "via", "address")
    search_help_text = "the whole name of a person, of what they did, or the identifier of what it was done to"

    def find(self, word: str) -> QuerySet:
        kinds = [{"object_kind": kind, "object_id": word} for kind in AuditEntry.KINDS]
        return any_of(AuditEntry, {"actor": word}, {"verb": word}, *kinds)


@admin.register(ApiToken)
class ApiTokenAdmin(AsksWhy, ReadOnly, admin.ModelAdmin):
    list_display = ("name", "user", "beginning", "may_change", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__username", "beginning")
    fields = list_display
    actions = ("revoke",)

    def get_changelist(self, request: HttpRequest, **kwargs) -> type[AnyNumber]:
        return AnyNumber

    @admin.action(description="Revoke selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet):
        return self.ask_why(request, queryset, REVOKE)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_apitoken")


@admin.register(SavedView)
class SavedViewAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("name", "owner", "slug", "query", "created_at")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")


@admin.register(LogInCount)
class LogInCountAdmin(AsksWhy, ReadOnly, admin.ModelAdmin):
    """An empty address stands for the name anywhere, an empty name for the address whatever the name."""

    list_display = ("who", "where", "failures", "waits", "last_at", "succeeded_at")
    search_fields = ("name", "address")
    actions = ("lift",)

    @admin.display(description="name", ordering="name")
    def who(self, count: LogInCount) -> str:
        return count.name or "any name"

    @admin.display(description="from", ordering="address")
    def where(self, count: LogInCount) -> str:
        return count.address or "anywhere"

    @admin.display(description="has to wait until")
    def waits(self, count: LogInCount) -> datetime | None:
        return waits_until(count)

    @admin.action(description="Lift selected lock-outs", permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet):
        return self.ask_why(request, queryset, LIFT)

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("auth.change_user")


# Registers its tables by being imported.
__all__ = ["user_admin"]
