"""`manage.py release_container`: have the runner ask again about a container that Docker did not answer about."""

from dataclasses import asdict

from rich.text import Text

from jobs import asking
from jobs.console.asker import at_this_terminal, confirm, reason_of
from jobs.console.command import Refused, print_json
from jobs.console.finding import one_of
from jobs.console.silence import warn_of_silence
from jobs.console.wishes import print_results
from jobs.log import escape
from jobs.models import Quarantine
from jobs.results import terminal
from jobs.text import counted


def release(called: list[str], *, reason: str | None, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Whether it was asked for of every one. Raises Refused and NoReason."""
    rows = _called(called)
    notes = terminal(stderr=True)
    for row in rows:
        notes.print(Text(escape(in_words(row))), soft_wrap=True)
    if dry_run:
        return True
    confirm(f"Have {counted(len(rows), 'container')} tried again?", yes=yes)
    results = asking.release_containers([row.name for row in rows], at_this_terminal(), reason_of(reason))
    if as_json:
        print_json({"results": [asdict(each) for each in results]})
    else:
        print_results(results, [])
    if any(each.was_done for each in results):
        warn_of_silence()
    return all(each.was_done for each in results)


def in_words(row: Quarantine) -> str:
    """One line about one of them."""
    whose = f" ({row.label})" if row.label else ""
    asked = f"; released by {row.release_requested_by}, not tried yet" if row.release_requested_at else ""
    return f"{row.name}{whose}: in quarantine since {row.since:%Y-%m-%d %H:%M} UTC: {row.last_error}{asked}"


def _called(called: list[str]) -> list[Quarantine]:
    """Each once. Raises Refused for what is neither a container in quarantine nor the job of one."""
    rows, found = list(Quarantine.objects.select_related("job")), {}
    for text in called:
        fitting = [row for row in rows if row.name == text] or [row for row in rows if _is_of_job(row, text)]
        if not fitting:
            names = ", ".join(row.name for row in rows) or "none"
            raise Refused(f"No container in quarantine is, or is of a job, {escape(text)!r}. In quarantine: {names}.")
        chosen = one_of(fitting, [escape(in_words(row)) for row in fitting], f"Several fit {escape(text)}")
        found[chosen.pk] = chosen
    return list(found.values())


def _is_of_job(row: Quarantine, beginning: str) -> bool:
    return bool(row.job and beginning and row.job.identifier.startswith(beginning.lower()))
