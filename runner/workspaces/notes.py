"""What a preparation leaves on this host, whatever kind of workspace it filled, and what both kinds go by.

<job folder>/prepared.json   the notes of the last preparation; its time is when that ended
"""

import json
from collections.abc import Iterable, Iterator

from django.db.models import QuerySet

from jobs import storage
from jobs.inputs import record
from jobs.log import escape
from jobs.models import Job
from runner.mounted import require_storage
from runner.workspaces.files import StorageUnavailable, disk_trouble, write_atomically
from runner.workspaces.removal import remove_tree


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


def start_afresh(job: Job) -> None:
    """What an interrupted try has left goes away; only our own user may look into the folder from outside."""
    job_folder = storage.job_folder(job)
    left = remove_tree(job_folder)
    if left:
        raise StorageUnavailable(
            f"What an earlier try has left cannot be removed. Remove {job_folder} by hand; the job then continues "
            "automatically.",
            detail=f"It is {escape(str(left[0]))}.",
        )
    job_folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    job_folder.mkdir(mode=0o700)


def note(job: Job, links: Iterable[str], replaced: Iterable[str]) -> list[str]:
    """Write down, last of all, what was done; returns the notes, one sentence each. Raises OSError."""
    sentences = [
        *(
            f"{path} is a symbolic link in the repository; the job gets a plain file with the link's text."
            for path in links
        ),
        *(
            f"{path} of the repository was replaced by the output of the same name of an earlier action."
            for path in replaced
        ),
    ]
    write_atomically(storage.job_folder(job) / "prepared.json", json.dumps(sentences).encode())
    return sentences


def record_inputs(job: Job, copied: QuerySet) -> None:
    """Beside the attempt's log, where pages look for it. `copied` has been read, and is not read anew."""
    require_storage(job.workspace)
    path = storage.job_inputs(job)
    with disk_trouble(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, record(copied))


def output_folders(job: Job) -> Iterator[str]:
    """Scripts write to output/ without making it first: the older system did that for them."""
    for files in job.output_spec.values():
        for pattern in files.values():
            yield pattern.partition("*")[0].rpartition("/")[0]
