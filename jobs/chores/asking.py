"""Asking for a chore: from a page or a command alike, with an audit row in the same transaction."""

from django.db import transaction

from jobs.chores import Chore, chore
from jobs.models import AuditEntry, ChoreRun, Who
from jobs.reasons import cleaned_reason

LONGEST_ARGUMENT = 255


class CannotAsk(Exception):
    """There is no such chore, or it lacks what it takes; the message says so."""


def known_chore(name: str, argument: str) -> Chore:
    """Raises CannotAsk."""
    found = chore(name)
    if found is None:
        raise CannotAsk("There is no such chore.")
    if argument and not found.takes:
        raise CannotAsk(f"“{found.title}” takes nothing more.")
    if found.needs_argument and not argument:
        raise CannotAsk(f"Name a {found.takes}.")
    if len(argument) > LONGEST_ARGUMENT or not argument.isprintable():
        raise CannotAsk(f"That is no name of a {found.takes}.")
    return found


def ask_for_chore(name: str, argument: str, who: Who, reason: str) -> tuple[ChoreRun, bool]:
    """The row that waits for a worker, and whether it is new. Raises CannotAsk, NoReason."""
    reason = cleaned_reason(reason)
    known_chore(name, argument)
    with transaction.atomic():
        run, is_new = ChoreRun.objects.ask(name, argument, by=who.name, via=who.via, reason=reason)
        if is_new:
            AuditEntry.note(
                who, "chore", object_kind="chore", object_id=f"{name} {argument}".strip()[:255],
                label=f"{name} {argument}".strip()[:512], after="asked for", reason=reason,
            )  # fmt: skip
    return run, is_new
