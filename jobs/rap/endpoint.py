"""From a function that answers a call to a view: everything that all endpoints have in common.

The order matters: without a token configured nothing is there, whatever the method; nobody's body is read before they
are known; and whatever goes wrong with us is answered in a form that no job-server takes for a refusal.
"""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponsePermanentRedirect
from django.views.decorators.csrf import csrf_exempt

from jobs.rap.answers import OutcomeUnknown, Refused, failed
from jobs.rap.bodies import read
from jobs.rap.tokens import authenticate

log = logging.getLogger(__name__)

View = Callable[..., HttpResponse]


@dataclass(frozen=True)
class Call:
    """A call whose token and body are in order: the backends that it may speak for, and the body (of a GET, none)."""

    backends: frozenset[str]
    body: dict


def public(view: View) -> View:
    """A page that needs no token, but is there only if one is configured."""

    @csrf_exempt
    @login_not_required
    @functools.wraps(view)
    def when_on(request: HttpRequest) -> HttpResponse:
        _check_that_it_is_on()
        return view(request) if request.method in ("GET", "HEAD") else HttpResponseNotAllowed(["GET"])

    return when_on


def endpoint(method: str, schema: str = "") -> Callable[[Callable[[Call], HttpResponse]], View]:
    """For callers with a token; `schema` names what the body has to keep to."""

    def as_view(answer: Callable[[Call], HttpResponse]) -> View:
        @csrf_exempt  # no cookie of ours gives anybody a right here
        @login_not_required
        @functools.wraps(answer)
        def view(request: HttpRequest) -> HttpResponse:
            _check_that_it_is_on()
            if request.method != method:
                return HttpResponseNotAllowed([method])
            try:
                return answer(_call(request, schema))
            except Refused as refusal:
                # Nothing to do for operators, unless it is a strange token, or we are not up to it.
                level = logging.INFO if refusal.status in (400, 404) else logging.WARNING
                log.log(level, "%s was refused: %s", request.path, refusal)
                return refusal.as_answer()
            except OutcomeUnknown as unknown:
                log.warning("%s was left open: %s", request.path, unknown)
                return unknown.as_answer()
            except Exception:
                log.exception("%s failed; the caller has been told that the outcome is not known", request.path)
                return failed()

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


def _call(request: HttpRequest, schema: str) -> Call:
    backends = authenticate(request.headers.get("Authorization", ""), settings.RAP_API_TOKENS)
    return Call(backends, read(request, schema) if schema else {})
