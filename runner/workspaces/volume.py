"""The workspace that is a volume of the engine's, for an engine on another machine: it sees no folder of ours.

What the job finds there is what `folder` would give it, and is sent as one stream that is made as it goes. When the
command has ended, what its patterns may mean is fetched into a hidden folder beside the staged outputs; from then on
everything is as with a folder. No status is written here, and no container of a job is touched.

    <job folder>/prepared.json                                        the notes of the last preparation
    HIGH/workspaces/<workspace>/.publishing/<container name>.fetched/ what was fetched, until the job's end
"""

import time
from collections.abc import Container, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db.models import QuerySet

from jobs import storage
from jobs.models import Job
from runner import near as near_files
from runner.containers import full_image_name
from runner.executors.base import ExecutorUnavailable, ImageMissing
from runner.executors.docker.volumes import OpenVolume, Volumes
from runner.matching import pattern_tree, shown
from runner.plan import fetched, make_staging
from runner.workspaces.code import read_code
from runner.workspaces.files import ShouldStop, StorageUnavailable, disk_trouble
from runner.workspaces.incoming import fetch, listed
from runner.workspaces.inputs import InputChanged, opened_inputs
from runner.workspaces.notes import note, output_folders, record_inputs, start_afresh
from runner.workspaces.outgoing import Outgoing, Shrunk
from runner.workspaces.removal import remove_tree

# 2000-01-01. The clocks of two machines cannot tell what the job has made from what it was given; a time can that no
# file gets by itself.
GIVEN_AT = 946_684_800
# A hint for the study's author is not worth more of the way to the engine.
_MOST_HINT_BYTES = 64 * 1024**2
_MOST_HINT_SECONDS = 10.0


class VolumeWorkspaces:
    """See `runner.workspaces.Workspaces`. All verbs raise ExecutorUnavailable besides what they say."""

    def __init__(self, volumes: Volumes):
        self._volumes = volumes

    def prepare(self, job: Job, code: BinaryIO, inputs: QuerySet, *, should_stop: ShouldStop) -> list[str]:
        with disk_trouble(storage.job_folder(job)):
            start_afresh(job)
            self._volumes.remove(self.volume_of(job))
            self._volumes.make(self.volume_of(job), job.identifier)
            rows = inputs.select_related("job").all()
            sent = Outgoing(settings.JOB_USER_ID, settings.JOB_GROUP_ID, GIVEN_AT)
            pieces = sent.pieces(
                read_code(code, should_stop),
                list(rows),
                opened_inputs(job.workspace, list(rows), should_stop),
                output_folders(job),
                should_stop,
            )
            try:
                with self._volumes.opened(self.volume_of(job), full_image_name(job.image)) as volume:
                    volume.give_to(settings.JOB_USER_ID, settings.JOB_GROUP_ID)
                    volume.put(pieces)
            except Shrunk as error:
                raise InputChanged("An input was cut short while it was sent; the preparation starts again.") from error
            sentences = note(job, sent.links, [row.path for row in rows if row.path in sent.replaced])
        if job.needs:
            record_inputs(job, rows)
        return sentences

    def volume_of(self, job: Job) -> str:
        return job.container_name

    def is_there(self, job: Job) -> bool:
        return self._volumes.is_there(self.volume_of(job))

    def fetch(self, job: Job, *, should_stop: ShouldStop) -> Path:
        """Raises VolumeGone, Stopped, StorageUnavailable (and then nothing fetched is left to fill that disk)."""
        self.forget(job)
        into = fetched(job)
        with disk_trouble(storage.high_privacy_workspace(job.workspace)):
            make_staging(into.parent)
            into.mkdir(mode=0o700)
            try:
                with self._opened(job) as volume:
                    fetch(volume, pattern_tree(job.output_spec), into, should_stop)
            except BaseException:
                remove_tree(into.parent)
                raise
        return into

    def near(self, job: Job, patterns: list[str], refused: Container[str]) -> dict[str, list[str]]:
        deadline = time.monotonic() + _MOST_HINT_SECONDS

        def is_enough(read: int) -> bool:
            return read > _MOST_HINT_BYTES or time.monotonic() > deadline

        with self._opened(job) as volume:
            own = [shown(path) for path, changed_at in listed(volume, is_enough) if changed_at != GIVEN_AT]
        return near_files.hints(patterns, [path for path in own if path not in refused])

    def forget(self, job: Job) -> None:
        folder = fetched(job).parent
        if remove_tree(folder):
            raise StorageUnavailable(
                f"{folder} cannot be removed. Nothing is lost: make that disk writable again, or remove the folder by "
                "hand; the job then continues automatically."
            )
        with suppress(OSError):  # other jobs are publishing, or there was nothing
            folder.parent.rmdir()

    def remove(self, job: Job) -> list[Path]:
        self._volumes.remove_of(job.identifier)
        return remove_tree(storage.job_folder(job).parent)

    @contextmanager
    def _opened(self, job: Job) -> Iterator[OpenVolume]:
        """By the very image that has run: another may bear its name by now. Its lack is no fault of the study here."""
        image = job.image_id or full_image_name(job.image)
        with ExitStack() as stack:
            try:
                volume = stack.enter_context(self._volumes.opened(self.volume_of(job), image))
            except ImageMissing as error:
                raise ExecutorUnavailable(str(error)) from error
            yield volume
