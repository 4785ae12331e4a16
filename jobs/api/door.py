"""What every call of the API passes before and after its endpoint: who calls, how large, which way, which headers."""

import functools
import json
from collections.abc import Callable

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt
from ninja.errors import HttpError
from ninja.parser import Parser
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from jobs.api.problems import problem
from jobs.people.access import View
from jobs.people.callers import Caller, Refused, caller_by_session, caller_by_token, tagged

MOST_BODY_BYTES = 1024 * 1024


class Known(AuthBase):
    """Somebody who has the permissions; to change things, a token has to be one for that as well."""

    openapi_type = ""

    def __init__(self, permissions: tuple[str, ...] = (), *, changes: bool = False):
        super().__init__()
        self._permissions, self._changes = permissions, changes

    def __call__(self, request: HttpRequest) -> Caller | None:
        if caller := self._caller(request):
            caller.check(self._permissions, changes=self._changes)
        return caller

    def _caller(self, request: HttpRequest) -> Caller | None:
        raise NotImplementedError


class Token(Known):
    """A token in the header."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = "A token from the page of your account, /account/tokens/."

    def _caller(self, request: HttpRequest) -> Caller | None:
        return caller_by_token(request)


class Session(Known):
    """The session of a browser, so that the page that describes the API can try it; changes need a CSRF token, too."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = "sessionid"
    openapi_description = "Whoever is signed in; what changes things also needs the header X-CSRFToken."

    def _caller(self, request: HttpRequest) -> Caller | None:
        caller = caller_by_session(request)
        if caller and request.method not in ("GET", "HEAD") and check_csrf(request):
            raise Refused(403, "No CSRF token", "A change by session needs the header X-CSRFToken; a token does not.")
        return caller


class StrictParser(Parser):
    """JSON as the standard has it: no NaN, no key twice."""

    def parse_body(self, request: HttpRequest) -> object:
        try:
            return json.loads(request.body, parse_constant=_refuse_constant, object_pairs_hook=_each_key_once)
        except (ValueError, RecursionError) as error:
            raise HttpError(400, "no JSON") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _each_key_once(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def door(view: View) -> View:
    """Around each address of the API."""

    @csrf_exempt  # sessions are asked for a CSRF token by Session, tokens need none
    @login_not_required
    @functools.wraps(view)
    def through(request: HttpRequest, *arguments, **named) -> HttpResponse:
        response = _not_taken(request) or _as_get(request, lambda: view(request, *arguments, **named))
        if isinstance(response, HttpResponseNotAllowed):
            response = _wrong_method(response)
        response["Cache-Control"] = "no-store"
        return tagged(request, response) if request.method in ("GET", "HEAD") else response

    return through


def _as_get(request: HttpRequest, call: Callable[[], HttpResponse]) -> HttpResponse:
    """HEAD is answered as GET is; `tagged` takes the body away."""
    method = request.method
    if method == "HEAD":
        request.method = "GET"
    try:
        return call()
    finally:
        request.method = method


def _not_taken(request: HttpRequest) -> HttpResponse | None:
    if request.method != "POST":
        return None
    try:
        size = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        size = 0
    if size > MOST_BODY_BYTES:
        return problem(413, "The body is too large", f"At most {MOST_BODY_BYTES} bytes: name fewer jobs in one call.")
    if request.content_type != "application/json":
        return problem(415, "The body is no JSON", "Send it with `Content-Type: application/json`.")
    return None


def _wrong_method(response: HttpResponse) -> HttpResponse:
    methods = {method.strip() for method in response["Allow"].split(",")}
    methods |= {"HEAD"} if "GET" in methods else set()
    allowed = ", ".join(sorted(methods))
    refusal = problem(405, "Not that way", f"This address takes {allowed}.")
    refusal["Allow"] = allowed
    return refusal


def nothing_here(request: HttpRequest, rest: str = "") -> HttpResponse:
    return problem(404, "Not found", "There is nothing at this address: see /api/docs.")
