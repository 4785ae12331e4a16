"""What a job finds at /workspace, and what it leaves there: a folder on this host, or a volume on another one.

`folder` and `volume` are siblings, two kinds of one thing: the steps call the verbs below and know nothing else of
either. Which kind a site has follows from how its engine is reached (`choice`).
"""

from collections.abc import Callable, Container
from pathlib import Path
from typing import BinaryIO, Protocol

from django.db.models import QuerySet

from jobs.models import Job


class Workspaces(Protocol):
    """All verbs may be repeated, and raise Unavailable (disk, engine) where something is missing for now."""

    def prepare(self, job: Job, code: BinaryIO, inputs: QuerySet, *, should_stop: Callable[[], bool]) -> list[str]:
        """Make the job's workspace afresh: code, inputs over it, folders for the promised outputs.

        `code` is a tar stream; `inputs` a queryset of JobOutput that has not been read yet. Returns notes for the job's
        log, one sentence each. Raises JobError, Stopped.
        """

    def volume_of(self, job: Job) -> str:
        """The name of the engine's volume that the container gets; empty where it gets the job's folder."""

    def is_there(self, job: Job) -> bool:
        """Whether the workspace of the current attempt still is."""

    def fetch(self, job: Job, *, should_stop: Callable[[], bool]) -> Path:
        """A folder that holds all that the patterns may mean. The command must have ended. Raises Stopped."""

    def near(self, job: Job, patterns: list[str], refused: Container[str]) -> dict[str, list[str]]:
        """Pattern -> up to five paths of files that the job has made and may have meant."""

    def forget(self, job: Job) -> None:
        """Remove what `fetch` has brought."""

    def remove(self, job: Job) -> list[Path]:
        """Remove the workspaces of all attempts of the job. Returns what could not be removed."""
