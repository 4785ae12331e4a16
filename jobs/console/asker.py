"""Who asks from this terminal, and why: for the audit."""

import getpass
import os
import sys

from jobs.console.command import Refused
from jobs.console.finding import asked
from jobs.models import AuditEntry, Who


def at_this_terminal() -> Who:
    """Who logged in to it, also behind `sudo`; without a terminal whose process it is."""
    for name in (os.getlogin, getpass.getuser):
        try:
            return Who(name(), AuditEntry.Via.COMMAND)
        except (KeyError, OSError):
            continue
    return Who("somebody at the terminal", AuditEntry.Via.COMMAND)


def is_attended() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def reason_of(given: str | None, question: str = "Why? ") -> str:
    """As given, or as typed. Raises Refused where nobody can be asked."""
    if given is not None:
        return given
    if not is_attended():
        raise Refused("Say why: --reason '…'. It is kept in the audit.")
    return asked(question)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person; a script has said what it wants. Raises Refused for anything but yes."""
    if yes or not is_attended():
        return
    if asked(f"{question} [y/N] ").lower() not in ("y", "yes"):
        raise Refused("Nothing was changed.")
