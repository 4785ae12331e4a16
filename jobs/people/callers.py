"""Who calls where programs call: somebody with a token, or with the session of a browser.

A token is `Authorization: Bearer jr_…`; feed readers, which know user names and passwords only, give it as the password
of HTTP Basic. Whoever comes with a token is judged by it alone, whatever cookies come along.
"""

import base64
import binascii
import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseNotModified
from django.views.decorators.csrf import csrf_exempt

from jobs.models import ApiToken
from jobs.people.access import View
from jobs.people.address import client_address
from jobs.people.failed_tokens import failed_tokens
from jobs.people.roles import BASE
from jobs.people.tokens import PREFIX, find

# What a token may do that only reads.
_READS = re.compile(r"jobs\.(view_\w+|read_log)")


class Refused(Exception):
    """No: `status`, a short title and a sentence. `seconds`: when it may be tried again."""

    def __init__(self, status: int, title: str, detail: str, *, seconds: int = 0):
        super().__init__(detail)
        self.status, self.title, self.detail, self.seconds = status, title, detail, seconds


@dataclass(frozen=True)
class Caller:
    """A person, and the token that a program speaks for them with; without one, a session."""

    user: object
    token: ApiToken | None = None

    def permissions(self) -> list[str]:
        """What may be done in this call: never more than the person may at this moment."""
        names = sorted(name for name in self.user.get_all_permissions() if name.startswith("jobs."))
        only_reads = self.token is not None and not self.token.may_change
        return [name for name in names if _READS.fullmatch(name)] if only_reads else names

    def check(self, permissions: tuple[str, ...], *, changes: bool = False) -> None:
        """Raises Refused unless the person may, and the token too."""
        if changes and self.token is not None and not self.token.may_change:
            raise Refused(403, "This token only reads", "Make one that may change things, on the page of your account.")
        if lacking := [name for name in (BASE, *permissions) if not self.user.has_perm(name)]:
            raise Refused(403, "Not for your role", f"{self.user.get_username()} lacks {', '.join(lacking)}.")


def caller_by_token(request: HttpRequest) -> Caller | None:
    """None without a token. Raises Refused for one that is not valid (any more)."""
    secret = _token_in(request.headers.get("Authorization", ""))
    if secret is None:
        return None
    if token := find(secret):
        request.user = token.user
        return Caller(token.user, token)
    if seconds := failed_tokens.note(client_address(request)):
        raise Refused(429, "Too many wrong tokens", "Wait a minute, and see which token you use.", seconds=seconds)
    raise Refused(
        401, "Not a valid token", "The token is unknown, has expired or was revoked, or its person may not sign in."
    )


def caller_by_session(request: HttpRequest) -> Caller | None:
    return Caller(request.user) if request.user.is_authenticated else None


def _token_in(authorization: str) -> str | None:
    """The token of a header. Other things that stand in it may be meant for a proxy."""
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            password = base64.b64decode(rest.strip(), validate=True).decode("utf-8", "replace").partition(":")[2]
        except (binascii.Error, ValueError):
            return None
        return password if password.startswith(PREFIX) else None
    return None


def for_programs(*permissions: str) -> Callable[[View], View]:
    """For a page that programs read (a feed, a badge): by token or session, GET and HEAD only, with an ETag."""

    def decorate(view: View) -> View:
        @csrf_exempt  # it changes nothing
        @login_not_required
        @functools.wraps(view)
        def guarded(request: HttpRequest, *arguments, **named) -> HttpResponse:
            if request.method not in ("GET", "HEAD"):
                return HttpResponseNotAllowed(["GET", "HEAD"])
            try:
                caller = caller_by_token(request) or caller_by_session(request)
                if caller is None:
                    raise Refused(401, "Who calls?", "Give a token as the password, with any user name.")
                caller.check(permissions)
            except Refused as refusal:
                return _as_text(refusal)
            return tagged(request, view(request, *arguments, **named))

        guarded.permissions = permissions
        return guarded

    return decorate


def tagged(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """With an ETag of its content and nothing to be stored on the way; 304 for whoever has it, no body for HEAD."""
    response["Cache-Control"] = "no-store"
    response["Vary"] = "Authorization, Cookie"
    if response.status_code == 200:
        tag = f'"{hashlib.blake2b(response.content, digest_size=12).hexdigest()}"'
        if tag in _tags_of(request) or "*" in _tags_of(request):
            response = _not_modified(response)
        response["ETag"] = tag
    return _without_body(response) if request.method == "HEAD" else response


def _tags_of(request: HttpRequest) -> list[str]:
    tags = request.headers.get("If-None-Match", "").split(",")
    return [tag.strip().removeprefix("W/") for tag in tags]


def _not_modified(response: HttpResponse) -> HttpResponse:
    empty = HttpResponseNotModified()
    for name in ("Cache-Control", "Vary"):
        empty[name] = response[name]
    return empty


def _without_body(response: HttpResponse) -> HttpResponse:
    if response.content:
        response["Content-Length"] = str(len(response.content))
        response.content = b""
    return response


def _as_text(refusal: Refused) -> HttpResponse:
    text = f"{refusal.title}. {refusal.detail}\n"
    response = HttpResponse(text, status=refusal.status, content_type="text/plain; charset=utf-8")
    response["Cache-Control"] = "no-store"
    challenge(response, refusal, 'Basic realm="job runner", charset="UTF-8"')
    return response


def challenge(response: HttpResponse, refusal: Refused, way: str) -> None:
    """Say in the headers how to be let in, and when; and let Django not log each as an error of its own."""
    if refusal.status == 401:
        response["WWW-Authenticate"] = way
    if refusal.seconds:
        response["Retry-After"] = str(refusal.seconds)
    response._has_been_logged = True
