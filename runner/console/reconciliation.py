"""`manage.py reconcile`: what is left over without a job that needs it, shown first, then removed."""

from dataclasses import asdict

from rich.text import Text

from jobs.console.asker import at_this_terminal, confirm, reason_of
from jobs.console.command import Refused, print_json
from jobs.log import escape
from jobs.results import terminal
from jobs.text import counted
from runner.executors import from_settings
from runner.executors.base import ExecutorUnavailable
from runner.reconciling import GRACE, Found, Leftover, look, remove


def reconcile(*, dry_run: bool, reason: str | None, yes: bool, as_json: bool) -> int:
    """0 if nothing is left over any more, else 1. Raises Refused, NoReason."""
    executor = from_settings()
    try:
        found = look(executor)
    except ExecutorUnavailable as error:
        raise Refused(f"{error} Without the engine's answer nothing can be told apart.") from error
    notes = terminal(stderr=True)
    if not as_json:
        _print(found)
    if dry_run or not found.leftovers:
        if as_json:
            print_json(_answer(found, {}))
        return 1 if found.leftovers else 0
    confirm(f"Remove {'it' if len(found.leftovers) == 1 else 'all of these'}?", yes=yes)
    who, why = at_this_terminal(), reason_of(reason)
    troubles = {leftover: remove(leftover, executor, who, why) for leftover in found.leftovers}
    left = {leftover: trouble for leftover, trouble in troubles.items() if trouble}
    if as_json:
        print_json(_answer(found, troubles))
    for leftover, trouble in left.items():
        notes.print(Text(escape(f"✗ {leftover.name}: {trouble}"), "bold red"), soft_wrap=True)
    if not as_json:
        notes.print(f"{counted(len(troubles) - len(left), 'leftover')} removed.")
    return 1 if left else 0


def _answer(found: Found, troubles: dict[Leftover, str]) -> dict:
    """`removed` is null where nothing was tried."""
    told = []
    for leftover in found.leftovers:
        trouble = troubles.get(leftover)
        told.append({**asdict(leftover), "removed": None if trouble is None else not trouble, "trouble": trouble or ""})
    return {"leftovers": told, "spared_as_young": found.young, "missing": found.missing}


def _print(found: Found) -> None:
    console = terminal()
    for each in found.leftovers:
        age = f", since {each.since:%Y-%m-%d %H:%M} UTC" if each.since else ""
        console.print(Text(escape(f"{each.kind}  {each.name}")), soft_wrap=True)
        console.print(Text(escape(f"    {each.why}{age}"), "dim"), soft_wrap=True)
    if not found.leftovers:
        console.print(Text("✓ Nothing is left over.", "green"))
    if found.young:
        minutes = int(GRACE.total_seconds() // 60)
        console.print(f"{found.young:,} more, younger than {minutes} minutes: spared for now.")
    for sentence in found.missing:
        console.print(Text(escape(f"! {sentence}"), "yellow"), soft_wrap=True)
