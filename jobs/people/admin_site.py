"""The admin's door: a role that may use it, instead of a tick "staff" beside the roles; and one way in and out."""

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from jobs.health import health
from jobs.models import AuditEntry
from jobs.people.log_in import log_out

MOST_OF_MINE = 10


class RoleAdminSite(AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.has_perm("jobs.use_admin")

    def admin_view(self, view, cacheable=False):
        """Pages that are looked at and sent; Django's own answer to any other method would be the page."""
        return super().admin_view(require_http_methods(["GET", "HEAD", "POST"])(view), cacheable)

    def index(self, request: HttpRequest, extra_context=None) -> HttpResponse:
        mine = AuditEntry.objects.narrowed(actor=request.user.get_username())[:MOST_OF_MINE]
        return super().index(request, (extra_context or {}) | {"mine": mine, "health": health()})

    def login(self, request: HttpRequest, extra_context=None) -> HttpResponse:
        """There is one log-in page; whoever is logged in and still sent here lacks the role."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next", request.get_full_path()))

    def logout(self, request: HttpRequest, extra_context=None) -> HttpResponse:
        return log_out(request)

    def password_change(self, request: HttpRequest, extra_context=None) -> HttpResponse:
        """Ours counts guesses, ends other sessions and is audited."""
        return redirect("change-password")

    def password_change_done(self, request: HttpRequest, extra_context=None) -> HttpResponse:
        return redirect("account")
