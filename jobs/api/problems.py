"""What a call that does not succeed is told: one form for all, in words that say what to do."""

import logging

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from pydantic import Field

from jobs.people.callers import Refused, challenge

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20

# For the document: what each status means here, and what its answer says, for example.
MEANINGS: dict[int, tuple[str, dict]] = {
    400: ("The body is no JSON", {"title": "The body is no JSON", "detail": "Send a JSON object."}),
    401: (
        "No token, or one that is unknown, has expired, was revoked or whose person may not sign in",
        {"title": "Who calls?", "detail": "Send a token: `Authorization: Bearer jr_…`."},
    ),
    403: (
        "Not for this role or this token",
        {"title": "Not for your role", "detail": "victor lacks jobs.cancel_job."},
    ),
    404: ("There is no such thing", {"title": "No such job", "detail": "No job is called or begins with jr0."}),
    409: (
        "Several jobs begin so",
        {
            "title": "Several jobs begin so",
            "detail": "jr is the beginning of jr7k2mzq, jr9xw3ab: give more letters.",
            "candidates": ["jr7k2mzq", "jr9xw3ab"],
        },
    ),
    413: ("The body is too large", {"title": "The body is too large", "detail": "At most 1048576 bytes."}),
    415: ("The body was not sent as JSON", {"title": "The body is no JSON", "detail": "Send it as application/json."}),
    422: (
        "A parameter or a key is unknown or wrong",
        {
            "title": "The call cannot be understood",
            "detail": "query: stat: there is no such parameter",
            "errors": [{"where": "query: stat", "what": "there is no such parameter"}],
        },
    ),
    429: ("Too many wrong tokens from this address", {"title": "Too many wrong tokens", "detail": "Wait a minute."}),
    500: ("A fault of this site", {"title": "A fault of this site", "detail": "Tell the operators."}),
    503: (
        "The database is busy, or a storage does not answer; nothing was changed",
        {"title": "The database is busy", "detail": "Nothing was changed. Try again in a few seconds."},
    ),
}


class Fault(Schema):
    """One thing that is wrong with a call."""

    where: str = Field(description="which parameter, or where in the body", examples=["query: limit"])
    what: str = Field(description="what is wrong with it", examples=["Input should be less than or equal to 500"])


class Problem(Schema):
    """Why a call did not succeed."""

    title: str = Field(description="what kind of problem it is", examples=["No such job"])
    status: int = Field(description="the status of the answer", examples=[404])
    detail: str = Field(description="what is so, and what to do", examples=["No job is called or begins with jr0."])
    errors: list[Fault] | None = Field(None, description="each fault of a call that cannot be understood (422)")
    candidates: list[str] | None = Field(None, description="which jobs begin so, if several do (409)")


class Trouble(Refused):
    """Refused, with more keys for the answer."""

    def __init__(self, status: int, title: str, detail: str, **more):
        super().__init__(status, title, detail)
        self.more = more


def problem(status: int, title: str, detail: str, **more) -> JsonResponse:
    body = {"title": title, "status": status, "detail": detail, **more}
    response = JsonResponse(body, status=status, content_type=MEDIA_TYPE)
    response._has_been_logged = True
    return response


def refused(request: HttpRequest, refusal: Refused) -> HttpResponse:
    response = problem(refusal.status, refusal.title, refusal.detail, **getattr(refusal, "more", {}))
    challenge(response, refusal, 'Bearer realm="job runner"')
    return response


def handle_problems(api: NinjaAPI) -> None:
    """Every exception that an endpoint may let out becomes a problem document."""
    api.add_exception_handler(Refused, refused)
    api.add_exception_handler(AuthenticationError, _unknown_caller)
    api.add_exception_handler(Http404, _not_found)
    api.add_exception_handler(ValidationError, _not_understood)
    api.add_exception_handler(HttpError, _no_json)
    api.add_exception_handler(OperationalError, _busy)
    api.add_exception_handler(Exception, _failed)


def _unknown_caller(request: HttpRequest, error: Exception) -> HttpResponse:
    return refused(request, Refused(401, "Who calls?", "Send a token: `Authorization: Bearer jr_…`."))


def _not_found(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(404, "Not found", str(error) or "There is nothing at this address.")


def _not_understood(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {
            "where": f"{each['loc'][0]}: {'.'.join(map(str, [part for part in each['loc'][1:] if part != 'wish']))}"[
                :200
            ],
            "what": each["msg"][:500],
        }
        for each in error.errors[:MOST_ERRORS]
    ]
    detail = "; ".join(f"{each['where']}: {each['what']}" for each in errors[:3])
    return problem(422, "The call cannot be understood", detail, errors=errors)


def _no_json(request: HttpRequest, error: HttpError) -> HttpResponse:
    """The only one that is raised by ninja itself."""
    return problem(error.status_code, "The body is no JSON", "Send a JSON object, as /api/docs describes it.")


def _busy(request: HttpRequest, error: Exception) -> HttpResponse:
    log.warning("%s could not be answered: %s", request.path, error)
    response = problem(503, "The database is busy", "Nothing was changed. Try again in a few seconds.")
    response["Retry-After"] = "5"
    return response


def _failed(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("%s failed", request.path, exc_info=error)
    return problem(500, "A fault of this site", "Tell the operators; the log of the web process has the reason.")
