"""Optional: a proxy in front has asked who is there, and names them in a header. Off unless SSO_HEADER is set.

The header is believed from the addresses in SSO_TRUSTED_PROXIES and from nowhere else. It opens only accounts that have
no password here: a name that somebody chose elsewhere must not open an account that was made here for another person.
"""

import logging
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import get_user_model, logout
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from jobs.models import AuditEntry, Who
from jobs.people import sessions
from jobs.people.address import client_address, is_from

log = logging.getLogger(__name__)


def following_the_proxy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The middleware: at each call the session is that of the person whom the proxy names, or a password's."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if settings.SSO_HEADER:
            _follow(request, _name_by_proxy(request))
        return get_response(request)

    return middleware


def _name_by_proxy(request: HttpRequest) -> str:
    """Taken out of the request, so that nobody else comes to believe it."""
    text = request.META.pop("HTTP_" + settings.SSO_HEADER.upper().replace("-", "_"), "").strip()
    if not text or not is_from(request, settings.SSO_TRUSTED_PROXIES):
        return ""
    try:
        name = text.encode("latin-1").decode("utf-8")  # WSGI hands bytes on as Latin-1
        name = get_user_model().normalize_username(name)
        get_user_model()._meta.get_field("username").clean(name, None)
    except (UnicodeError, ValidationError):
        log.warning("the proxy names somebody whom no account can be made for: %r", text[:150])
        return ""
    return name


def _follow(request: HttpRequest, name: str) -> None:
    signed_in_as = sessions.proxy_s_name(request) if request.user.is_authenticated else ""
    if signed_in_as and signed_in_as != name:
        logout(request)
    if name and not request.user.is_authenticated and (user := _account(request, name)):
        sessions.begin(request, user, named_by_proxy=name)


def _account(request: HttpRequest, name: str):
    """Made on first sight. None if it is disabled or has a password."""
    people = get_user_model().objects
    user = people.filter(username=name).first() or _new(request, name)
    if not user.is_active or user.has_usable_password():
        return None
    return user


@transaction.atomic
def _new(request: HttpRequest, name: str):
    user, is_new = get_user_model().objects.get_or_create(username=name, defaults={"password": "!"})
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        role = Group.objects.filter(name=settings.SSO_ROLE).first()
        if role:
            user.groups.add(role)
        proxy = Who(name, AuditEntry.Via.DASHBOARD, client_address(request))
        after = f"{role or 'no role'}, by single sign-on"
        AuditEntry.note(proxy, "add", object_kind="user", object_id=name, label=name, after=after)
    return user
