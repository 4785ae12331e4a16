"""What the two older validators say of a project, and the verdict that follows from both.

The *older* one (job-runner of 2021) knows versions 1 to 3; the *newer* one (pipeline) knows 1 to 5. A file below
version 4 is accepted if either accepts it; from 4 on the newer one alone decides. So a check says whose rule it is:
`older`, `newer`, or `refuse` for what neither accepts (crashing is not accepting) and for our own rules. All of a
file's faults are told at once, because whoever has five wants to see five. Knows no rules itself.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, NoReturn

from jobs.study.errors import ENOUGH_FAULTS, MOST_FAULTS, ProjectError, bounded

NEWER_ALONE_FROM = 4
_MOST_WARNINGS = 20


class _Fault(NamedTuple):
    line: int
    number: int  # the order of discovery decides within a line
    sentence: str


class _Refused(Exception):
    """What is being read cannot be used; the finding is noted already. Ends at the nearest `going_on`."""


@dataclass
class _Faults:
    """The faults of one kind, in the order of lines; the first ones of too many."""

    count: int = 0
    _kept: list[_Fault] = field(default_factory=list)

    def add(self, line: int, sentence: str) -> None:
        self.count += 1
        self._kept.append(_Fault(line, self.count, sentence))
        if len(self._kept) > ENOUGH_FAULTS:
            self._kept = self.first()

    def first(self) -> list[_Fault]:
        return sorted(self._kept)[:MOST_FAULTS]


@dataclass
class Findings:
    """Collects refusals and warnings of one file. `version` is None while it is not known, or wrong."""

    filename: str
    version: float | None = None
    _refused: _Faults = field(default_factory=_Faults)
    _older: _Faults = field(default_factory=_Faults)
    _newer: _Faults = field(default_factory=_Faults)
    _warnings: list[str] = field(default_factory=list)

    def place(self, line: int, action: str | None = None) -> "Place":
        return Place(self, line, action)

    def is_from(self, version: float) -> bool:
        """Whether the file is of this version or a later one. One of no known version is looked at as the newest."""
        return self.version is None or self.version >= version

    @property
    def has_many(self) -> bool:
        """Whether more is wrong already than will be told."""
        return self._refused.count >= MOST_FAULTS

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """A refusal ends only this block: what comes after it may have faults of its own."""
        with contextlib.suppress(_Refused):
            yield

    def refuse(self, line: int, sentence: str) -> NoReturn:
        self._refused.add(line, sentence)
        self._end_if_enough()
        raise _Refused

    def refused_by_older(self, line: int, sentence: str) -> None:
        self._older.add(line, sentence)

    def refused_by_newer(self, line: int, sentence: str) -> None:
        self._newer.add(line, sentence)
        self._end_if_enough()

    def warn(self, sentence: str) -> None:
        self._warnings.append(sentence)

    def check(self) -> None:
        """Raises ProjectError, with all faults in the order of lines, if no validator is left that accepts the file."""
        count = self._count()
        if count:
            faults = sorted(fault for kind in self._deciding() for fault in kind.first())[:MOST_FAULTS]
            raise ProjectError.of_faults(self.filename, [fault.sentence for fault in faults], count)

    def _end_if_enough(self) -> None:
        if self._count() >= ENOUGH_FAULTS:
            self.check()

    def _count(self) -> int:
        return sum(kind.count for kind in self._deciding())

    def _deciding(self) -> list[_Faults]:
        return [self._refused, *self._of_validators()]

    def _of_validators(self) -> list[_Faults]:
        """Whose faults have to be mended beside those that neither accepts."""
        if self.version is None:
            return []  # whose rules count is not known yet
        if self.version >= NEWER_ALONE_FROM:
            return [self._newer]
        # The older rules are the laxer ones: whoever mends what they refuse has an accepted file again.
        return [self._older] if self._older.count and self._newer.count else []

    def warnings(self) -> tuple[str, ...]:
        """At most a screen of them: what was warned of, then what newer versions refuse."""
        newer = [f"{fault.sentence} Newer versions of project.yaml refuse this." for fault in self._newer.first()]
        all_of_them = [f"{self.filename} {sentence}" for sentence in self._warnings + newer]
        left_out = len(self._warnings) + self._newer.count - _MOST_WARNINGS
        more = [f"{self.filename}: {left_out} more warnings are left out."] if left_out > 0 else []
        return tuple(bounded(message) for message in all_of_them[:_MOST_WARNINGS] + more)


def unknown_entries(entries: Iterable, known: Collection[str]) -> Iterator:
    """The keys that nobody knows, until there are more than anybody would tell."""
    return islice((key for key in entries if key not in known), ENOUGH_FAULTS)


@dataclass(frozen=True)
class Place:
    """Where in the file a check looks, so that its messages name file, line and action."""

    findings: Findings
    line: int
    action: str | None = None

    def at(self, line: int) -> "Place":
        return Place(self.findings, line, self.action)

    def refuse(self, problem: str) -> NoReturn:
        self.findings.refuse(self.line, self._sentence(problem))

    def older(self, problem: str) -> None:
        self.findings.refused_by_older(self.line, self._sentence(problem))

    def newer(self, problem: str) -> None:
        self.findings.refused_by_newer(self.line, self._sentence(problem))

    def warn(self, problem: str) -> None:
        self.findings.warn(self._sentence(problem))

    def _sentence(self, problem: str) -> str:
        action = f", action '{self.action}'" if self.action else ""
        return f"line {self.line}{action}: {problem}"
