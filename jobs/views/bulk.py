"""Cancel, kill or retry many jobs: first a page that tells what it would bring about, then one that tells what it did.

The jobs are named once, when the first page is made; what comes to match a filter later is never touched. Asking
again, by a double click or a reload, changes nothing more.
"""

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.crypto import get_random_string
from django.views.decorators.http import require_http_methods

from jobs import asking
from jobs.asking import MOST_AT_ONCE, Result
from jobs.consequences import CANCEL, CLEAR, KILL, MOST_BEHIND, MOST_SHOWN, RETRY, consequences
from jobs.models import JobRequest, Who
from jobs.models.job_list import matching
from jobs.models.request_history import ByWish, identifiers_by_wish
from jobs.people.access import allowed, who
from jobs.reasons import LONGEST_REASON
from jobs.views.job_filters import filters_of

Done = tuple[list[Result], list[JobRequest]]


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=LONGEST_REASON, strip=True)
    once = forms.CharField(max_length=64, required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed("jobs.cancel_job")
def cancel_jobs(request: HttpRequest) -> HttpResponse:
    return _answer(request, CANCEL, lambda named, by, reason, _: (asking.cancel(named, by, reason), []))


@require_http_methods(["GET", "HEAD", "POST"])
@allowed("jobs.cancel_job")
def kill_jobs(request: HttpRequest) -> HttpResponse:
    return _answer(request, KILL, lambda named, by, reason, _: (asking.kill(named, by, reason), []))


@require_http_methods(["GET", "HEAD", "POST"])
@allowed("jobs.retry_job")
def retry_jobs(request: HttpRequest) -> HttpResponse:
    only_finalise = frozenset(request.POST.get("finalise", "").split())
    return _answer(
        request,
        RETRY,
        lambda named, by, reason, once: asking.retry(named, by, reason, once=once, only_finalise=only_finalise),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@allowed("jobs.retry_job")
def clear_jobs(request: HttpRequest) -> HttpResponse:
    return _answer(request, CLEAR, lambda named, by, reason, _: (asking.clear(named, by, reason), []))


def _answer(request: HttpRequest, verb: str, do: Callable[[list[str], Who, str, str], Done]) -> HttpResponse:
    named = _named(request, verb)
    is_cut, named = len(named) > MOST_AT_ONCE, named[:MOST_AT_ONCE]
    if not named:
        messages.warning(
            request,
            "Nothing was chosen, and nothing changed: tick at least one job first. After signing in, choose anew.",
        )
        return redirect("jobs")
    form = ReasonForm(request.POST if "confirmed" in request.POST else None)
    if form.is_bound and form.is_valid():
        results, new = do(named, who(request), form.cleaned_data["reason"], form.cleaned_data["once"])
        return render(request, "jobs/bulk_done.html", _done(verb, results, new))
    found = consequences(verb, named)
    context = {
        "title": f"{verb.capitalize()} jobs",
        "section": "jobs",
        "verb": verb,
        "found": found,
        "fates": found.fates[:MOST_SHOWN],
        "not_shown": max(0, len(found.fates) - MOST_SHOWN),
        "more_behind": max(0, found.number_behind - MOST_BEHIND),
        "named": " ".join(named),
        "finalise": " ".join(job.identifier for job in found.affected if verb == RETRY and job.is_cut_off),
        "is_cut": is_cut,
        "most": MOST_AT_ONCE,
        "reason": (form.data if form.is_bound else request.GET).get("reason", "")[:LONGEST_REASON],
        "lacks_reason": form.is_bound,
        "longest_reason": LONGEST_REASON,
        "once": form.data.get("once") or get_random_string(32),
    }
    return render(request, "jobs/bulk.html", context, status=400 if form.is_bound else 200)


def _of_request(identifier: str, verb: str, *, is_whole: bool) -> list[str]:
    """The request's jobs that can be stopped, that failed, or all; only the first page is told of a request."""
    asked = JobRequest.objects.filter(identifier=identifier).only("pk").first()
    found = identifiers_by_wish(asked) if asked else ByWish()
    chosen = found.cancellable if verb in (CANCEL, KILL) else found.whole if is_whole else found.failed
    return chosen


def _done(verb: str, results: list[Result], new: list[JobRequest]) -> dict:
    failed = [each for each in results if not each.was_done]
    done = [each for each in results if each.was_done]
    return {
        "title": f"{verb.capitalize()} asked for",
        "section": "jobs",
        "verb": verb,
        "results": (failed + done)[:MOST_SHOWN],
        "number_done": len(done),
        "number_failed": len(failed),
        "not_shown": max(0, len(results) - MOST_SHOWN),
        "new_requests": new,
    }


def _named(request: HttpRequest, verb: str) -> list[str]:
    """At most one more than can be asked for at once: the ticked boxes, the list that the first page froze, or all."""
    words = request.POST if request.method == "POST" else request.GET
    if request.method != "POST" and "request" in words:
        return _of_request(words["request"].replace("\0", ""), verb, is_whole="whole" in words)
    if words.get("all"):
        return matching(filters_of(QueryDict(words.get("filters", "")[:4096])).wanted, MOST_AT_ONCE + 1)
    named = [*words.getlist("job"), *words.get("jobs", "").split()]
    return list(dict.fromkeys(name.replace("\0", "")[:64] for name in named if name))[: MOST_AT_ONCE + 1]
