"""The web beside a database that is not (yet) the one that this version needs: it says so, and waits.

An update has such a moment. Pages that fail one by one would hide what has to be done, and a web process that ends
would be started again and again; so each call is answered with what is wrong, until it is not. Once it was right it is
not looked at again: a process of the older version goes on beside tables that are a step ahead.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable

from django.core.management import CommandError
from django.db import DatabaseError, connection

from jobs.schema import check_database

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# The calls that are told nothing of the database (jobs.health).
_ALIVE = ("/livez", "/livez/")
_NOT_YET = "The database does not answer, or is not the one that is needed: see the log of the web process."
Wsgi = Callable[[dict, Callable], Iterable[bytes]]


def once_set_up(application: Wsgi) -> Wsgi:
    is_right, said, next_look = False, "", 0.0

    def answer(environ: dict, start_response: Callable) -> Iterable[bytes]:
        nonlocal is_right, said, next_look
        if is_right or environ.get("PATH_INFO") in _ALIVE:
            return application(environ, start_response)
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + LOOK_SECONDS
            trouble = _trouble()
            if trouble and trouble != said:
                log.error("%s Until then each call is answered with an error 503.", trouble)
            # Where the look itself failed, the pages say what they meet, and it is looked again.
            is_right, said = trouble == "", trouble or ""
        return application(environ, start_response) if not said else _refused(start_response)

    return answer


def _trouble() -> str | None:
    """Empty if all is well; None if that could not be found out."""
    try:
        check_database()
    except CommandError as error:
        return str(error)
    except DatabaseError:
        return None
    finally:
        connection.close()
    return ""


def _refused(start_response: Callable) -> Iterable[bytes]:
    """In the form of /healthz/, for monitors and people alike; without a path, as nobody has said who asks."""
    body = json.dumps({"status": "trouble", "problems": [_NOT_YET], "run": None, "sync": None}).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Retry-After", "10"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    start_response("503 Service Unavailable", headers)
    return [body]
