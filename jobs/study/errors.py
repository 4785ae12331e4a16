"""What a study's author reads when project.yaml cannot be used."""

import difflib
from collections.abc import Sequence

from jobs.errors import JobError
from jobs.log import escape
from jobs.text import listed

MOST_MESSAGE_BYTES = 1000
MOST_SHOWN = 80
_MOST_COMPARED = 2000


class ProjectError(JobError):
    """project.yaml is refused: one line of at most MOST_MESSAGE_BYTES bytes, free of control characters.

    The text comes from a study and ends in logs, pages and the job-server, so it is made harmless here, once.
    """

    def __init__(self, message: str):
        super().__init__(bounded(message))


class UnknownAction(ProjectError):
    """An action was asked for that project.yaml does not have."""

    def __init__(self, name: str, known: Sequence[str], filename: str):
        near = difflib.get_close_matches(str(name)[:MOST_SHOWN], known[:_MOST_COMPARED], n=1)
        hint = f" Did you mean {shown(near[0])}?" if near else ""
        valid = (
            f"Valid actions: {listed([escape(each) for each in known], most=15)}." if known else "It has no actions."
        )
        super().__init__(f"Action {shown(name)} not found in {filename}.{hint} {valid}")


def bounded(message: str) -> str:
    """The message on one line of at most MOST_MESSAGE_BYTES bytes."""
    line = escape(message[: 2 * MOST_MESSAGE_BYTES].strip())
    if len(line.encode()) <= MOST_MESSAGE_BYTES:
        return line
    return line.encode()[: MOST_MESSAGE_BYTES - 3].decode("utf-8", "ignore") + "…"


def shown(value: object) -> str:
    """A piece of the study in quotes, for a sentence: its beginning if it is long."""
    text = value if isinstance(value, str) else describe(value)
    return f"'{text[:MOST_SHOWN]}…'" if len(text) > MOST_SHOWN else f"'{text}'"


def describe(value: object) -> str:
    """A value as its author would name it: lists and dictionaries by their kind, other values as written."""
    if isinstance(value, dict):
        return "a dictionary"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
