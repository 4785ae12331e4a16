"""The executor's contract: what the loop may ask of whatever runs containers, and nothing more.

An executor knows containers by *name* (job id and attempt) and knows nothing of Jobs, states or the database. Every
verb may be repeated: the loop can be killed after any of them and will call it again.

* `start` under a name that exists is adoption: a created container is started, a running or finished one is left alone.
* `statuses` is one call for all containers of this site, however many there are.
* `stop` and `remove` of a container that is not there succeed.
* An exit code counts only if the engine has lived through the container's whole and only run; whatever ended together
  with its engine or host, or may have, or was started a second time, is INTERRUPTED, even with exit code 0.
* A container that another installation made is no container of ours: `start` refuses its name, the rest sees nothing.
* Any trouble that is not the study's fault raises `ExecutorUnavailable`: the outcome is *unknown*, never "no". Where it
  is one container that nothing can be learnt about in time, it is a `ContainerSilent`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from jobs.errors import JobError, Unavailable


class ExecutorUnavailable(Unavailable):
    """The engine did not answer, or answered with trouble of its own; what was asked may or may not have happened."""


class ContainerSilent(ExecutorUnavailable):
    """There was no answer in time to a question about one container; the engine itself may be as well as ever."""


class ImageMissing(JobError):
    """The image is not on the engine and the runner never pulls implicitly; the message says which command pulls it."""


class Phase(StrEnum):
    """What a container is doing, as far as the executor can tell."""

    ABSENT = "absent"  # the executor knows no container of this name
    QUEUED = "queued"  # accepted, not placed yet; `Status.reason` says why (executors with many hosts)
    STARTING = "starting"  # created but not started: start it again
    RUNNING = "running"
    EXITED = "exited"  # ended; `exit_code` is what its main process returned
    LOST = "lost"  # its host cannot be reached now
    # It ended, or may have, because its engine or host did, or somebody from outside has stopped it or started it again
    # (then it may run on until it is removed). The exit code, 0 too, says nothing about the study, and what lies in the
    # workspace may be half of it, or of two runs.
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Status:
    """One container at one moment. Only `phase` is always known; the rest is filled for an ended container."""

    phase: Phase
    exit_code: int | None = None
    out_of_memory: bool = False
    started_at: datetime | None = None  # aware, UTC
    finished_at: datetime | None = None  # aware, UTC
    image_id: str = ""  # the digest of the image that really ran, "sha256:…"
    # For an operator: a sentence for QUEUED, LOST and a RUNNING container that is paused; for INTERRUPTED (and ABSENT,
    # where it is known) what goes on after "Interrupted: ".
    reason: str = ""


@dataclass(frozen=True)
class Usage:
    """What a container has used so far, at one moment of the engine's clock."""

    at: datetime  # aware, UTC
    cpu_seconds: float  # of all processors together, since the container began
    memory_bytes: int  # now, without the page cache


@dataclass(frozen=True)
class ContainerSpec:
    """Everything that is needed to start one attempt of one job. Pure data, made by `runner.containers`."""

    name: str  # of the container: made from job id and attempt, never from a user's text
    job_id: str
    attempt: int
    image: str  # full name with tag
    command: tuple[str, ...]  # arguments after the image; never a shell string
    workspace_folder: Path  # on the runner's host; appears as /workspace, unless there is a volume
    environment: Mapping[str, str] = field(default_factory=dict)
    network: str = ""  # "" is no network at all
    cpus: float = 2.0
    memory_bytes: int = 4 * 1024**3
    labels: Mapping[str, str] = field(default_factory=dict)  # for people who look: workspace, action
    workspace_volume: str = ""  # of the engine's, in place of the folder: where the engine sees no folder of ours
    output_patterns: tuple[str, ...] = ()  # what the action promises; only the fake executor uses it


@dataclass(frozen=True)
class LogStream:
    """A log as it comes: iterate over it once. Reading it may block, so whoever stops waiting says so by `close`."""

    chunks: Iterable[bytes]
    close: Callable[[], None]  # from any thread, at any time: the iteration ends soon and without an error
    # Timestamps of the lines from standard error in the chunks so far; whoever reads these may take them away.
    error_stamps: list[bytes] = field(default_factory=list)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)


class Executor(Protocol):
    """The verbs. Names are `ContainerSpec.name`; all methods are safe to call from several threads."""

    def start(self, spec: ContainerSpec) -> None:
        """Create and start the container, or adopt the one of that name.

        One that can never be started any more is removed and stays ABSENT: its run needs a new attempt, with a name and
        a folder of its own, because its command may run on unseen in this one's.
        Raises ImageMissing, JobError (the engine refuses what the study asks for, or the image would swallow what is
        written to the workspace) and ExecutorUnavailable.
        """

    def statuses(self) -> dict[str, Status]:
        """Name -> Status of every container of this site, in one engine call. EXITED may lack details: ask `status`.

        Raises ExecutorUnavailable.
        """

    def status(self, name: str) -> Status:
        """One container in full detail (exit code, memory, times, image). ABSENT if there is none."""

    def logs(self, name: str, *, since: str = "", follow: bool = False) -> LogStream:
        """The container's output in chunks; every line begins with an RFC 3339 timestamp (nanoseconds) and a blank.

        A chunk may end anywhere in a line; the whole ends with a newline. Lines of the two streams may come a little
        out of the order of their timestamps, in the same order each time.
        `since`: only lines whose timestamp is greater (compared as text). `follow`: go on until the container ends.
        An absent container gives nothing. Raises ExecutorUnavailable, also in the middle.
        """

    def stop(self, name: str) -> None:
        """Kill the container at once (SIGKILL); returns when it is dead. Raises ExecutorUnavailable."""

    def remove(self, name: str) -> None:
        """Remove the container, killing it if it runs. Raises ExecutorUnavailable."""

    def metadata(self, name: str) -> dict:
        """What the engine knows of the container (for `metadata.json`), secrets already removed; {} if absent."""

    def usage(self, name: str) -> Usage | None:
        """One look at what the container uses; None if it does not run. Raises ExecutorUnavailable."""

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` from a thread whenever a container may have changed; returns what ends the watching.

        Only a hint: never raises, reconnects by itself, and lost hints may only cost time.
        """

    def describe(self) -> str:
        """Name and version of the engine for the log's first line. Raises ExecutorUnavailable."""
