"""From a few letters to the page that was meant."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from jobs.models import Job, JobRequest
from jobs.people.access import allowed


@allowed()
@require_safe
def search(request: HttpRequest) -> HttpResponse:
    word = request.GET.get("q", "").strip().replace("\0", "")
    jobs = Job.objects.filter(identifier__startswith=word)[:20] if word else []
    requests = JobRequest.objects.filter(identifier__startswith=word)[:20] if word else []
    if len(jobs) + len(requests) == 1:
        return redirect("job", jobs[0].identifier) if jobs else redirect("request", requests[0].identifier)
    return render(request, "search.html", {"title": "Search", "word": word, "jobs": jobs, "requests": requests})
