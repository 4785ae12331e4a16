"""What the two older validators say of a project, and the verdict that follows from both.

The *older* one (job-runner of 2021) knows versions 1 to 3; the *newer* one (pipeline) knows 1 to 5. A file below
version 4 is accepted if either accepts it; from 4 on the newer one alone decides. So a check says whose rule it is:
`older`, `newer`, or `refuse` for what neither accepts (crashing is not accepting) and for our own rules. Knows no rules
itself.
"""

from dataclasses import dataclass, field
from typing import NoReturn

from jobs.study.errors import ProjectError, bounded

NEWER_ALONE_FROM = 4
_MOST_WARNINGS = 20


@dataclass
class Findings:
    """Collects refusals and warnings of one file; raises ProjectError as soon as no validator is left to accept it."""

    filename: str
    version: float = 1.0
    _older: str = ""
    _newer: list[str] = field(default_factory=list)
    _warnings: list[str] = field(default_factory=list)

    def place(self, line: int, action: str | None = None) -> "Place":
        return Place(self, line, action)

    @property
    def newer_alone(self) -> bool:
        return self.version >= NEWER_ALONE_FROM

    def refused_by_older(self, message: str) -> None:
        if self.newer_alone:
            return
        self._older = self._older or message
        self._decide()

    def refused_by_newer(self, message: str) -> None:
        if self.newer_alone:
            raise ProjectError(message)
        self._newer.append(message)
        self._decide()

    def warn(self, message: str) -> None:
        self._warnings.append(message)

    def warnings(self) -> tuple[str, ...]:
        """At most a screen of them: what was warned of, then what newer versions refuse."""
        all_of_them = self._warnings + [
            f"{message} Newer versions of project.yaml refuse this." for message in self._newer
        ]
        left_out = len(all_of_them) - _MOST_WARNINGS
        more = [f"{self.filename}: {left_out} more warnings are left out."] if left_out > 0 else []
        return tuple(bounded(message) for message in all_of_them[:_MOST_WARNINGS] + more)

    def _decide(self) -> None:
        # The older rules are the laxer ones: whoever mends what they refuse has an accepted file again.
        if self._older and self._newer:
            raise ProjectError(self._older)


@dataclass(frozen=True)
class Place:
    """Where in the file a check looks, so that its messages name file, line and action."""

    findings: Findings
    line: int
    action: str | None = None

    def at(self, line: int) -> "Place":
        return Place(self.findings, line, self.action)

    def refuse(self, problem: str) -> NoReturn:
        raise ProjectError(self._sentence(problem))

    def older(self, problem: str) -> None:
        self.findings.refused_by_older(self._sentence(problem))

    def newer(self, problem: str) -> None:
        self.findings.refused_by_newer(self._sentence(problem))

    def warn(self, problem: str) -> None:
        self.findings.warn(self._sentence(problem))

    def _sentence(self, problem: str) -> str:
        action = f", action '{self.action}'" if self.action else ""
        return f"{self.findings.filename} line {self.line}{action}: {problem}"
