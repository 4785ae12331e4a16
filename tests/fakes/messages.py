"""What goes over the wire, as values: a request as it arrived, and an answer with the way in which it is delivered."""

import enum
import functools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HTML = "text/html; charset=utf-8"
JSON = "application/json"


class Headers(dict):
    """Names in lower case; of repeated ones the last."""

    def __init__(self, headers: Mapping[str, str] | list[tuple[str, str]] = ()):
        super().__init__({name.lower(): value for name, value in dict(headers).items()})


@dataclass(frozen=True)
class Received:
    method: str
    target: str  # path and query, as it came
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    at: float = 0.0  # seconds of time.monotonic()
    time: datetime | None = None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @functools.cached_property
    def jobs(self) -> list[dict] | None:
        """The jobs in the body, or None if it is not a list of objects."""
        try:
            payload = json.loads(self.body)
        except ValueError:
            return None
        is_jobs = isinstance(payload, list) and all(isinstance(each, dict) for each in payload)
        return payload if is_jobs else None

    @property
    def request_ids(self) -> list[str]:
        """The job requests that the body speaks of, each once, in the order in which they first occur."""
        return list(dict.fromkeys(str(job.get("job_request_id")) for job in self.jobs or []))


class Delivery(enum.Enum):
    WHOLE = "at once"
    DRIP = "the body byte by byte"
    DRIP_ALL = "the headers too"
    CUT = "half of it, then the connection is closed"
    DROP = "nothing, the connection is closed"
    NEVER = "nothing, until the client gives up or the fake stops"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    content_type: str | None = JSON
    headers: tuple[tuple[str, str], ...] = ()
    delivery: Delivery = Delivery.WHOLE
    seconds_per_byte: float = 0.2
    raw: bytes | None = None  # these bytes instead of an HTTP answer
    gate: threading.Event | None = None  # the answer waits for it

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def json_answer(status: int, content: Any, *headers: tuple[str, str]) -> Answer:
    return Answer(status, json.dumps(content).encode(), JSON, headers)


def html_answer(status: int, text: str = "", *headers: tuple[str, str]) -> Answer:
    page = f"<!DOCTYPE html><title>{text}</title><h1>{text}</h1>" if text else ""
    return Answer(status, page.encode(), HTML, headers)
