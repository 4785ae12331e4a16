"""`manage.py doctor`: looks at everything that this installation stands on, each thing with what to do.

The other rooms know their own ground: each adds its examinations when Django starts (`register`), and this one runs
them all. An examination only looks, asks each thing once, and yields findings; one that hangs (a dead mount, a silent
host) or fails is a finding itself and holds up no other.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.db import connections
from django.utils.module_loading import import_string

from jobs.system.check import BAD, OFF, OK, UNKNOWN, WARN

__all__ = ["BAD", "OFF", "OK", "UNKNOWN", "WARN", "Finding", "examine", "register"]

LONGEST_SECONDS = 30.0


@dataclass(frozen=True)
class Finding:
    """`state` is one of the above; `said` is what is so, `what` is what to do where it is not well."""

    name: str
    state: str
    said: str
    what: str = ""


Examination = Callable[[], Iterable[Finding]]
_examinations: dict[str, str] = {}


def register(name: str, examination: str) -> None:
    """`name` stands for it when it hangs or fails; in the order of registration.

    `examination` is where it is ("jobs.doctor.database.examine_database"): it is imported when somebody asks, for the
    pages' processes have no business with git, Docker or the job-server.
    """
    _examinations[name] = examination


def examine(names: Iterable[str] = ()) -> Iterator[Finding]:
    """One after the other, all or those named; each may take LONGEST_SECONDS."""
    for name, examination in _examinations.items():
        if not names or name in names:
            yield from _examined(name, examination)


def names() -> list[str]:
    return list(_examinations)


def _examined(name: str, examination: str) -> list[Finding]:
    found: list[Finding] = []
    over = threading.Event()

    def run() -> None:
        try:
            for finding in import_string(examination)():
                found.append(finding)
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            found.append(Finding(name, BAD, f"it could not be examined: {said}"))
        finally:
            connections.close_all()
            over.set()

    threading.Thread(target=run, name=f"doctor-{name}", daemon=True).start()
    if over.wait(LONGEST_SECONDS):
        return found
    what = "See what it waits for: a network mount, a name server, a host behind a firewall."
    return [*found, Finding(name, BAD, f"no answer within {LONGEST_SECONDS:g} s", what)]
