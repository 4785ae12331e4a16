"""What the admin's list of jobs can be narrowed to: fixed choices, each served by an index."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from jobs.models.by_state import ENDED, MOST_ENDED, with_code, with_state
from jobs.states import State, StatusCode


class StateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin) -> list[tuple[str, str]]:
        return [(state, f"{state} (newest {MOST_ENDED:,})" if state in ENDED else state) for state in State.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return with_state(queryset, State(self.value())) if self.value() in State.values else queryset


class StatusFilter(admin.SimpleListFilter):
    title = "status code"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin) -> list[tuple[str, str]]:
        return [(code, code) for code in StatusCode.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return with_code(queryset, StatusCode(self.value())) if self.value() in StatusCode.values else queryset
