"""What a study's author reads when project.yaml cannot be used."""

import difflib
import re
from collections.abc import Sequence

from jobs.errors import JobError
from jobs.log import escape
from jobs.text import listed

MOST_MESSAGE_BYTES = 1000
MOST_SHOWN = 80
# So many are told, and after so many no more are looked for.
MOST_FAULTS = 20
ENOUGH_FAULTS = 1000
_MOST_COMPARED = 2000
# How a sentence that is about a line begins, alone or after the file's name; a message may quote the word later.
_LINE = re.compile(r"^(?:\S{1,200} )?line (\d{1,9})\b")


class ProjectError(JobError):
    """project.yaml is refused: one line of at most MOST_MESSAGE_BYTES bytes, free of control characters.

    The text comes from a study and ends in logs, pages and the job-server, so it is made harmless here, once.
    """

    def __init__(self, message: str, lines: Sequence[str] = ()):
        super().__init__(bounded(message))
        self.lines = tuple(bounded(line) for line in lines)

    @property
    def faults(self) -> list[tuple[int | None, str]]:
        """Each with the line that it is about, for whoever shows the file; None if it is about no line."""
        sentences = self.lines[1:] or (str(self),)
        found = [(_LINE.search(sentence), sentence) for sentence in sentences]
        return [(int(line[1]) if line else None, sentence) for line, sentence in found]

    @classmethod
    def of_faults(cls, filename: str, faults: Sequence[str], count: int) -> "ProjectError":
        """All that is wrong with a file: `faults` are the first of `count`, each a sentence that begins "line N"."""
        if count == 1:
            return cls(f"{filename} {faults[0]}")
        at_least = "at least " if count >= ENOUGH_FAULTS else ""
        head = f"{filename} has {at_least}{count} faults:"
        rest = [f"And {count - len(faults)} more."] if count > len(faults) else []
        return cls(_on_one_line(head, faults, count), [head, *faults, *rest])


def _on_one_line(text: str, faults: Sequence[str], count: int) -> str:
    """As many whole sentences as fit, and how many do not."""
    for number, fault in enumerate(faults):
        longer = f"{text} {fault}"
        if number and len(escape(longer).encode()) > MOST_MESSAGE_BYTES - len(f" And {count} more."):
            return f"{text} And {count - number} more."
        text = longer
    return f"{text} And {count - len(faults)} more." if count > len(faults) else text


class UnknownAction(ProjectError):
    """Actions were asked for that project.yaml does not have."""

    def __init__(self, names: Sequence[str], known: Sequence[str], filename: str):
        candidates = [*known[:_MOST_COMPARED], "run_all"]
        spelt = {name.lower(): name for name in reversed(candidates)}
        found = [difflib.get_close_matches(str(name)[:MOST_SHOWN].lower(), spelt, n=1) for name in names[:5]]
        near = list(dict.fromkeys(shown(spelt[match[0]]) for match in found if match))
        hint = f" Did you mean {listed(near)}?" if near else ""
        valid = (
            f"Valid actions: {listed([escape(each) for each in known], most=15)}." if known else "It has no actions."
        )
        what = "Action" if len(names) == 1 else "Actions"
        super().__init__(f"{what} {listed(map(shown, names))} not found in {filename}.{hint} {valid}")


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
