"""From a few letters, or a pasted address, to the page that was meant.

Everything is found by its beginning, through an index; of each kind so many as fit a page.
"""

import re
from urllib.parse import unquote

from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from jobs.models import Job, JobRequest
from jobs.models.beginnings import beginning_with
from jobs.people.access import allowed

MOST_OF_A_KIND = 20
LONGEST_WORD = 1000
# What the addresses of a job, a request and a workspace have before the name.
_PLACES = ("j", "r", "w")


@require_safe
@allowed()
@require_safe
def search(request: HttpRequest) -> HttpResponse:
    given = request.GET.get("q", "")[:LONGEST_WORD].replace("\0", "").strip()
    word = _word_of(given)
    found = _found(word) if word else {}
    hits = [(kind, hit) for kind, those in found.items() for hit in those]
    if len(hits) == 1:
        return redirect(*_page_of(*hits[0]))
    exact = [(kind, hit) for kind, hit in hits if word in (getattr(hit, "identifier", ""), hit)]
    if len(exact) == 1 and exact[0][0] in ("jobs", "requests"):
        return redirect(*_page_of(*exact[0]))
    context = {"title": "Search", "given": given, "word": word, "found": found, "number": len(hits)}
    return render(request, "search.html", context | {"most": MOST_OF_A_KIND})


def _word_of(given: str) -> str:
    """What is looked for: of a pasted address the part that names something; otherwise the words without spaces."""
    if "/" in given:
        path = re.split(r"[?#]", re.sub(r"^\w+://[^/]*", "", given))[0]
        parts = [unquote(part) for part in path.split("/") if part]
        for place, letter in enumerate(parts[:-1]):
            if letter in _PLACES:
                return "/".join(parts[place + 1 :]) if letter == "r" else parts[place + 1]
        return parts[-1] if parts else ""
    return re.sub(r"\s+", "", given)


def _found(word: str) -> dict[str, list]:
    """Identifiers are lower case and names are as people wrote them, so both ways of writing are tried."""
    jobs, requests = Job.objects.select_related("request"), JobRequest.objects.all()
    words = list(dict.fromkeys((word, word.lower())))
    return {
        "jobs": _first(jobs, "identifier", words),
        "requests": _first(requests, "identifier", words),
        "workspaces": _names(JobRequest.objects.all(), "workspace", words),
        "actions": _newest_of_actions(words),
    }


def _first(rows: QuerySet, column: str, words: list[str]) -> list:
    found = {}
    for word in words:
        found |= {row.pk: row for row in rows.filter(**beginning_with(column, word)).order_by(column)[:MOST_OF_A_KIND]}
    return list(found.values())[:MOST_OF_A_KIND]


def _names(rows: QuerySet, column: str, words: list[str]) -> list[str]:
    """Each name once: from one to the next greater one, so that a thousand rows of a name are never read."""
    found: list[str] = []
    for word in words:
        last = ""
        while len(found) < MOST_OF_A_KIND:
            more = rows.filter(**beginning_with(column, word)).order_by(column)
            name = (more.filter(**{f"{column}__gt": last}) if last else more).values_list(column, flat=True).first()
            if name is None:
                break
            last = name
            if name not in found:
                found.append(name)
    return found


def _newest_of_actions(words: list[str]) -> list[Job]:
    """Of each workspace and action of that name the newest job, among those of late."""
    last = Job.objects.aggregate(last=Max("pk"))["last"] or 0
    pks: set[int] = set()
    for word in words:
        lately = Job.objects.filter(pk__gt=last - 20_000, **beginning_with("action", word)).order_by()
        newest = lately.values("workspace", "action").annotate(newest=Max("pk")).values_list("newest", flat=True)
        pks.update(newest.order_by("-newest")[:MOST_OF_A_KIND])
    return list(Job.objects.filter(pk__in=pks).select_related("request").order_by("-pk")[:MOST_OF_A_KIND])


def _page_of(kind: str, hit: object) -> tuple[str, str]:
    if kind == "workspaces":
        return "workspace", hit
    return ("request" if kind == "requests" else "job"), hit.identifier
