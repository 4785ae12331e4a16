"""`manage.py prepare_for_reboot status`, and `on --wait`: is it safe to reboot now? The exit code tells scripts."""

import time

from rich.text import Text

from jobs.api.system import RebootAnswer, reboot_answer
from jobs.console.command import print_json
from jobs.log import escape
from jobs.models import Flag
from jobs.results import terminal
from jobs.signs import Signs
from jobs.system.reboot import OFF, PLANNED, SAFE, UNKNOWN, Readiness, readiness

LOOK_EVERY_SECONDS = 0.5
COUNTDOWN_SECONDS = 60.0
_LOOK = {SAFE: ("✓", "green"), OFF: ("-", "dim"), PLANNED: ("-", "yellow"), UNKNOWN: ("?", "yellow")}


def look() -> Readiness:
    flags = {name: flag for name, flag in Flag.objects.current().items() if flag.value}
    return readiness(flags, Signs.read())


def show(found: Readiness, *, as_json: bool) -> int:
    """0 if it is safe, else 1."""
    if as_json:
        print_json(RebootAnswer(**reboot_answer(found)).model_dump())
    else:
        sign, style = _LOOK.get(found.state, ("✗", "yellow"))
        console = terminal()
        console.print(Text(escape(f"{sign} {found.sentence}"), style), soft_wrap=True)
        for job in found.jobs:
            told = f"  {job.identifier}  {job.workspace}: {job.action}  {job.status_code}. {job.status_message}"
            console.print(Text(escape(told)), soft_wrap=True)
        if (more := found.running - len(found.jobs)) > 0:
            console.print(f"  and {more} more")
    return 0 if found.state == SAFE else 1


def wait_until_safe(*, as_json: bool) -> int:
    """Tell each change until it is safe; 1 if it is switched off meanwhile. Ctrl-C ends the wait only."""
    notes, said, told_at = terminal(stderr=True), "", 0.0
    while (found := look()).state not in (SAFE, OFF):
        # A countdown is another sentence each second.
        is_due = found.state != PLANNED or time.monotonic() - told_at >= COUNTDOWN_SECONDS
        if found.sentence != said and (is_due or not said):
            said, told_at = found.sentence, time.monotonic()
            notes.print(Text(escape(said)), soft_wrap=True)
        time.sleep(LOOK_EVERY_SECONDS)
    return show(found, as_json=as_json)
