"""What may go wrong between a runner and a job-server, as values: `server.fault(status(500), on="POST", times=3)`.

A fault is a function of the received request and of `act`, which does what the job-server really does and returns its
answer. A fault that does not call `act` keeps the request away from the store; one that does may spoil the answer
afterwards, which the store does not undo: that is how "stored, but the answer was lost" comes about.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.fakes.journal import FOLLOWED_PATH
from tests.fakes.messages import HTML, Answer, Delivery, Received, html_answer, json_answer

Act = Callable[[], Answer]
Change = Callable[[Received, Act], Answer]
When = Callable[[Received], bool]


@dataclass
class Fault:
    """Also a context manager: it ends with the block."""

    change: Change
    on: str | None  # "GET" or "POST"; None: both
    times: int | None  # None: until further notice
    when: When | None
    happened: int = 0
    stopped: bool = False

    def concerns(self, received: Received) -> bool:
        is_over = self.stopped or (self.times is not None and self.happened >= self.times)
        return not is_over and self.on in (None, received.method) and (self.when is None or self.when(received))

    def stop(self) -> None:
        self.stopped = True

    def __enter__(self) -> "Fault":
        return self

    def __exit__(self, *error) -> None:
        self.stop()


class Faults:
    """The switches of one server. Of several faults that concern a request the first one happens."""

    def __init__(self):
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, change: Change, on: str | None = None, times: int | None = None, when: When | None = None) -> Fault:
        fault = Fault(change, on, times, when)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, received: Received) -> Fault | None:
        with self._lock:
            fault = next((each for each in self._faults if each.concerns(received)), None)
            if fault:
                fault.happened += 1
            return fault


def holds(identifier: str) -> When:
    """Only POSTs with jobs of that request."""
    return lambda received: identifier in received.request_ids


# What happens instead of the real thing: nothing is stored.


def status(code: int, body: str = "json", *headers: tuple[str, str]) -> Change:
    """An answer of that status with a body of "json", "html" or "empty", perhaps with headers such as Retry-After."""
    bodies = {
        "json": json_answer(code, {"detail": "a fault of the fake job-server"}, *headers),
        "html": html_answer(code, "A fault of the fake job-server", *headers),
        "empty": Answer(code, b"", None, headers),
    }
    return lambda received, act: bodies[body]


def never_answers() -> Change:
    return lambda received, act: Answer(200, delivery=Delivery.NEVER)


def dropped() -> Change:
    """The connection is closed without a word."""
    return lambda received, act: Answer(200, delivery=Delivery.DROP)


def garbage(content: bytes = b"\x00\xff\xfe\x16\x03\x01" * 40) -> Change:
    """Bytes that are no HTTP."""
    return lambda received, act: Answer(200, raw=content)


def login_page() -> Change:
    """HTML with status 200, as a proxy answers that wants something."""
    return lambda received, act: html_answer(200, "Please log in")


def redirect(code: int = 302) -> Change:
    """To the same path under FOLLOWED_PATH of another host name of this machine: the journal sees who follows."""

    def change(received: Received, act: Act) -> Answer:
        _, _, port = received.headers.get("host", "").partition(":")
        location = f"http://localhost:{port}{FOLLOWED_PATH}{received.target.lstrip('/')}"
        return html_answer(code, "", ("Location", location))

    return change


# What happens to the real answer: a POST has been stored.


def delivered(delivery: Delivery, seconds_per_byte: float = 0.2) -> Change:
    """The right answer in a wrong way: Delivery.DRIP, DRIP_ALL or CUT."""
    return lambda received, act: replace(act(), delivery=delivery, seconds_per_byte=seconds_per_byte)


def lost_answer() -> Change:
    """Done, but the client never hears of it."""
    return lambda received, act: replace(act(), delivery=Delivery.DROP)


def held(gate: threading.Event) -> Change:
    """Done, but the answer comes when the test sets the gate: what does the client do meanwhile?"""
    return lambda received, act: replace(act(), gate=gate)


def partial_json() -> Change:
    """The first half of the body, with a Content-Length that says so."""

    def change(received: Received, act: Act) -> Answer:
        answer = act()
        return replace(answer, body=answer.body[: len(answer.body) // 2])

    return change


def binary_body(content: bytes = b"\x00\xff\xfe garbage \x80" * 20) -> Change:
    """Said to be JSON."""
    return lambda received, act: replace(act(), body=content)


def called_html() -> Change:
    """The right JSON under the wrong name."""
    return lambda received, act: replace(act(), content_type=HTML)


def with_cookie() -> Change:
    def change(received: Received, act: Act) -> Answer:
        answer = act()
        return replace(answer, headers=(*answer.headers, ("Set-Cookie", "sessionid=not-to-be-kept; Path=/")))

    return change
