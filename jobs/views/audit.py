"""Who did what, the newest first."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from jobs.models import AuditEntry
from jobs.people.access import allowed

PAGE_SIZE = 100


@allowed("jobs.view_auditentry")
def audit(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "audit/audit.html",
        {"title": "Audit", "section": "audit", "entries": AuditEntry.objects.all()[:PAGE_SIZE]},
    )
