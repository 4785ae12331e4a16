"""The daily copy of the database (`jobs.snapshots`), with its retention."""

from jobs import snapshots
from jobs.chores import ChoreFailed, Done
from jobs.models import ChoreRun
from jobs.text import counted, size_in_words


def snapshot(run: ChoreRun) -> Done:
    try:
        taken = snapshots.take()
    except snapshots.NoSnapshot as error:
        raise ChoreFailed(str(error)) from error
    kept = counted(len(snapshots.snapshots()), "snapshot")
    return Done(f"{taken.path.name}, {size_in_words(taken.size)}; {kept} there", {"size": taken.size})
