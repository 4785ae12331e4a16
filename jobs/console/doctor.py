"""`manage.py doctor`: the findings as they come, and an exit code for scripts."""

from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from jobs.console.command import Refused, print_json
from jobs.console.status import EXIT_CODES, LOOK
from jobs.doctor import BAD, OFF, OK, UNKNOWN, WARN, Finding, examine, names
from jobs.log import escape, hidden
from jobs.results import terminal
from jobs.text import listed


def consult(parts: list[str], *, as_json: bool) -> int:
    """0: all well; 1: somebody should look; 2: something does not work. Raises Refused."""
    if unknown := set(parts) - set(names()):
        raise Refused(f"There is nothing called {escape(listed(sorted(unknown)))}. There is: {', '.join(names())}.")
    found: list[Finding] = []
    for finding in examine(parts):
        found.append(finding)
        if not as_json:
            _print(terminal(), finding)
    worst = max((EXIT_CODES.get(finding.state, 0) for finding in found), default=0)
    if as_json:
        print_json({"state": {0: OK, 1: WARN, 2: BAD}[worst], "findings": [_told(finding) for finding in found]})
    return worst


def _told(finding: Finding) -> dict:
    return {key: hidden(value) for key, value in asdict(finding).items()}


def _print(console: Console, finding: Finding) -> None:
    sign, style = LOOK[finding.state if finding.state in LOOK else UNKNOWN]
    line = Text(f"{sign} ", style) + Text(f"{finding.name}: ", "bold") + Text(escape(hidden(finding.said)))
    console.print(line, soft_wrap=True)
    if finding.what and finding.state not in (OK, OFF):
        console.print(Text(escape(hidden(f"    {finding.what}"))), soft_wrap=True)
