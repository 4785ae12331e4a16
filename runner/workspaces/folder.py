"""The workspace that is a folder on this host, bind-mounted into the container.

Why it exists: it says what a job finds at /workspace, in which order it gets there, and how all of it goes away again.
Its sibling `volume` is for engines that see no folder of this host. It knows nothing of containers and writes no
status.

    <job folder>/workspace/      what the container sees; owned by the container's user
    <job folder>/prepared.json   the notes of the last preparation; its time tells the job's own files from those it got
"""

from collections.abc import Container
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db.models import QuerySet

from jobs import storage
from jobs.models import Job
from runner.near import near_files
from runner.workspaces import inputs as job_inputs
from runner.workspaces.code import Owner, unpack
from runner.workspaces.files import ShouldStop, disk_trouble
from runner.workspaces.notes import note, output_folders, prepared_at_ns, record_inputs, start_afresh
from runner.workspaces.removal import remove_tree


def prepare(job: Job, code: BinaryIO, inputs: QuerySet, *, should_stop: ShouldStop) -> list[str]:
    """Make the job's workspace afresh: code, inputs over it, folders for the promised outputs.

    `code` is a tar stream; `inputs` a queryset of JobOutput that has not been read yet. May be repeated at any
    time. Returns notes for the job's log, one sentence each. Raises JobError, Stopped, Unavailable (disk, broken
    stream, interrupted publication).
    """
    workspace_folder = storage.job_workspace(job)
    owner = Owner(settings.JOB_USER_ID, settings.JOB_GROUP_ID)
    with disk_trouble(storage.job_folder(job)):
        start_afresh(job)
        owner.make_folder(workspace_folder)
        links = unpack(code, workspace_folder, owner, should_stop)
        rows = inputs.select_related("job").all()
        replaced = job_inputs.place(job.workspace, rows, workspace_folder, owner, should_stop)
        for folder in output_folders(job):
            try:
                owner.make_folders(workspace_folder, folder)
            except (FileExistsError, NotADirectoryError):
                continue  # the code has a file of that name; the script will say so itself
        sentences = note(job, links, replaced)
    if job.needs:
        record_inputs(job, rows)
    return sentences


def volume_of(job: Job) -> str:
    """No volume: the container gets the folder."""
    return ""


def is_there(job: Job) -> bool:
    """Whether there is anything that could be finalised. Raises OSError."""
    return storage.job_workspace(job).is_dir()


def fetch(job: Job, *, should_stop: ShouldStop) -> Path:
    """The folder in which the job's outputs lie: here its own."""
    return storage.job_workspace(job)


def near(job: Job, patterns: list[str], refused: Container[str]) -> dict[str, list[str]]:
    """Pattern -> what its author may have meant among the job's own files. Raises OSError."""
    return near_files(storage.job_workspace(job), patterns, prepared_at_ns(job), refused)


def forget(job: Job) -> None:
    """Nothing was fetched: outputs are where they are until the workspace is removed."""


def remove(job: Job) -> list[Path]:
    """Remove the folders of all attempts of the job. Returns what could not be removed; never raises."""
    return remove_tree(storage.job_folder(job).parent)
