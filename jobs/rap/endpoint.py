"""From a function that answers a call to a view: everything that all endpoints have in common.

The order matters: without a token configured nothing is there, whatever the method; nobody's body is read before they
are known; and whatever goes wrong with us is answered in a form that no job-server takes for a refusal.

What was refused, left open, created or cancelled is one line of the log, with who has asked for it. Questions that are
answered are no line: job-servers ask each minute.
"""

import functools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponsePermanentRedirect
from django.views.decorators.csrf import csrf_exempt

from jobs.people.address import client_address
from jobs.rap.answers import OutcomeUnknown, Refused, failed
from jobs.rap.bodies import check, read
from jobs.rap.tokens import authenticate

log = logging.getLogger(__name__)

View = Callable[..., HttpResponse]
# What of a body tells operators which call it was.
_TELLING = ("rap_id", "backend", "workspace")
_MOST_SHOWN = 64


@dataclass
class Call:
    """A call: the address that it came from and, once they are known, the backends that its token may speak for and its
    body, which keeps to its schema when the call is answered (of a GET, None)."""

    address: str
    backends: frozenset[str] = frozenset()
    body: Any = None

    def __str__(self) -> str:
        """For the log. Of the token only whose it is; values as Python writes them, so that they cannot forge words."""
        who = f"token of {', '.join(sorted(self.backends))}" if self.backends else "no valid token"
        body = self.body if isinstance(self.body, dict) else {}
        known = [f"{name} {body[name][:_MOST_SHOWN]!r}" for name in _TELLING if isinstance(body.get(name), str)]
        return f"{self.address or 'an unknown address'} ({'; '.join([who, *known])})"


def public(view: View) -> View:
    """A page that needs no token, but is there only if one is configured."""

    @csrf_exempt
    @login_not_required
    @functools.wraps(view)
    def when_on(request: HttpRequest) -> HttpResponse:
        _check_that_it_is_on()
        return view(request) if request.method in ("GET", "HEAD") else HttpResponseNotAllowed(["GET"])

    return when_on


def endpoint(
    method: str, schema: str = "", *, logs_success: bool = False
) -> Callable[[Callable[[Call], HttpResponse]], View]:
    """For callers with a token; `schema` names what the body has to keep to."""

    def as_view(answer: Callable[[Call], HttpResponse]) -> View:
        @csrf_exempt  # no cookie of ours gives anybody a right here
        @login_not_required
        @functools.wraps(answer)
        def view(request: HttpRequest) -> HttpResponse:
            _check_that_it_is_on()
            call = Call(client_address(request))
            if request.method != method:
                log.info(
                    "%s was refused to %s: it takes %s, not %s", request.path, call.address, method, request.method
                )
                return _logged(HttpResponseNotAllowed([method]))
            try:
                _take_in(call, request, schema)
                response = answer(call)
            except Exception as error:
                return _logged(_failed(error, request.path, call))
            if logs_success:
                details = json.loads(response.content)["details"]
                log.info("%s by %s: %s", request.path, call, details)
            return response

        return view

    return as_view


@csrf_exempt
@login_not_required
def with_slash(request: HttpRequest) -> HttpResponse:
    """Django's own redirect is an error 500 for a POST while DEBUG is on."""
    _check_that_it_is_on()
    return HttpResponsePermanentRedirect(f"{request.path}/")


def _check_that_it_is_on() -> None:
    if not settings.RAP_API_TOKENS:
        raise Http404("This site has not switched on the RAP API.")


def _take_in(call: Call, request: HttpRequest, schema: str) -> None:
    """Raises Refused; what was known by then stays in the call."""
    call.backends = authenticate(request.headers.get("Authorization", ""), settings.RAP_API_TOKENS)
    if schema:
        call.body = read(request)
        check(call.body, schema)


def _failed(error: Exception, path: str, call: Call) -> HttpResponse:
    """Log the one line (with a traceback where it is our fault), and what the caller gets. Call while it is handled."""
    if isinstance(error, Refused):
        # Nothing to do for operators, unless it is a strange token, or we are not up to it.
        level = logging.INFO if error.status in (400, 404) else logging.WARNING
        log.log(level, "%s was refused with %d to %s: %s", path, error.status, call, error)
        return error.as_answer()
    if isinstance(error, OutcomeUnknown):
        log.warning("%s was left open for %s: %s", path, call, error)
        return error.as_answer()
    log.exception("%s failed for %s; the caller has been told that the outcome is not known", path, call)
    return failed()


def _logged(response: HttpResponse) -> HttpResponse:
    """Django would log each error that is answered once more, with less in it ("Bad Request: …")."""
    response._has_been_logged = True
    return response
