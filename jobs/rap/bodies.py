"""The body of a call, from bytes to an object that keeps to its schema; everything else is refused, and stored nowhere.

A job-server of today sends none of what is refused here. Others who hold a token may, and what cannot be stored, or
stops a job-server when it is sent back, must not come in.
"""

import json
import math
import re

from django.http import HttpRequest, UnreadablePostError

from jobs.rap.answers import Refused
from jobs.rap.openapi import fault

MOST_BYTES = 1_000_000
MOST_DEPTH = 20
# NUL ends PostgreSQL's patience; a lone half of a surrogate pair is no character and cannot be written as UTF-8.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def read(request: HttpRequest) -> object:
    """The body as JSON, whatever it is. Raises Refused (400)."""
    try:
        # NaN and its like are no JSON, although Python reads them. RecursionError: ten thousand brackets.
        return json.loads(_bytes(request).decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _invalid("could not parse JSON from request body") from error


def check(body: object, schema: str) -> None:
    """Raises Refused (400) unless the body is an object that keeps to one of the document's schemas."""
    if what := unstorable(body):
        raise _invalid(f"Invalid request body received: {what}")
    if what := fault(schema, body):
        raise _invalid(f"Invalid request body received{what}")


def unstorable(value: object) -> str:
    """What in a JSON value no database keeps, or no JSON may hold; empty if all is well. Goes as deep as MOST_DEPTH."""
    level = [value]
    for _ in range(MOST_DEPTH):
        for each in level:
            if isinstance(each, str) and _UNSTORABLE.search(each):
                return "a text holds NUL or half a character"
            if isinstance(each, float) and not math.isfinite(each):
                return "a number is not finite"
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return ""
    return f"it is nested deeper than {MOST_DEPTH} levels"


def _inside(value: object) -> list:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


def _bytes(request: HttpRequest) -> bytes:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not re.fullmatch("[0-9]{1,9}", str(length)) or int(length) > MOST_BYTES:
        raise _invalid(f"the request body is longer than {MOST_BYTES} bytes")
    try:
        return request.body
    except UnreadablePostError as error:
        raise _invalid("the request body could not be read to its end") from error


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _invalid(details: str) -> Refused:
    return Refused(400, "Validation error", details)
