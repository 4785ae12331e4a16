"""The admin's door: a role that may use it, instead of a tick "staff" beside the roles."""

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse


class RoleAdminSite(AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.has_perm("jobs.use_admin")

    def login(self, request: HttpRequest, extra_context=None) -> HttpResponse:
        """There is one log-in page; whoever is logged in and still sent here lacks the role."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next", request.get_full_path()))
