"""Lists and searches of the admin that cost as much with a million rows as with a hundred.

No page may scan a large table: what could be counted, sorted or compared is counted only so far, is always the newest
first, and is found by the beginning of a column that has an index. Knows nothing of what the rows mean.
"""

from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

MOST_COUNTED = 10_000
MOST_IN_PAGE = 50


def any_of(model: type[Model], *choices: dict[str, object]) -> QuerySet:
    """The primary keys of the rows that fit one of the choices, each looked for by the index of its own."""
    first, *others = (model.objects.filter(**choice).order_by().values("pk") for choice in choices)
    return first.union(*others, all=True) if others else first


class BoundedPaginator(Paginator):
    """Counts to MOST_COUNTED and no further; what is older is found by searching."""

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[:MOST_COUNTED].count()


class AnyNumber(ChangeList):
    """A number or a year in the address that no column can hold is a wrong address, and no fault of ours."""

    def __init__(self, *arguments, **named):
        try:
            super().__init__(*arguments, **named)
        except (OverflowError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error


class NewestFirst(AnyNumber):
    """Other orders would sort the whole table for one page."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        if self.result_count == MOST_COUNTED:
            self.title = f"The newest {MOST_COUNTED:,} {self.opts.verbose_name_plural}; search for older ones"

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[str]:
        return ["-pk"]


class LargeTable(admin.ModelAdmin):
    """A list of a table that grows for ever. `find` says what a word of a search means."""

    paginator = BoundedPaginator
    show_full_result_count = False
    sortable_by = ()
    # Shows the search box; the search itself is `find`.
    search_fields = ("pk",)

    def find(self, word: str) -> QuerySet:
        """The primary keys of the rows that the word finds, as a queryset of one value a row."""
        raise NotImplementedError

    def get_changelist(self, request: HttpRequest, **kwargs) -> type[ChangeList]:
        return NewestFirst

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """The rows that each of the words finds."""
        for word in search_term.replace("\0", "").split():
            queryset = queryset.filter(pk__in=self.find(word))
        return queryset, False


class FewRows(admin.TabularInline):
    """At most MOST_IN_PAGE rows of a page's object, the newest ones; its page links to the list of all."""

    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        whose = {f"{self.fk_name}_id": unquote(request.resolver_match.kwargs["object_id"])}
        newest = self.model.objects.filter(**whose).order_by("-pk").values_list("pk", flat=True)[:MOST_IN_PAGE]
        return super().get_queryset(request).filter(pk__in=list(newest))


class FoundByKey:
    """Django asks for a field without a name when an address names an empty one, and answers 500."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Model | None:
        return super().get_object(request, object_id, from_field or None)


class ReadOnly(FoundByKey):
    """No row is added, edited or deleted."""

    def has_add_permission(self, request: HttpRequest, obj=None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj=None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj=None) -> bool:
        return False


def link_to(model: type[Model], choice: str, text: str) -> str:
    return format_html(
        '<a href="{}?{}">{}</a>', reverse(f"admin:jobs_{model._meta.model_name}_changelist"), choice, text
    )


class OnDashboard:
    """Links a row's page to what people see of it on the dashboard."""

    def get_view_on_site_url(self, obj: Model | None = None) -> str | None:
        return obj.get_absolute_url() if obj is not None else None


class AuditedHistory(FoundByKey):
    """The history of a row is the audit's: every change is there, also those that came another way than the admin."""

    object_kind, object_column = "", "pk"

    def history_view(self, request: HttpRequest, object_id: str, extra_context=None) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        query = urlencode({"kind": self.object_kind, "object": getattr(row, self.object_column)})
        return redirect(f"{reverse('audit')}?{query}")
