"""Pause, database maintenance, reboot: how they stand, and switching them, first told what that does."""

import re
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from rich.table import Table
from rich.text import Text

from jobs import asking
from jobs.api.system import MOST_AHEAD_DAYS, FlagRow, flag_row
from jobs.console.asker import at_this_terminal, confirm, reason_of
from jobs.console.command import OperatorCommand, Refused, print_json
from jobs.log import escape
from jobs.models import Flag
from jobs.results import terminal
from jobs.system.effects import effects

MOST_HISTORY = 20
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_FORMATS = ("%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")


def show_flags(*, with_history: bool, as_json: bool) -> None:
    current = Flag.objects.current()
    history = list(Flag.objects.order_by("-pk")[:MOST_HISTORY]) if with_history else []
    if as_json:
        answer = {"flags": [_told(name, current.get(name)) for name in Flag.Name]}
        print_json(answer | ({"history": [_told(flag.name, flag) for flag in history]} if with_history else {}))
        return
    console = terminal()
    console.print(_table([(name, current.get(name)) for name in Flag.Name]))
    if history:
        console.print(_table([(flag.name, flag) for flag in history]))


def switch(
    name: str,
    turn: str,
    *,
    reason: str | None,
    until: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    at: str | None = None,
) -> None:
    """`at` is for a reboot: not now, but then. Raises Refused, NoReason, and Overtaken if somebody was faster."""
    turns_on = turn == "on"
    end, due = (None if text is None else moment_of(text) for text in (until, at))
    if (end or due) and not turns_on:
        raise Refused(f"{'--until' if end else '--at'} goes with `on` only.")
    if end and due and end <= due:
        raise Refused("--until has to come after --at.")
    current = Flag.objects.current().get(name)
    notes = terminal(stderr=True)
    if current and current.value:
        notes.print(Text(escape(f"It is on, set by {current.set_by}: {current.reason}")), soft_wrap=True)
    for sentence in effects(name, turns_on, due):
        notes.print(Text(sentence), soft_wrap=True)
    if dry_run:
        return
    confirm(f"Switch {name} {turn}?", yes=yes)
    seen = str(current.pk) if current else ""
    value = "on" if turns_on else ""
    flag = asking.switch(name, value, at_this_terminal(), reason_of(reason), end, due=due, seen=seen)
    if as_json:
        print_json(_told(name, flag))
    else:
        terminal().print(_table([(name, flag)]))


def moment_of(text: str) -> datetime:
    """ "90m", "2h", "1d", "22:00" (the next one), "2026-11-26 22:00"; UTC. Raises Refused."""
    now = timezone.now()
    end = _moment_of(text.strip(), now)
    if not timedelta(0) < end - now < timedelta(days=MOST_AHEAD_DAYS):
        raise Refused(f"{end:%Y-%m-%d %H:%M} UTC does not lie ahead, or by more than a year. Times are UTC.")
    return end


def _moment_of(text: str, now: datetime) -> datetime:
    if found := re.fullmatch(r"(\d{1,6})([mhd])", text, re.ASCII):
        return now + timedelta(**{_UNITS[found[2]]: int(found[1])})
    if found := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text, re.ASCII):
        today = now.astimezone(UTC).replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
        return today if today > now else today + timedelta(days=1)
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise Refused(f"{escape(text)!r} is no time: say 90m, 2h, 1d, 22:00 or '2026-11-26 22:00' (UTC).")


def _table(rows: list[tuple[str, Flag | None]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, flag in rows:
        is_on = bool(flag and flag.value)
        told = ""
        if flag:
            end = f", until {flag.expires_at:%Y-%m-%d %H:%M} UTC" if flag.expires_at else ""
            due = f", for {flag.due_at:%Y-%m-%d %H:%M} UTC" if flag.due_at else ""
            told = f"by {flag.set_by} at {flag.set_at:%Y-%m-%d %H:%M} UTC{due}{end}: {flag.reason}"
        table.add_row(Text(str(name)), Text("on", "bold yellow") if is_on else Text("off", "dim"), Text(escape(told)))
    return table


def _told(name: str, flag: Flag | None) -> dict:
    """As the API answers."""
    return FlagRow(**flag_row(name, flag)).model_dump()


class SwitchCommand(OperatorCommand):
    """Of one flag; subclasses name it."""

    flag: Flag.Name
    turns: tuple[str, ...] = ("on", "off")

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("turn", choices=self.turns)
        parser.add_argument("--reason", help="why; shown on the waiting jobs and kept in the audit")
        parser.add_argument(
            "--until", help="when it goes off by itself: 90m, 2h, 1d, 22:00 or '2026-11-26 22:00' (UTC)"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask whether to go on")
        parser.add_argument("--dry-run", action="store_true", help="say what it would do, and do nothing")

    def answer(self, *, turn: str, **options) -> int | None:
        words = ("reason", "until", "at", "yes", "dry_run", "as_json")
        switch(self.flag, turn, **{word: options[word] for word in words if word in options})
        return None
