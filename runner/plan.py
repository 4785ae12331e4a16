"""The plan of a publication: its existence on disk is the moment from which a job's outputs are published for good.

Before it is written nothing in storage has changed and a cancel wins. Once it is there, whoever runs the step next
carries it through, however often the process is killed. It knows where the staged files lie, and nothing of how they
get there or of what follows.

    HIGH/workspaces/<workspace>/.publishing/<container name>/plan.json      and one file per number: all outputs
    HIGH/workspaces/<workspace>/.publishing/<container name>.fetched/       what a volume has given
    MEDIUM/workspaces/<workspace>/.publishing/<container name>/             one file per number: those that may be seen
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from jobs import storage
from jobs.levels import MODERATELY_SENSITIVE
from jobs.models import Job
from runner.workspaces.files import opened_folder, write_atomically

STAGING = ".publishing"
FETCHED = ".fetched"
_PLAN = "plan.json"


@dataclass(frozen=True)
class Entry:
    """One output. Its position in the plan is the name of its staged file."""

    path: str  # as stored, relative to the workspace
    level: str
    size: int  # bytes
    modified_ns: int  # mtime, nanoseconds since 1970
    content_hash: str  # sha256, hexadecimal
    # Of the staged file; renaming keeps it, so it recognises the published one. 0 in plans of an older version.
    inode: int = 0
    row_count: int | None = None
    col_count: int | None = None
    excluded: bool = False  # did not pass the disclosure checks: stays out of medium privacy storage
    rule: str = ""
    message: str = ""
    # Another job has published over this output before an interrupted publication was carried through.
    is_superseded: bool = False

    @property
    def is_released(self) -> bool:
        """Whether a copy goes to medium privacy storage."""
        return self.level == MODERATELY_SENSITIVE and not self.excluded

    def superseded(self) -> "Entry":
        return replace(self, is_superseded=True)


@dataclass(frozen=True)
class Plan:
    """All that is needed to publish, and to tell about it, without the job's folder."""

    entries: tuple[Entry, ...]
    refused: tuple[str, ...]  # what the patterns matched and could not be stored: name and reason
    completed_at: datetime
    # The highest primary key of JobOutput at that moment: what others have published since has a higher one.
    last_row: int = 0

    @property
    def excluded(self) -> list[str]:
        """Paths of the outputs that the disclosure checks keep out of medium privacy storage."""
        return [entry.path for entry in self.entries if entry.excluded]

    def save(self, job: Job) -> None:
        """Write the plan so that a power cut leaves all or nothing of it. Raises OSError."""
        content = {
            "entries": [vars(entry) for entry in self.entries],
            "refused": self.refused,
            "completed_at": self.completed_at.isoformat(),
            "last_row": self.last_row,
        }
        write_atomically(high_staging(job) / _PLAN, json.dumps(content).encode())

    @staticmethod
    def forget(job: Job) -> None:
        """Take back what was decided, if anything was; a power cut does not bring it back. Raises OSError."""
        with suppress(FileNotFoundError):
            (high_staging(job) / _PLAN).unlink()
            with opened_folder(high_staging(job)) as folder_fd:
                os.fsync(folder_fd)

    @classmethod
    def load(cls, job: Job) -> "Plan | None":
        """The plan of the job's current attempt, or None while nothing has been decided."""
        try:
            content = json.loads((high_staging(job) / _PLAN).read_bytes())
        except FileNotFoundError:
            return None
        return cls(
            tuple(Entry(**entry) for entry in content["entries"]),
            tuple(content["refused"]),
            datetime.fromisoformat(content["completed_at"]),
            content.get("last_row", 0),
        )


def high_staging(job: Job) -> Path:
    return storage.high_privacy_workspace(job.workspace) / STAGING / job.container_name


def medium_staging(job: Job) -> Path:
    return storage.medium_privacy_workspace(job.workspace) / STAGING / job.container_name


def fetched(job: Job) -> Path:
    """Where the outputs of a job arrive whose workspace is no folder of this host, to be staged without a copy."""
    return high_staging(job).with_name(f"{job.container_name}{FETCHED}") / "workspace"


def make_staging(folder: Path) -> None:
    """Make a staging folder if it is missing. Another job may remove the empty folder above it at the same moment."""
    while not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError, FileExistsError):
            folder.mkdir()


def is_any_unfinished(workspace: str) -> bool:
    """Whether the publication of some job of the workspace was decided and will still be finished."""
    return any(True for _ in _with_a_plan(workspace))


def is_any_on_disk(workspace: str) -> bool:
    """Whether any job's plan lies there, also one of a job that was cut off and may be finalised again."""
    staging = storage.high_privacy_workspace(workspace) / STAGING
    return staging.is_dir() and any((folder / _PLAN).exists() for folder in staging.iterdir())


def half_published(workspace: str, *, besides: Job) -> Iterator[Entry]:
    """What those publications have given its final name already: it is staged no more. One job's own is left out."""
    for job in _with_a_plan(workspace):
        plan = Plan.load(job) if job.pk != besides.pk else None
        for number, entry in enumerate(plan.entries if plan else ()):
            if not (high_staging(job) / str(number)).exists():
                yield entry


def _with_a_plan(workspace: str) -> Iterator[Job]:
    """What a job that has ended left behind (our bug, a lost database) is nothing that anybody could wait for."""
    return (job for job in Job.objects.running().filter(workspace=workspace) if (high_staging(job) / _PLAN).exists())


def note_of(path: str, message: str) -> bytes:
    """What lies in medium privacy storage, under the name with `.txt` behind it, in place of an output withheld."""
    return f"{path} was made by the action, but it is not released to medium privacy storage.\n\n{message}\n".encode()
