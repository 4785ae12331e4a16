"""`manage.py chores`: what is done beside the jobs, when and with what result; and asking for one of them."""

import time

from django.utils import timezone
from rich.table import Table
from rich.text import Text

from jobs import chores
from jobs.chores.asking import CannotAsk, ask_for_chore, known_chore
from jobs.chores.queueing import next_runs
from jobs.console.asker import at_this_terminal, confirm, reason_of
from jobs.console.command import Refused, print_json
from jobs.log import escape
from jobs.models import ChoreRun
from jobs.results import terminal
from jobs.signs import Signs
from jobs.text import duration_in_words
from jobs.wire import moment

LOOK_SECONDS, MOST_SILENT_LOOKS = 0.5, 20
_STYLES = {"done": "green", "failed": "bold red"}


def list_chores(*, as_json: bool) -> int:
    """1 if the last doing of one of them failed."""
    last, soon, run = ChoreRun.objects.last_of_each(), next_runs(), Signs.read().run
    found = chores.chores()
    if as_json:
        told = [_told(each, last.get(each.name), soon.get(each.name)) for each in found]
        print_json({"are_done": run.is_fresh and run.chores_are_on, "chores": told})
    else:
        _print(found, last, soon)
        if not run.is_fresh or not run.chores_are_on:
            why = "CHORES is off" if run.is_fresh else "the runner is silent"
            terminal(stderr=True).print(f"Nothing of this is done now: {why}.", style="yellow")
    late = chores.overdue(last)
    if late and not as_json:
        terminal(stderr=True).print(Text(f"Not done for long: {', '.join(late)}.", "yellow"), soft_wrap=True)
    return 1 if late or any(each.is_trouble for each in last.values()) else 0


def ask(name: str, argument: str, *, reason: str | None, yes: bool, wait: bool, as_json: bool) -> int:
    """Raises Refused, NoReason. 1 if it was waited for and failed."""
    try:
        chore = known_chore(name, argument)
        if chore.permission == chores.ADMINISTRATORS:
            terminal(stderr=True).print(Text(chore.what), soft_wrap=True)
            confirm(f"{chore.title}{f': {argument}' if argument else ''}?", yes=yes)
        run, is_new = ask_for_chore(name, argument, at_this_terminal(), reason_of(reason))
    except CannotAsk as error:
        names = ", ".join(each.name for each in chores.chores())
        raise Refused(f"{error} There are: {names}." if chores.chore(name) is None else str(error)) from error
    sign = Signs.read().run
    if not (sign.is_fresh and sign.chores_are_on):
        why = "CHORES is off" if sign.is_fresh else f"the runner {sign.last_heard}"
        terminal(stderr=True).print(Text(f"It waits: {why}.", "yellow"), soft_wrap=True)
    if wait:
        _wait_for(run)
    if as_json:
        print_json(_result(run) | {"is_new": is_new})
    else:
        terminal().print(_in_words(run), soft_wrap=True)
    return 1 if run.failed else 0


def _wait_for(run: ChoreRun) -> None:
    """Until it has ended. Raises Refused once the runner is silent for good: then nobody does it."""
    silent = 0
    while run.ended_at is None:
        time.sleep(LOOK_SECONDS)
        run.refresh_from_db()
        sign = Signs.read().run
        silent = 0 if sign.is_fresh else silent + 1
        if run.ended_at is None and silent >= MOST_SILENT_LOOKS:
            raise Refused(f"Nobody does it now: the runner {sign.last_heard}. It stays asked for, and is done later.")


def _told(chore: chores.Chore, last: ChoreRun | None, next_at) -> dict:
    return {
        "name": chore.name,
        "title": chore.title,
        "every_seconds": int(chore.every.total_seconds()) if chore.every else None,
        "why_off": chore.off(),
        "next_at": moment(next_at) if chore.is_scheduled else None,
        "takes": chore.takes,
        "last": _result(last) if last else None,
    }


def _result(run: ChoreRun) -> dict:
    return {
        "chore": run.chore,
        "argument": run.argument,
        "state": run.outcome or ("at work" if run.started_at else "waiting"),
        "said": run.said,
        "detail": run.detail,
        "asked_by": run.asked_by,
        "asked_at": moment(run.asked_at),
        "started_at": moment(run.started_at),
        "ended_at": moment(run.ended_at),
        "attempts": run.attempts,
    }


def _print(found: list[chores.Chore], last: dict[str, ChoreRun], soon: dict) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("chore", "when", "next", "last result"):
        table.add_column(heading, overflow="fold")
    for each in found:
        why_off = each.off()
        when = f"off: {why_off}" if why_off and each.every else each.rhythm
        next_at = soon.get(each.name) if each.is_scheduled else None
        run = last.get(each.name)
        table.add_row(
            each.name, when, f"{next_at:%Y-%m-%d %H:%M} UTC" if next_at else "–", _in_words(run) if run else "never yet"
        )
    terminal().print(table)


def _in_words(run: ChoreRun) -> Text:
    ago = (
        f", {duration_in_words(max(0.0, (timezone.now() - run.ended_at).total_seconds()))} ago" if run.ended_at else ""
    )
    text = Text(escape(run.word), _STYLES.get(run.outcome, "yellow"))
    text.append(escape(f" {run.argument}" if run.argument else ""), "default")
    text.append(ago, "dim")
    text.append(escape(f": {run.said}") if run.said else "", "default")
    return text
