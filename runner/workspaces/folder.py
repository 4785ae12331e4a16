"""The workspace that is a folder on this host, bind-mounted into the container.

Why it exists: it says what a job finds at /workspace, in which order it gets there, and how all of it goes away again.
A Docker volume will be its sibling. It knows nothing of containers and writes no status.

    <job folder>/workspace/      what the container sees; owned by the container's user
    <job folder>/prepared.json   the notes of the last preparation; its time tells the job's own files from those it got
"""

import json
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db.models import QuerySet

from jobs import storage
from jobs.inputs import record
from jobs.log import escape
from jobs.models import Job
from runner.mounted import require_storage
from runner.workspaces import inputs as job_inputs
from runner.workspaces.code import Owner, unpack
from runner.workspaces.files import ShouldStop, StorageUnavailable, disk_trouble, write_atomically
from runner.workspaces.removal import remove_tree


def prepare(job: Job, code: BinaryIO, inputs: QuerySet, *, should_stop: ShouldStop) -> list[str]:
    """Make the job's workspace afresh: code, inputs over it, folders for the promised outputs.

    `code` is a tar stream; `inputs` a queryset of JobOutput that has not been read yet. May be repeated at any
    time. Returns notes for the job's log, one sentence each. Raises JobError, Stopped, Unavailable (disk, broken
    stream, interrupted publication).
    """
    job_folder, workspace_folder = storage.job_folder(job), storage.job_workspace(job)
    owner = Owner(settings.JOB_USER_ID, settings.JOB_GROUP_ID)
    with disk_trouble(job_folder):
        _clear(job_folder)
        owner.make_folder(workspace_folder)
        links = unpack(code, workspace_folder, owner, should_stop)
        rows = inputs.select_related("job").all()
        replaced = job_inputs.place(job.workspace, rows, workspace_folder, owner, should_stop)
        _make_output_folders(job, workspace_folder, owner)
        notes = _sentences(links, replaced)
        write_atomically(job_folder / "prepared.json", json.dumps(notes).encode())
    if job.needs:
        _record_inputs(job, rows)
    return notes


def _record_inputs(job: Job, copied: QuerySet) -> None:
    """Beside the attempt's log, where pages look for it. `copied` has been read, and is not read anew."""
    require_storage(job.workspace)
    path = storage.job_inputs(job)
    with disk_trouble(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, record(copied))


def notes(job: Job) -> list[str]:
    """What the last preparation of the job's current attempt had to say; empty if there was none."""
    try:
        return json.loads((storage.job_folder(job) / "prepared.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return []


def prepared_at_ns(job: Job) -> int:
    """When the current attempt's preparation ended, in nanoseconds since 1970; 0 if it never did."""
    try:
        return (storage.job_folder(job) / "prepared.json").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def remove(job: Job) -> list[Path]:
    """Remove the folders of all attempts of the job. Returns what could not be removed; never raises."""
    return remove_tree(storage.job_folder(job).parent)


def _clear(job_folder: Path) -> None:
    """What an interrupted try has left goes away; only our own user may look into the folder from outside."""
    left = remove_tree(job_folder)
    if left:
        raise StorageUnavailable(
            f"What an earlier try has left cannot be removed. Remove {job_folder} by hand; the job then continues "
            "automatically.",
            detail=f"It is {escape(str(left[0]))}.",
        )
    job_folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    job_folder.mkdir(mode=0o700)


def _make_output_folders(job: Job, workspace_folder: Path, owner: Owner) -> None:
    """Scripts write to output/ without making it first: the older system did that for them."""
    for files in job.output_spec.values():
        for pattern in files.values():
            literal = pattern.partition("*")[0].rpartition("/")[0]
            try:
                owner.make_folders(workspace_folder, literal)
            except (FileExistsError, NotADirectoryError):
                continue  # the code has a file of that name; the script will say so itself


def _sentences(links: list[str], replaced: list[str]) -> list[str]:
    return [
        *(
            f"{path} is a symbolic link in the repository; the job gets a plain file with the link's text."
            for path in links
        ),
        *(
            f"{path} of the repository was replaced by the output of the same name of an earlier action."
            for path in replaced
        ),
    ]
