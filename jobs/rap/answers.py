"""What an answer of the RAP API looks like, and the one exception that becomes one.

How an answer is written decides what a job-server does with the user's request (wire contract §2.3): JSON with
`details` is a definite refusal, whatever its status; anything but JSON means that the outcome is not known.
"""

from django.http import HttpResponse, JsonResponse

from jobs.wire import clean

UNKNOWN = "What became of this call is not known here: ask rap/status. The log of the job runner has the reason.\n"


class Refused(Exception):
    """A definite no: nothing was done, or nothing more than `details` says. `more` are further keys of the answer."""

    def __init__(self, status: int, error: str, details: str, **more):
        super().__init__(details)
        self.status, self.error, self.details, self.more = status, error, details, more

    def as_answer(self) -> JsonResponse:
        body = {"error": self.error, "details": clean(self.details) or self.error, **self.more}
        return JsonResponse(body, status=self.status)


class OutcomeUnknown(Exception):
    """The request may yet get jobs, so a job-server must not fail it: it has to ask rap/status."""

    def __init__(self, details: str):
        super().__init__(details)
        self.details = details

    def as_answer(self) -> HttpResponse:
        return _not_json(503, f"{self.details}\n")


def done(result: str, details: str, *, status: int = 200, **more) -> JsonResponse:
    return JsonResponse({"result": result, "details": clean(details), **more}, status=status)


def failed() -> HttpResponse:
    """For a fault of our own."""
    return _not_json(500, UNKNOWN)


def _not_json(status: int, text: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
