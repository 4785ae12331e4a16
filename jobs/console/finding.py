"""From the beginning of an identifier to the row that is meant. Where several begin so, a person is asked which."""

import sys
from collections.abc import Callable, Sequence

from django.db.models import Model, QuerySet

from jobs.console.command import Refused
from jobs.log import escape
from jobs.models import Job, JobRequest
from jobs.models.beginnings import beginning_with

MOST_CANDIDATES = 10
_LARGE_OF_REQUESTS = ("request__original", "request__graph", "request__study_actions")


def job_called(beginning: str) -> Job:
    """Raises Refused if there is none, or several and nobody to ask."""
    jobs = Job.objects.select_related("request").defer(*_LARGE_OF_REQUESTS)
    return _only(beginning, jobs, "job", lambda job: f"{job.workspace}: {job.action}, {job.status_code}")


def request_called(beginning: str) -> JobRequest:
    """As job_called."""
    requests = JobRequest.objects.defer("original", "graph")
    return _only(beginning, requests, "request", lambda each: f"{each.workspace}, of {each.created_by or 'somebody'}")


def _only(beginning: str, rows: QuerySet, kind: str, about: Callable[[Model], str]) -> Model:
    found = _beginning_so(beginning, rows) or _beginning_so(beginning.lower(), rows)
    if not found:
        raise Refused(f"No {kind} is called {escape(beginning)!r} or begins so. `manage.py jobs` lists the newest.")
    # The shortest comes first, so a whole identifier is the first of them.
    if len(found) == 1 or found[0].identifier.lower() == beginning.lower():
        return found[0]
    lines = [f"{row.identifier}  {escape(about(row))}" for row in found[:MOST_CANDIDATES]]
    if len(found) > MOST_CANDIDATES:
        lines.append("… and more")
    return one_of(found, lines, f"Several {kind}s begin with {escape(beginning)}")


def one_of(found: Sequence[Model], lines: Sequence[str], headline: str) -> Model:
    """Whichever a person chooses by its line, if there are several. Raises Refused if there is nobody to ask."""
    if len(found) == 1:
        return found[0]
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"{headline}; give more letters:\n  " + "\n  ".join(lines))
    return found[_chosen(lines[:MOST_CANDIDATES], f"{headline}:")]


def _beginning_so(beginning: str, rows: QuerySet) -> list:
    if not beginning or "\0" in beginning:
        return []
    begin_so = rows.filter(**beginning_with("identifier", beginning))
    return list(begin_so.order_by("identifier")[: MOST_CANDIDATES + 1])


def _chosen(lines: Sequence[str], headline: str) -> int:
    """The index of the one that was chosen. Raises Refused for no number of the list."""
    numbered = [f"  {number}  {line}" for number, line in enumerate(lines, start=1)]
    answer = asked("\n".join([headline, *numbered, "Which one? "]))
    if not (answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(lines)):
        raise Refused("None was chosen.")
    return int(answer) - 1


def asked(question: str) -> str:
    """What somebody types; the question goes to stderr, so that stdout holds results only."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline(10_000).strip()
