"""Log lines that nobody can forge and that hold no secret: one record is one line, whatever a study put into it.

Action names, file names and error texts come from studies. A newline in one of them could fake a record, an escape
sequence could rewrite the operator's terminal; both are shown as their escapes. Programs read the same as JSON, one
object a line (LOG_FORMAT=json), with what the record is about as members of their own: whoever works on a job says so
once, by `about`, and all that is logged on the way bears it.
"""

import contextlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

from django.conf import settings

from jobs.text import CONTROLS, DIRECTION_MARKS, INVISIBLE

STARS = "***"
_LINE = "{asctime} {levelname} {name}: {message}"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_UNPRINTABLE = re.compile(f"(?!\t)[{CONTROLS}{DIRECTION_MARKS}{INVISIBLE}]")
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=_NOTHING)


def escape(text: str) -> str:
    r"""The text on one line: controls, marks of direction, invisible ones and undecodable bytes as \xNN or \uNNNN."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


@contextlib.contextmanager
def about(**facts: str) -> Iterator[None]:
    """What this thread logs in the block is about this `job`, `request`, `workspace`, `action`."""
    token = _about.set({**_about.get(), **facts})
    try:
        yield
    finally:
        _about.reset(token)


def facts_of(job) -> dict[str, str]:
    """What `about` is told of a Job whose request was read with it."""
    return {
        "job": job.identifier,
        "request": job.request.identifier,
        "workspace": job.workspace,
        "action": job.action,
    }


def hidden(text: str) -> str:
    """The text with stars for each of this site's secrets, however it came there (an error's text, an address)."""
    for secret in settings.LOGS_NEVER_SHOW:
        text = text.replace(secret, STARS)
    return text


class LineFormatter(logging.Formatter):
    """Escapes the message; a traceback keeps its own lines, each indented so that it cannot pass for a record."""

    def __init__(self, fmt: str = _LINE, style: str = "{"):
        super().__init__(fmt, style=style)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = escape(hidden(record.message))
        return super().formatMessage(record)

    def formatException(self, exc_info) -> str:
        lines = hidden(super().formatException(exc_info)).split("\n")
        return "\n".join("    " + escape(line) for line in lines)


class JsonFormatter(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `message`, what it is about, and `exception` where there is one; all ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": hidden(record.getMessage()),
        }
        told |= {name: hidden(str(fact)) for name, fact in _about.get().items() if name not in told}
        if record.exc_info:
            told["exception"] = hidden(self.formatException(record.exc_info))
        return json.dumps(told)
