"""Every request, the newest first: how far each is, and why one was refused."""

from django import forms
from django.http import HttpRequest, QueryDict

from jobs.models import JobRequest
from jobs.people.access import allowed
from jobs.tallies import tallies
from jobs.views.live import BUSY_SECONDS, IDLE_SECONDS, all_jobs_changed, live_page

PAGE_SIZE = 50
_LARGEST_KEY = 2**63 - 1


class RequestFilters(forms.Form):
    outcome = forms.ChoiceField(required=False, choices=[("", "Any outcome"), *JobRequest.Outcome.choices])
    workspace = forms.CharField(required=False, max_length=128)
    by = forms.CharField(required=False, max_length=255, label="Asked for by")
    before = forms.IntegerField(required=False, min_value=1, max_value=_LARGEST_KEY)


def _changed(request: HttpRequest) -> tuple:
    return (*all_jobs_changed(), *JobRequest.objects.changed())


@allowed()
@live_page("requests/list.html", "requests/_list.html", _changed)
def requests(request: HttpRequest) -> dict:
    form = RequestFilters(_without_nul(request.GET))
    form.is_valid()
    values = {name: value for name, value in form.cleaned_data.items() if value}
    wanted = {name: values.get(name, "") for name in ("outcome", "workspace", "by")}
    page, older = JobRequest.objects.page(**wanted, before=values.get("before"), size=PAGE_SIZE)
    found = tallies([each.pk for each in page])
    is_busy = any(tally.is_active for tally in found.values()) or any(each.is_waiting for each in page)
    return {
        "title": "Requests",
        "section": "requests",
        "requests": [(each, found[each.pk]) for each in page],
        "form": form,
        "ignored": sorted(form.errors),
        "is_filtered": any(wanted.values()),
        "is_first": not values.get("before"),
        "older": _address(wanted | {"before": older}) if older else "",
        "newest": _address(wanted),
        "live_seconds": BUSY_SECONDS if is_busy else IDLE_SECONDS,
    }


def _without_nul(query: QueryDict) -> dict[str, str]:
    return {name: value.replace("\0", "") for name, value in query.items()}


def _address(values: dict) -> str:
    query = QueryDict(mutable=True)
    query.update({name: str(value) for name, value in values.items() if value})
    return query.urlencode()
