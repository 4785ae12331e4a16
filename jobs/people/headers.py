"""What every answer tells browsers, whatever answered: a page, a file, an error, or the monitor's door."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

Middleware = Callable[[HttpRequest], HttpResponse]
# Pages get their policy of CONTENT_SECURITY_POLICY; an answer that none of the other middleware has seen loads nothing.
_LEAST = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# TRACE would show a script what the browser sends, cookies included.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def on_every_answer(get_response: Middleware) -> Middleware:
    """The outermost middleware."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request) if request.method in _METHODS else HttpResponseNotAllowed(_METHODS)
        for name, value in _LEAST.items():
            response.headers.setdefault(name, value)
        if settings.SECURE_HSTS_SECONDS and request.is_secure():
            response.headers.setdefault("Strict-Transport-Security", f"max-age={settings.SECURE_HSTS_SECONDS}")
        return response

    return middleware


def stored_nowhere(get_response: Middleware) -> Middleware:
    """Inside WhiteNoise, whose files may be kept for ever: pages tell of patients' data and are kept by nobody.

    A view for everybody (a badge) may say otherwise, but not to somebody who is signed in.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        user = getattr(request, "user", None)
        is_personal = user is not None and user.is_authenticated
        if "no-store" not in response.headers.get("Cache-Control", "") and (
            is_personal or not response.headers.get("Cache-Control")
        ):
            response.headers["Cache-Control"] = "no-store"
        return response

    return middleware
