"""What somebody may do here, and how they have signed in lately."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobs.models import AuditEntry
from jobs.people.accounts import role_in_words
from jobs.people.own_sessions import end_sessions, own_sessions
from jobs.text import counted

MOST_LATELY = 8
# In the order in which roles get them.
_WORDS = (
    ("jobs.view_job", "see jobs, requests, workspaces, outputs' names and the state of the system"),
    ("jobs.read_log", "read the logs of jobs, which may quote patients' rows"),
    ("jobs.cancel_job", "cancel and kill jobs"),
    ("jobs.retry_job", "have jobs finalised again or run again"),
    ("jobs.add_flag", "pause the backend, and announce database maintenance or a reboot"),
    ("jobs.change_jobrequest", "refuse requests that wait to be planned"),
    ("jobs.view_auditentry", "see the audit: who did what, and why"),
    ("jobs.use_admin", "use the admin"),
    ("auth.change_user", "look after people and their roles"),
    ("jobs.change_apitoken", "revoke other people's tokens"),
)


@dataclass(frozen=True)
class Power:
    words: str
    is_given: bool


@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Open to whoever is logged in, with a role or without one."""
    user = request.user
    role = role_in_words(user)
    context = {
        "title": "Account",
        "role": role[0].upper() + role[1:],
        "is_nobody": not user.get_all_permissions(),
        "powers": [Power(words, user.has_perm(permission)) for permission, words in _WORDS],
        "sessions": own_sessions(request),
        "lately": AuditEntry.objects.about("user", user.get_username())[:MOST_LATELY],
    }
    return render(request, "people/account.html", context)


@require_POST
def end_session(request: HttpRequest) -> HttpResponse:
    """Of who calls: the session that is named, or all others."""
    number = end_sessions(request, request.POST.get("session", ""))
    messages.success(request, f"{counted(number, 'session')} ended." if number else "That session had ended already.")
    return redirect("account")
