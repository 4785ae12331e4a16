"""The job-server's polling API (wire contract §1.1-§1.3): one page of requests, one POST of jobs.

What an answer means for its request is said by the kind of the error, never by indexing into an error's body: servers
of different years shape those differently.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings

from jobs.wire import RemoteJob, clean
from sync.redaction import redact
from sync.transport import Answer, AnswerTooLarge, Transport, TransportError

# A page of 1,000 requests takes about 1 MB; an answer to a POST says one word.
MOST_PAGE_BYTES = 10_000_000
MOST_REPLY_BYTES = 1_000_000
_MOST_ERROR_CHARACTERS = 500
_MOST_QUOTED_FROM = 100_000
# Python refuses to read more than 4,300, and a database holds 19.
_MOST_DIGITS = 18
_JSON = "application/json"
# They speak of the server or of us, never of one request.
_OF_ALL_REQUESTS = (401, 403, 429, 503)
# Said by a gateway; the server behind it may still be at work.
_DOUBTFUL = (502, 504)
_UNKNOWN_REQUEST = b'["Unknown JobRequest'


class JobServerError(Exception):
    """The job-server has not done what it was asked; `str(error)` is a sentence for the operator, without secrets.

    `summary` is that sentence without what the server has said: the same as long as the trouble is the same, and fit
    for everybody. `is_doubtful`: it may have done it all the same. `has_answered`: with a status that is no success.
    """

    def __init__(self, summary: str, *, said: str = "", is_doubtful: bool = False, has_answered: bool = False):
        super().__init__(f"{summary.removesuffix('.')}: {said}" if said else summary)
        self.summary = summary
        self.is_doubtful = is_doubtful
        self.has_answered = has_answered


class Unreachable(JobServerError):
    """No usable answer: network, time, size, a token that does not count. No other request would fare better now."""


class Refused(JobServerError):
    """It answered, but not with success; other requests may fare better."""


class UnknownRequest(Refused):
    """A server of before November 2022 does not know a request of the POST (§1.3, semantics 5)."""


class PageTooLarge(Unreachable):
    """A smaller page may fit."""


@dataclass(frozen=True)
class Page:
    """`results` are unchecked JSON; `count` is how many there are on all pages, as far as the server says so."""

    results: list[object]
    count: int | None


class JobServer:
    """Safe to use from several threads."""

    def __init__(self, transport: Transport, endpoint: str, backend: str):
        self._transport, self._endpoint, self._backend = transport, endpoint, backend

    @classmethod
    def from_settings(cls) -> "JobServer | None":
        """The one to poll; None if none is set, and for a process that has no token for it: it would not refuse."""
        if not settings.JOB_SERVER_ENDPOINT or not settings.JOB_SERVER_TOKEN:
            return None
        transport = Transport(
            seconds=settings.JOB_SERVER_TIMEOUT_SECONDS,
            headers={"Authorization": settings.JOB_SERVER_TOKEN},  # bare: no scheme word (§1.1)
            ca_file=settings.JOB_SERVER_CA_FILE,
            proxy=settings.JOB_SERVER_PROXY,
        )
        return cls(transport, settings.JOB_SERVER_ENDPOINT, settings.BACKEND)

    def fetch(self, *, limit: int, offset: int, flags: str) -> Page:
        """One page of the active requests. Raises JobServerError kinds."""
        params = {"backend": self._backend, "limit": limit, "offset": offset}
        try:
            answer = self._exchange("GET", "job-requests/", MOST_PAGE_BYTES, params=params, headers={"Flags": flags})
        except AnswerTooLarge as error:
            raise PageTooLarge(f"The job-server cannot be polled: {error}.") from error
        except TransportError as error:
            raise Unreachable(f"The job-server cannot be polled: {error}.") from error
        found = self._json(answer, "The poll")
        if not isinstance(found, dict) or not isinstance(found.get("results"), list):
            raise Refused("The poll was answered with JSON that is no list of requests. Is JOB_SERVER_ENDPOINT right?")
        count = found.get("count")
        return Page(found["results"], count if isinstance(count, int) and not isinstance(count, bool) else None)

    def post(self, jobs: Sequence[RemoteJob], *, flags: str) -> bool:
        """Tell all jobs of one request. Returns only if the server has said "success": whether it was sent twice.

        Raises JobServerError kinds.
        """
        body = encode(jobs)
        headers = {"Content-Type": _JSON, "Flags": flags}
        try:
            answer = self._exchange("POST", "jobs/", MOST_REPLY_BYTES, body=body, headers=headers)
        except TransportError as error:
            raise Unreachable(f"The job-server was not told: {error}.", is_doubtful=error.was_sent) from error
        # At its beginning: what a server quotes of a message must not pass for it.
        if answer.status == 400 and answer.body.lstrip().startswith(_UNKNOWN_REQUEST):
            raise UnknownRequest("The job-server does not know the request (any more).")
        found = self._json(answer, "The post of jobs")
        if not isinstance(found, dict) or found.get("status") != "success":
            # A page of some proxy must not pass for an acknowledgement.
            raise Refused("The post of jobs was answered with 200, but not with success.", said=_shown(answer))
        return answer.was_sent_twice

    def close(self) -> None:
        """Of the calling thread's connections."""
        self._transport.close()

    def _exchange(self, method: str, path: str, most_bytes: int, **more) -> Answer:
        return self._transport.exchange(method, self._endpoint + path, most_bytes=most_bytes, **more)

    def _json(self, answer: Answer, what: str) -> object:
        if answer.status != 200:
            error = Unreachable if answer.status in _OF_ALL_REQUESTS else Refused
            summary = f"{what} was answered with {answer.status}{_hint(answer.status)}."
            doubt = answer.status in _DOUBTFUL
            raise error(summary, said=_shown(answer), is_doubtful=doubt, has_answered=True)
        if answer.content_type != _JSON:
            is_a_type = re.fullmatch(r"[a-z]{1,20}/[a-z0-9.+-]{1,40}", answer.content_type)
            kind = answer.content_type if is_a_type else "something without a type"
            raise Refused(f"{what} was answered with {kind} instead of JSON. Is JOB_SERVER_ENDPOINT right?")
        try:
            return json.loads(answer.body, parse_constant=_nothing, parse_int=_integer)
        except (ValueError, RecursionError):
            raise Refused(f"{what} was answered with broken JSON.", said=_shown(answer)) from None


def encode(jobs: Iterable[Mapping]) -> bytes:
    return json.dumps(list(jobs), separators=(",", ":"), allow_nan=False).encode("ascii")


def _nothing(constant: str) -> None:
    """NaN and its like are no JSON; as a null they cost the result that holds them, and not the whole page."""


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _hint(status: int) -> str:
    if 300 <= status < 400:
        return " (a redirect, which is never followed: is JOB_SERVER_ENDPOINT right?)"
    setting = {401: "JOB_SERVER_TOKEN", 403: "JOB_SERVER_TOKEN", 404: "JOB_SERVER_ENDPOINT"}.get(status)
    return f" (is {setting} right?)" if setting else ""


def _shown(answer: Answer) -> str:
    """The beginning of a body, opaque as it is. A server that repeats our token must not bring it into the log."""
    # All of it before it is cut: a part of a secret could stand at the end of a part.
    text = redact(answer.body[:_MOST_QUOTED_FROM].decode("utf-8", "replace"))[: 4 * _MOST_ERROR_CHARACTERS]
    return clean(" ".join(text.split()), _MOST_ERROR_CHARACTERS) or "(nothing)"
