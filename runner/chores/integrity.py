"""Is what lies in storage what was stored?

Each workspace is looked at once a day, and all of its files are read once a week, a few workspaces at a time. What is
found stays in `StorageCheck`, for the pages and for notices.
"""

import time
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from jobs.chores import ChoreFailed, Done
from jobs.errors import Stopped
from jobs.models import ChoreRun, StorageCheck
from jobs.models.storage_check import MOST_FINDINGS
from jobs.text import counted, listed
from jobs.wire import clean
from runner.verifying import HIGH, MANIFEST, UNKNOWN, Finding, Verified, verify, workspaces

QUICK_EVERY, FULL_EVERY = timedelta(hours=20), timedelta(days=7)
# The queue ends a chore after ten minutes.
SECONDS = 420.0
_MOST_TEXT = 300


def check_storage(run: ChoreRun) -> Done:
    """Of the workspace that somebody asked for, else of those that are due. Raises ChoreFailed: there are faults."""
    deadline = time.monotonic() + SECONDS
    if run.argument:
        if run.argument not in workspaces():
            StorageCheck.objects.filter(workspace=run.argument).delete()
            raise ChoreFailed("There is no such workspace in storage; what was known of it is forgotten.")
        due = [(run.argument, True)]
    else:
        due = StorageCheck.objects.due(workspaces(), quick=QUICK_EVERY, full=FULL_EVERY)
    faults, notes, looked = [], [], 0
    for name, reads in due:
        if time.monotonic() > deadline:
            break
        result, note = _look(name, reads, lambda: time.monotonic() > deadline)
        looked += 1
        notes += [note] if note else []
        if not result.is_sound:
            faults.append(name)
    if not run.argument:  # what was found before is as wrong as it was
        faults = list(StorageCheck.objects.with_faults().values_list("workspace", flat=True))
    said = "; ".join([f"{counted(looked, 'workspace')} looked at", *notes])
    if faults:
        raise ChoreFailed(f"{said}. Not as it was stored: {listed(faults, most=5)}. See `manage.py verify_workspace`.")
    return Done(f"{said}, all as it was stored" if looked else "no workspace was due", {"looked": looked})


def _look(name: str, reads: bool, is_late: Callable[[], bool]) -> tuple[Verified, str]:
    """And a note, if its files are too many to be read in the time."""
    try:
        result, note = verify(name, reads_contents=reads, should_stop=is_late), ""
    except Stopped:
        reads, note = False, f"{name} is too large to be read here: run `manage.py verify_workspace {name}` yourself"
        result = verify(name, reads_contents=False)
    except OSError as error:  # the others are looked at all the same
        text = f"cannot be read: {error.strerror or type(error).__name__}"
        result, note = Verified(name, findings=[Finding(MANIFEST, HIGH, "", text)]), f"{name} {text}"
    _store(result, reads or bool(note))
    return result, note


def _store(result: Verified, was_read: bool) -> None:
    faults = [finding for finding in result.findings if finding.kind != UNKNOWN]
    now = timezone.now()
    columns = {
        "at": now,
        "is_sound": result.is_sound,
        "files": result.files,
        "number": len(faults),
        "findings": [
            {
                "kind": finding.kind,
                "storage": finding.storage,
                "path": clean(finding.path, _MOST_TEXT),
                "text": clean(finding.text, _MOST_TEXT),
            }
            for finding in faults[:MOST_FINDINGS]
        ],
    }
    if was_read:
        columns["read_at"] = now
    StorageCheck.objects.update_or_create(workspace=result.workspace, defaults=columns)
