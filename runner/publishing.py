"""Carry a plan through: staged files get their final names, the manifests follow, then the caller's database rows.

Every line may be the last one before a kill; the next call goes on from what it finds. What needs space or may be
refused is done before the first file changes its name. All of it, the caller's transaction too, happens under the
workspace's lock, so that two jobs never lose each other's entries.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from jobs import storage
from jobs.errors import JobError
from jobs.levels import MODERATELY_SENSITIVE, PRIVACY_LEVELS
from jobs.log import escape
from jobs.models import Job, JobOutput
from runner import ownership, staging
from runner.mounted import require_storage
from runner.plan import Entry, Plan, high_staging, medium_staging, note_of
from runner.side import Side
from runner.stored_folder import LONGEST_NAME
from runner.workspaces.files import ShouldStop, StorageUnavailable, disk_trouble, write_atomically
from runner.workspaces.lock import publishing_lock

_ROWS_AT_ONCE = 500  # takes SQLite 30 ms
_UPDATED_COLUMNS = [field.name for field in JobOutput._meta.fields if field.name not in ("id", "job", "path")]


@contextmanager
def publishing(job: Job, plan: Plan, *, should_stop: ShouldStop) -> Iterator[Plan]:
    """Publish the plan's files; in the body, still under the lock, the caller stores rows and status in one go.

    Yields the plan with those entries marked that another job has meanwhile superseded; give that one to `store`.
    Raises JobError (then the plan is discarded and storage is as it was), StorageUnavailable (try again), and Stopped
    if a stop is asked for while another job publishes; the plan is then carried through by the next try. RuntimeError
    if an output is lost; then everything is kept.
    """
    with publishing_lock(job.workspace, should_stop):
        require_storage(job.workspace)
        _require_staged_for_medium(job, plan)
        with disk_trouble(storage.high_privacy_workspace(job.workspace)):
            try:
                entries = _publish(job, plan, should_stop)
            except JobError:
                staging.discard(job)
                raise
        _write_rows(job, entries)
        yield replace(plan, entries=entries)


def _require_staged_for_medium(job: Job, plan: Plan) -> None:
    """Even where nothing was ever released before, what was staged there is there unless it is not mounted now."""
    folder = medium_staging(job)
    with disk_trouble(folder):
        if folder.is_dir() or all(entry.level != MODERATELY_SENSITIVE for entry in plan.entries):
            return
    raise StorageUnavailable(
        f"{folder} is missing although outputs were made ready there. Mount medium privacy storage again. The job then "
        "continues automatically."
    )


def store(job: Job, plan: Plan) -> None:
    """Make the published outputs' rows the current ones, in the caller's transaction and the body of `publishing`.

    Repeatable. The rows themselves are written already: what is done here keeps every other writer waiting.
    """
    current = [entry.path for entry in plan.entries if not entry.is_superseded]
    # Where another job has published meanwhile, it may be a later one of the same action: its outputs stay current.
    JobOutput.objects.replaced_by(job, current, same_action=len(current) == len(plan.entries))
    own = JobOutput.objects.filter(job=job)
    own.update(is_current=True)
    superseded = [entry.path for entry in plan.entries if entry.is_superseded]
    for start in range(0, len(superseded), _ROWS_AT_ONCE):
        own.filter(path__in=superseded[start : start + _ROWS_AT_ONCE]).update(is_current=False)


def _write_rows(job: Job, entries: tuple[Entry, ...]) -> None:
    """In short transactions, so that 100,000 outputs keep no other writer waiting; not current until `store`."""
    for start in range(0, len(entries), _ROWS_AT_ONCE):
        rows = [_row(job, entry) for entry in entries[start : start + _ROWS_AT_ONCE]]
        # Not `ignore_conflicts`: SQLite would drop rows that break any other constraint, too, without a word.
        JobOutput.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["job", "path"], update_fields=_UPDATED_COLUMNS
        )
    # What an earlier attempt has left and this one did not make would become current with the others.
    own = JobOutput.objects.filter(job=job)
    left = list(set(own.values_list("path", flat=True)) - {entry.path for entry in entries})
    for start in range(0, len(left), _ROWS_AT_ONCE):
        own.filter(path__in=left[start : start + _ROWS_AT_ONCE]).delete()


def _row(job: Job, entry: Entry) -> JobOutput:
    return JobOutput(
        job=job,
        path=entry.path,
        level=entry.level,
        size=entry.size,
        modified_ns=entry.modified_ns,
        content_hash=entry.content_hash,
        row_count=entry.row_count,
        col_count=entry.col_count,
        rule=entry.rule,
        excluded=entry.excluded,
        message=entry.message,
        is_current=False,
    )


def _publish(job: Job, plan: Plan, should_stop: ShouldStop) -> tuple[Entry, ...]:
    with ExitStack() as stack:
        high = stack.enter_context(Side(job, high_staging(job), storage.high_privacy_workspace(job.workspace)))
        staged = {number for number in range(len(plan.entries)) if high.has_staged(str(number))}
        entries = ownership.with_superseded_marked(job, plan, staged, high.folder, should_stop)
        live = [(number, entry) for number, entry in enumerate(entries) if not entry.is_superseded]
        medium = None
        if _concerns_medium(job, plan):
            folder = storage.medium_privacy_workspace(job.workspace)
            medium = stack.enter_context(Side(job, medium_staging(job), folder))
        try:
            _check(high, medium, live)
        except JobError as error:
            if len(staged) < len(entries):
                raise _no_way_back(error) from error
            raise
        _prepare_high(high, live, plan)
        if medium:
            with disk_trouble(medium.path):
                _prepare_medium(high, medium, live, plan)
        for number, entry in live:
            high.take(str(number), entry.path)
        if medium:
            with disk_trouble(medium.path):
                for number, entry in live:
                    _release(high, medium, number, entry)
                _remove_displaced(high, medium)
                medium.finish()
        high.finish()
    return entries


def _concerns_medium(job: Job, plan: Plan) -> bool:
    """Medium storage is touched if an output may be seen there, or an earlier one of the same name may have been.

    That a missing folder means "never used", and not "not mounted now", is `require_storage`'s promise.
    """
    released = any(entry.level == MODERATELY_SENSITIVE for entry in plan.entries)
    return released or storage.medium_privacy_workspace(job.workspace).exists()


def _check(high: Side, medium: Side | None, live: list[tuple[int, Entry]]) -> None:
    """Everything that may be refused, in both storages, before any file is replaced."""
    for _, entry in live:
        _require_storable(high, entry)
    high.load_manifest(live, levels=PRIVACY_LEVELS)
    if not medium:
        return
    with disk_trouble(medium.path):
        for number, entry in live:
            if entry.level == MODERATELY_SENSITIVE:
                _require_storable(medium, entry)
            else:
                # Whatever has its place is no earlier version of it; but behind a link there could be one.
                medium.folder.why_not_storable(entry.path)
            if entry.is_released:
                _require_released(medium, number, entry)
        medium.load_manifest(live, levels=(MODERATELY_SENSITIVE,))
        for path in medium.displaced:
            medium.folder.why_not_storable(path)


def _no_way_back(error: JobError) -> StorageUnavailable:
    """What came in the way of a publication of which a part is done: to discard the rest would leave half of it."""
    return StorageUnavailable(
        "Something has come in the way of an output after others of the job were stored. Nothing is lost: move away "
        "what the detail names; the job then continues automatically.",
        detail=error.detail,
    )


def _require_storable(side: Side, entry: Entry) -> None:
    problem = side.folder.why_not_storable(entry.path)
    if problem:
        raise JobError(staging.NOT_STORABLE, detail=problem)


def _require_released(medium: Side, number: int, entry: Entry) -> None:
    """A copy that is lost (a storage that was not mounted again) must never be told as released."""
    if medium.has_staged(str(number)):
        return
    status = medium.folder.status(entry.path)
    if status is None or status.st_size != entry.size:
        raise RuntimeError(
            f"an output of {medium.job} is neither staged nor stored in {medium.path}: {escape(entry.path)}"
        )


def _prepare_high(high: Side, live: list[tuple[int, Entry]], plan: Plan) -> None:
    """What needs space: folders and the manifest. No file is replaced yet."""
    entries = [entry for _, entry in live]
    high.make_room(entries)
    high.write_manifest(entries, dropped=(), completed_at=plan.completed_at)


def _prepare_medium(high: Side, medium: Side, live: list[tuple[int, Entry]], plan: Plan) -> None:
    """The same for medium storage, whose manifest names nothing but moderately sensitive outputs; and the notes."""
    visible = [entry for _, entry in live if entry.level == MODERATELY_SENSITIVE]
    medium.make_room(visible)
    medium.write_manifest(
        visible,
        dropped=[entry.path for _, entry in live if entry.level != MODERATELY_SENSITIVE],
        completed_at=plan.completed_at,
    )
    for number, entry in live:
        if entry.excluded and _may_have_note(entry.path, high, medium):
            write_atomically(medium.staging_path / _staged_note(number), note_of(entry.path, entry.message))


def _release(high: Side, medium: Side, number: int, entry: Entry) -> None:
    """Make medium storage say the same as the plan: the file, or no file and a note of why, or no trace."""
    note = f"{entry.path}.txt"
    if entry.is_released:
        medium.take(str(number), entry.path)
    else:
        medium.folder.remove(entry.path)
    if not _may_have_note(entry.path, high, medium):
        return
    if entry.excluded:
        medium.take(_staged_note(number), note)
    elif medium.before["outputs"].get(entry.path, {}).get("excluded"):
        medium.folder.remove(note)


def _remove_displaced(high: Side, medium: Side) -> None:
    """Released files of which high privacy storage has none any more, because a file or a folder has taken their place.

    They were removed there by hand; nothing may stay released that nobody could find inside.
    """
    for path in medium.displaced:
        medium.folder.remove(path)
        is_excluded = medium.before["outputs"].get(path, {}).get("excluded")
        if is_excluded and f"{path}.txt" not in high.after["outputs"]:
            medium.folder.remove(f"{path}.txt")


def _may_have_note(path: str, high: Side, medium: Side) -> bool:
    """A note never takes the name of an output or of a folder of outputs, nor one that the file system cannot hold."""
    note = f"{path}.txt"
    if note in high.after["outputs"] or len(note.rpartition("/")[2].encode()) > LONGEST_NAME:
        return False
    return not medium.folder.why_not_storable(note)


def _staged_note(number: int) -> str:
    return f"{number}.txt"
