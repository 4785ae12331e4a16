"""What somebody may do here."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def account(request: HttpRequest) -> HttpResponse:
    """Open to whoever is logged in, with a role or without one."""
    roles = request.user.groups.order_by("name").values_list("name", flat=True)
    return render(request, "people/account.html", {"title": "Account", "roles": roles})
