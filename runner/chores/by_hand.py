"""Chores that are mostly asked for on the pages: images, exports, leftovers, outdated outputs.

Each does what the command of that name does, by the same function, in the name of whoever asked.
"""

import time

from django.conf import settings

from jobs.chores import ChoreFailed, Done
from jobs.errors import Stopped
from jobs.models import AuditEntry, ChoreRun, Who
from jobs.text import counted, listed, size_in_words
from runner import images, reconciling
from runner.executors import engine_of_site, from_settings
from runner.executors.base import ExecutorUnavailable
from runner.exporting import NoExport, export
from runner.pruning import Busy, outdated, prune
from runner.verifying import workspaces
from runner.workspaces.files import StorageUnavailable

SECONDS = 480.0
_BY_SCHEDULE = "UPDATE_IMAGES_DAILY is on."


def update_images(run: ChoreRun) -> Done:
    if settings.EXECUTOR != "docker":
        raise ChoreFailed("EXECUTOR is fake: there are no images.")
    engine = engine_of_site()
    try:
        wanted = images.wanted_images(engine, [run.argument] if run.argument else [])
        found = list(images.update(engine, wanted, _who(run), run.reason or _BY_SCHEDULE))
    except (images.NoSuchImages, ExecutorUnavailable) as error:
        raise ChoreFailed(str(error)) from error
    updated = [each.name for each in found if each.outcome == images.UPDATED]
    failed = [f"{each.name} ({each.said})" for each in found if each.outcome == images.FAILED]
    said = f"{counted(len(found), 'image')} looked at, {f'new: {listed(updated)}' if updated else 'none is new'}"
    if failed:
        raise ChoreFailed(f"{said}; could not be fetched: {listed(failed, most=3)}")
    return Done(said, {"updated": updated})


def export_workspace(run: ChoreRun) -> Done:
    deadline = time.monotonic() + SECONDS
    try:
        _require_workspace(run.argument)
        made = export(run.argument, should_stop=lambda: time.monotonic() > deadline)
    except NoExport as error:
        raise ChoreFailed(str(error)) from error
    except Stopped as error:
        raise ChoreFailed(
            f"It takes longer than a chore may: run `manage.py export_workspace {run.argument}` at the machine."
        ) from error
    except OSError as error:
        raise ChoreFailed(f"It could not be written: {error.strerror or error}.") from error
    said = f"{counted(made.files, 'file')} in {made.path}, {size_in_words(made.size)}"
    return Done(said, {"path": str(made.path), "files": made.files, "size": made.size})


def look_for_leftovers(run: ChoreRun) -> Done:
    """Removes nothing."""
    try:
        found = reconciling.look(from_settings())
    except (ExecutorUnavailable, OSError) as error:
        raise ChoreFailed(str(error)) from error
    kinds = [each.kind for each in found.leftovers]
    parts = [counted(kinds.count(kind), noun) for kind, noun in _NOUNS if kind in kinds]
    said = f"left over: {listed(parts)}" if parts else "nothing is left over"
    said += f"; {counted(len(found.missing), 'job')} without a container" if found.missing else ""
    return Done(said, {"leftovers": len(kinds), "names": [each.name[-200:] for each in found.leftovers[:20]]})


def remove_leftovers(run: ChoreRun) -> Done:
    executor, deadline = from_settings(), time.monotonic() + SECONDS
    removed, refused = 0, []
    try:
        for leftover in reconciling.look(executor).leftovers:
            if time.monotonic() > deadline:
                refused.append("the rest took too long: ask again")
                break
            if why := reconciling.remove(leftover, executor, _who(run), run.reason):
                refused.append(f"{leftover.name}: {why}")
            else:
                removed += 1
    except (ExecutorUnavailable, OSError) as error:
        raise ChoreFailed(f"{removed} removed, then: {error}") from error
    if refused:
        raise ChoreFailed(f"{removed} removed; not removed: {listed(refused, most=3)}")
    return Done(f"{removed} removed", {"removed": removed})


def prune_outputs(run: ChoreRun) -> Done:
    _require_workspace(run.argument)
    try:
        gone = prune(run.argument, {each.path for each in outdated(run.argument)}, _who(run), run.reason)
    except (Busy, StorageUnavailable) as error:
        raise ChoreFailed(str(error)) from error
    except OSError as error:
        raise ChoreFailed(f"They could not be deleted: {error.strerror or error}.") from error
    if not gone:
        return Done("no output was out of date", {"outputs": 0})
    size = sum(each.size for each in gone)
    return Done(f"{counted(len(gone), 'output')} deleted, {size_in_words(size)} freed", {"outputs": len(gone)})


_NOUNS = (
    (reconciling.CONTAINER, "container"),
    (reconciling.VOLUME, "volume"),
    (reconciling.FOLDER, "folder"),
    (reconciling.STAGED, "staging folder"),
)


def _who(run: ChoreRun) -> Who:
    return Who(run.asked_by or "runner", run.via or AuditEntry.Via.RUNNER)


def _require_workspace(name: str) -> None:
    if name not in workspaces():
        raise ChoreFailed("There is no such workspace in storage.")
