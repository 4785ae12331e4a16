"""What stands before every page: a login, and a role that may see it. Views say what they need by `allowed`.

A page follows redirects and would be replaced by the log-in form when it polls, so polls and programs get a plain 401.
"""

import functools
from collections.abc import Callable
from urllib.parse import urlencode

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from jobs.models import AuditEntry, Who
from jobs.people.address import client_address
from jobs.people.roles import BASE

View = Callable[..., HttpResponse]
# What the pages that ask "why?" take from their address as well: a GET of theirs changes nothing, it only asks.
_KEPT = ("jobs", "reason", "turn", "until", "due")
_LONGEST_ADDRESS = 4000


class LoginRequired(LoginRequiredMiddleware):
    def handle_no_permission(self, request: HttpRequest, view_func) -> HttpResponse:
        if request.headers.get("HX-Request"):
            return HttpResponse("You are signed out: sign in again.", status=401, content_type="text/plain")
        if request.method == "POST" and (address := _asking_again(request)):
            return redirect_to_login(address, self.get_login_url(view_func), self.get_redirect_field_name(view_func))
        return super().handle_no_permission(request, view_func)


def _asking_again(request: HttpRequest) -> str:
    """The page that a form was sent from while the session ended, with what was written there. Empty if too long."""
    kept = {name: request.POST[name] for name in _KEPT if request.POST.get(name)}
    address = f"{request.path}?{urlencode(kept)}" if kept else ""
    return address if len(address) <= _LONGEST_ADDRESS else ""


def allowed(*permissions: str) -> Callable[[View], View]:
    """Refuse with 403 whoever lacks one of the permissions; without any named, whoever has no role."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *arguments, **named) -> HttpResponse:
            if not request.user.has_perms((BASE, *permissions)):
                raise PermissionDenied
            return view(request, *arguments, **named)

        guarded.permissions = permissions
        return guarded

    return decorate


def who(request: HttpRequest, via: str = AuditEntry.Via.DASHBOARD) -> Who:
    """For the audit: who has made this call, and from where."""
    return Who(request.user.get_username(), via, client_address(request))
