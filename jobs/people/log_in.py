"""The ways in and out: signing in by password, signing out, another password."""

from datetime import datetime

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from jobs.models import AuditEntry
from jobs.people import lock_out, sessions
from jobs.people.access import who
from jobs.people.address import client_address

WARNED_BEFORE = 2


class LogInForm(AuthenticationForm):
    """One sentence for every failure: nobody learns which names there are."""

    error_messages = {
        "invalid_login": "Name and password do not fit together, or the account is disabled.",
        "inactive": "Name and password do not fit together, or the account is disabled.",
    }
    username = forms.CharField(
        label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True})
    )

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        _dress(self)


class LogIn(LoginView):
    template_name = "people/log_in.html"
    authentication_form = LogInForm
    redirect_authenticated_user = True

    def get_context_data(self, **context) -> dict:
        is_sent_back = bool(self.get_redirect_url())
        shown = {"title": "Sign in", "single_sign_on": bool(settings.SSO_HEADER), "is_sent_back": is_sent_back}
        return super().get_context_data(**context) | shown

    def post(self, request: HttpRequest, *arguments, **named) -> HttpResponse:
        self.attempt = lock_out.begin(request.POST.get("username", ""), client_address(request))
        if self.attempt.until:
            return locked_out(request, self.attempt.until)
        return super().post(request, *arguments, **named)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        lock_out.succeeded(self.attempt)
        sessions.begin(self.request, form.get_user())
        return HttpResponseRedirect(self.get_success_url())

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        lock_out.failed(self.attempt)
        if warning := _warning(self.attempt):
            form.add_error(None, warning)
        return super().form_invalid(form)


def _warning(attempt: lock_out.Attempt) -> str:
    """After a failure: how near the wait is; for names that do not exist it is the same."""
    if attempt.locks_until:
        return f"Too many tries have failed: wait until {attempt.locks_until:%H:%M:%S} UTC before the next one."
    if attempt.left == 1:
        return "If one more try fails, you have to wait before the next one."
    if attempt.left <= WARNED_BEFORE:
        return f"After {attempt.left} more failed tries you have to wait before the next one."
    return ""


log_in = require_http_methods(["GET", "HEAD", "POST"])(LogIn.as_view())


def locked_out(request: HttpRequest, until: datetime) -> HttpResponse:
    context = {"title": "Wait before you try again", "until": until}
    response = render(request, "people/locked_out.html", context, status=429)
    response["Retry-After"] = str(int((until - timezone.now()).total_seconds()) + 1)
    return response


@require_POST
@login_not_required
def log_out(request: HttpRequest) -> HttpResponse:
    was_named_by_proxy = sessions.proxy_s_name(request)
    sessions.end(request)
    if was_named_by_proxy:  # the log-in page would only sign them in again
        return render(request, "people/logged_out.html", {"title": "Signed out"})
    return redirect("login")


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    """Ends the person's other sessions, whose keys hold a digest of the old password."""
    if not request.user.has_usable_password():
        raise PermissionDenied
    form = PasswordChangeForm(request.user, request.POST or None)
    _dress(form)
    if request.method == "POST":
        attempt = lock_out.begin(request.user.get_username(), client_address(request))
        if attempt.until:
            return locked_out(request, attempt.until)
        if form.is_valid():
            lock_out.succeeded(attempt)
            _set_password(request, form)
            return redirect("account")
        if "old_password" in form.errors:
            lock_out.failed(attempt)
        else:
            lock_out.succeeded(attempt)
    return render(request, "people/password.html", {"title": "Change password", "form": form})


def _set_password(request: HttpRequest, form: PasswordChangeForm) -> None:
    name = request.user.get_username()
    with transaction.atomic():
        user = form.save()
        AuditEntry.note(who(request), "new password", object_kind="user", object_id=name, label=name)
    update_session_auth_hash(request, user)
    messages.success(request, "Your password is changed, and you are signed out everywhere else.")


def _dress(form: forms.Form) -> None:
    form.label_suffix = ""
    for field in form.fields.values():
        field.widget.attrs["class"] = "form-control"
