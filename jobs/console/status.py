"""`manage.py status`: whether this backend works, as the System page says it; the exit code says it to scripts."""

from django.conf import settings
from rich.table import Table
from rich.text import Text

from jobs.console.command import print_json
from jobs.console.containers import in_words
from jobs.health import health
from jobs.log import escape
from jobs.models import Flag, Job, Quarantine
from jobs.problems import problems, warnings
from jobs.results import terminal
from jobs.signs import Signs
from jobs.system.check import BAD, OFF, OK, UNKNOWN, WARN, Check
from jobs.system.checks import checks
from jobs.system.queue import queue
from jobs.system.reboot import readiness
from jobs.system.verdict import Verdict, verdict

EXIT_CODES = {OK: 0, WARN: 1, BAD: 2}
LOOK = {OK: ("✓", "green"), WARN: ("!", "yellow"), BAD: ("✗", "bold red"), OFF: ("-", "dim"), UNKNOWN: ("?", "dim")}


def show_status(*, as_json: bool) -> int:
    """0: it works; 1: somebody should look, or has paused it; 2: somebody has to look now."""
    signs, waiting = Signs.read(), queue()
    flags = {name: flag for name, flag in Flag.objects.current().items() if flag.value}
    wrong, odd = problems(signs), warnings(signs, flags)
    said = verdict(signs, wrong, odd, Job.objects.running().count(), waiting.waiting, readiness(flags, signs))
    rows, held = checks(signs, wrong, waiting), list(Quarantine.objects.select_related("job"))
    if as_json:
        print_json(_answer(said, rows, [each.sentence for each in odd], held))
    else:
        _print(said, rows, [*(each.sentence for each in odd), *(in_words(each) for each in held)])
    return EXIT_CODES[said.state]


def _answer(said: Verdict, rows: list[Check], odd: list[str], held: list[Quarantine]) -> dict:
    found = health()
    keys = ("name", "state", "value", "limit", "what")
    return {
        "backend": settings.BACKEND,
        "status": "trouble" if found["problems"] else "ok",
        "verdict": {"state": said.state, "word": said.word, "text": said.text, "what": said.what},
        "warnings": odd,
        "quarantine": [_held(each) for each in held],
        "checks": [{key: getattr(row, key) for key in keys} for row in rows],
        **found,
    }


def _held(row: Quarantine) -> dict:
    return {
        "container": row.name,
        "job": row.job.identifier if row.job else None,
        "since": row.since,
        "last_error": row.last_error,
        "release_requested_by": row.release_requested_by,
    }


def _print(said: Verdict, rows: list[Check], odd: list[str]) -> None:
    console = terminal()
    sign, style = LOOK[said.state]
    since = f" (since {said.at:%Y-%m-%d %H:%M} UTC)" if said.at and said.state == BAD else ""
    console.print(Text(escape(f"{sign} {said.word}: {said.text}{since}"), style), soft_wrap=True)
    if said.what:
        console.print(Text(escape(f"  {said.what}")), soft_wrap=True)
    for sentence in odd:
        console.print(Text(escape(f"! {sentence}"), "yellow"), soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        sign, style = LOOK[row.state]
        table.add_row(Text(sign, style), Text(row.name), Text(_said(row)))
    console.print(table)


def _said(row: Check) -> str:
    limit = f" (limit: {row.limit})" if row.limit and row.state in (WARN, BAD) else ""
    return "\n".join(escape(line) for line in (f"{row.value}{limit}", row.what) if line)
