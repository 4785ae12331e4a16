"""The page between an action of the admin and what it does: what will happen to which rows, and why is it wanted?

What was selected is frozen when the page is made, so that confirming does what was shown, whatever the list says now.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from jobs.asking import MOST_AT_ONCE
from jobs.models import AuditEntry, Who
from jobs.people.access import who
from jobs.reasons import NoReason

MOST_SHOWN = 20


@dataclass(frozen=True)
class Question:
    """`do` gets what was frozen, who asks and why, and returns pairs of a level of `messages` and a sentence."""

    title: str
    button: str
    consequences: Callable[[QuerySet], Iterable[str]]
    do: Callable[[list[str], Who, str], Iterable[tuple[int, str]]]


class AsksWhy:
    """For a ModelAdmin whose actions call `ask_why`. `frozen_by` is the column that names a row, without blanks."""

    frozen_by = "pk"

    def ask_why(self, request: HttpRequest, queryset: QuerySet, question: Question) -> HttpResponse | None:
        if "frozen" not in request.POST:
            return self._page(request, queryset, question)
        frozen = request.POST["frozen"].split()[:MOST_AT_ONCE]
        try:
            for level, sentence in question.do(frozen, who(request, AuditEntry.Via.ADMIN), request.POST.get("why", "")):
                self.message_user(request, sentence, level)
        except NoReason as error:
            rows = self.model.objects.filter(**{f"{self.frozen_by}__in": frozen[:500]})
            return self._page(request, rows, question, error=str(error), frozen=frozen)
        return None

    def _page(
        self, request: HttpRequest, queryset: QuerySet, question: Question, error: str = "", frozen: list | None = None
    ) -> HttpResponse | None:
        if frozen is None:
            frozen = list(queryset.order_by("pk").values_list(self.frozen_by, flat=True)[: MOST_AT_ONCE + 1])
        if len(frozen) > MOST_AT_ONCE:
            self.message_user(request, f"At most {MOST_AT_ONCE:,} at once: narrow the list first.", messages.ERROR)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": question.title.format(count=f"{len(frozen):,}"),
            "opts": self.opts,
            "error": error,
            "question": question,
            "consequences": list(question.consequences(queryset)),
            "rows": queryset.order_by("pk")[:MOST_SHOWN],
            "more": max(0, len(frozen) - MOST_SHOWN),
            "frozen": " ".join(str(each) for each in frozen),
            "action": request.POST["action"],
            # Django calls an action only when something is selected; what counts is `frozen`.
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/reason.html", context)
