"""What a runner sent to the fake job-server, and what a good one never sends. May be asked from any thread.

`complaints()` says in sentences all that a runner must never do (section 1.9 of the contract); a test asserts that
there are none. A test that provokes one on purpose asks the single question instead.
"""

import itertools
import threading
from dataclasses import dataclass
from typing import Any

from tests.fakes.answers import JOBS_PATH, METHODS
from tests.fakes.messages import Received

FINAL = ("succeeded", "failed")
FOLLOWED_PATH = "/followed/"  # where redirects of the fake lead: whoever comes here has followed one


@dataclass(frozen=True)
class Told:
    """One job in one POST."""

    identifier: str
    request: str  # identifier of its job request
    action: str
    status: str
    status_code: str
    post: Received | None  # None: an answer of the runner's RAP API
    stored: bool  # False: the fake refused the POST, or a fault kept it away

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


def as_told(job: dict, request: str, post: Received | None, stored: bool) -> Told:
    words = {key: str(job.get(key)) for key in ("identifier", "action", "status", "status_code")}
    return Told(request=request, post=post, stored=stored, **words)


class Journal:
    def __init__(self, tokens: set[str]):
        self._tokens = tokens
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._told: list[Told] = []

    def arrived(self, received: Received) -> None:
        with self._lock:
            self._received.append(received)

    def answered(self, received: Received, stored: bool) -> None:
        """Note the jobs of a POST once it is known whether they were stored."""
        if (received.method, received.path) != ("POST", JOBS_PATH):
            return
        with self._lock:
            self._told += [
                as_told(job, str(job.get("job_request_id")), received, stored) for job in received.jobs or []
            ]

    def heard(self, content: Any) -> None:
        """Note the jobs of an answer to rap/status."""
        jobs = content.get("jobs") if isinstance(content, dict) else None
        with self._lock:
            self._told += [as_told(job, str(job.get("rap_id")), None, True) for job in jobs or []]

    @property
    def received(self) -> list[Received]:
        """Everything that arrived, in order, the page's requests too."""
        with self._lock:
            return list(self._received)

    @property
    def gets(self) -> list[Received]:
        return [each for each in self.received if each.method == "GET" and each.path in METHODS]

    @property
    def posts(self) -> list[Received]:
        """What was posted to jobs/, stored or not, without those that a fault still holds back."""
        return [each for each in self.received if (each.method, each.path) == ("POST", JOBS_PATH)]

    def posts_of(self, request: str) -> list[Received]:
        return [each for each in self.posts if request in each.request_ids]

    @property
    def told(self) -> list[Told]:
        with self._lock:
            return list(self._told)

    def told_of(self, job: str) -> list[Told]:
        """All that was said of a job, stored or not, in order."""
        return [each for each in self.told if each.identifier == job]

    def last_statuses(self) -> dict[str, str]:
        """Identifier of a job -> the last status that was stored of it."""
        return {each.identifier: each.status for each in self.told if each.stored}

    def contradicted(self) -> list[str]:
        """The jobs of which a final status, stored or not, was followed by another one."""
        final: dict[str, Told] = {}
        found = []
        for each in self.told:
            before = final.get(each.identifier)
            if before and (before.status, before.status_code) != (each.status, each.status_code):
                found.append(each.identifier)
            if each.is_final:
                final.setdefault(each.identifier, each)
        return list(dict.fromkeys(found))

    def dropped_jobs(self) -> list[tuple[str, str]]:
        """(request, job): a job that was told before is missing in a later POST of its request, so it was deleted."""
        known: dict[str, set[str]] = {}
        found = []
        for post in self.posts:
            for request in post.request_ids:
                sent = {str(job.get("identifier")) for job in post.jobs if str(job.get("job_request_id")) == request}
                found += [(request, job) for job in sorted(known.get(request, set()) - sent)]
                known[request] = sent
        return found

    def interleaved(self) -> list[Received]:
        """POSTs in which the jobs of one request do not stand together."""
        found = []
        for post in self.posts:
            runs = [key for key, _ in itertools.groupby(str(job.get("job_request_id")) for job in post.jobs or [])]
            if len(runs) != len(set(runs)):
                found.append(post)
        return found

    def empty_posts(self) -> list[Received]:
        return [post for post in self.posts if post.jobs == []]

    def with_header(self, name: str) -> list[Received]:
        return [each for each in self._of_the_api() if name in each.headers]

    def wrongly_authorized(self) -> list[Received]:
        """Without exactly one of the tokens: without any, with a wrong one, or with a word before it."""
        return [each for each in self._of_the_api() if each.headers.get("authorization") not in self._tokens]

    def followed_redirects(self) -> list[Received]:
        return [each for each in self.received if each.path.startswith(FOLLOWED_PATH)]

    def _of_the_api(self) -> list[Received]:
        return [each for each in self.received if each.path.startswith(("/api/", FOLLOWED_PATH))]

    def complaints(self) -> list[str]:
        """A sentence for everything that arrived and that a good runner never sends."""
        found = [
            *(("a cookie came back", each) for each in self.with_header("cookie")),
            *(("Expect was sent", each) for each in self.with_header("expect")),
            *(("the body was compressed", each) for each in self.with_header("content-encoding")),
            *(("the token was missing or wrong", each) for each in self.wrongly_authorized()),
            *(("a redirect was followed", each) for each in self.followed_redirects()),
            *(("an empty list was posted", each) for each in self.empty_posts()),
            *(("the jobs of two requests were mixed", each) for each in self.interleaved()),
        ]
        sentences = [f"{each.method} {each.path}: {what}" for what, each in found]
        sentences += [f"job {job} was left out of a POST of request {request}" for request, job in self.dropped_jobs()]
        return sentences + [f"job {job} was contradicted after its end" for job in self.contradicted()]
