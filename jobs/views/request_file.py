"""project.yaml as a request was planned from it, with its faults, and what came in: bounded, harmless to look at."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.log import escape
from jobs.models import JobRequest
from jobs.text import without_credentials

LINES_PER_PAGE = 500
LONGEST_LINE = 2000
_BESIDE = 4
_MOST_ORIGINAL = 200_000
_ACTION = re.compile(r"""^\s{1,8}["']?([\w-]{1,255})["']?\s*:""")


@dataclass(frozen=True)
class FileLine:
    number: int
    text: str
    faults: list[str] = field(default_factory=list)
    action: str = ""


@dataclass(frozen=True)
class FilePage:
    """Lines of the file; `before` and `after` are lines by which the pages beside this one are asked for, or 0."""

    lines: list[FileLine]
    count: int
    before: int
    after: int

    @property
    def first(self) -> int:
        return self.lines[0].number

    @property
    def last(self) -> int:
        return self.lines[-1].number


def known_faults(request: JobRequest) -> list[tuple[int | None, str]]:
    """As stored, whatever was stored."""
    pairs = [each for each in request.faults if isinstance(each, list) and len(each) == 2]
    return [(line if isinstance(line, int) else None, str(sentence)) for line, sentence in pairs]


def file_page(request: JobRequest, wanted: str) -> FilePage | None:
    """The page with the wanted line, else with the first fault, else the first; None if no file was kept."""
    if request.project_file is None:
        return None
    texts = request.project_file.text.split("\n")
    faults: dict[int, list[str]] = {}
    for line, sentence in known_faults(request):
        if line:
            faults.setdefault(line, []).append(sentence)
    line = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 9 else min(faults, default=1)
    line = min(max(1, line), len(texts))
    start = (line - 1) // LINES_PER_PAGE * LINES_PER_PAGE
    shown = texts[start : start + LINES_PER_PAGE]
    ours = _actions(request, shown)
    lines = [
        FileLine(number, _short(text), faults.get(number, []), ours.get(_named(text), ""))
        for number, text in enumerate(shown, start + 1)
    ]
    after = start + LINES_PER_PAGE + 1
    return FilePage(lines, len(texts), max(0, start), after if after <= len(texts) else 0)


def excerpt_of(request: JobRequest) -> list[FileLine]:
    """The lines around the first fault that has one; none for a request without faults."""
    faulty = {line for line, _ in known_faults(request) if line}
    page = file_page(request, str(min(faulty))) if faulty else None
    if page is None:
        return []
    return [line for line in page.lines if abs(line.number - min(faulty)) <= _BESIDE]


def _named(text: str) -> str:
    found = _ACTION.match(text[:300])
    return found[1] if found else ""


def _actions(request: JobRequest, texts: Sequence[str]) -> dict[str, str]:
    """Action -> identifier of the request's job for it, of those that the lines name."""
    names = {_named(text) for text in texts} - {""}
    return dict(request.jobs.filter(action__in=names).values_list("action", "identifier"))


def _short(text: str) -> str:
    text = text.rstrip("\r")
    return escape(text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}… ({len(text)} characters)")


def original_of(request: JobRequest) -> tuple[str, bool]:
    """What came in, as pretty JSON, and whether there is more than is shown."""
    text = without_credentials(json.dumps(request.original, indent=2, ensure_ascii=False))
    lines = text[:_MOST_ORIGINAL].split("\n")
    return "\n".join(escape(line) for line in lines), len(text) > _MOST_ORIGINAL
