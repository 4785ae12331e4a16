"""From what the engine says of a container to a `Status`: pure translation of its JSON.

Only "dead" is called interrupted here: a container whose engine went down under it "exited" like any other, and whether
its exit code counts is for `life` to find out.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from runner.executors.base import Phase, Status

_PHASES = {
    "created": Phase.STARTING,
    "running": Phase.RUNNING,
    "paused": Phase.RUNNING,
    "restarting": Phase.RUNNING,
    "removing": Phase.LOST,
    "exited": Phase.EXITED,
    "dead": Phase.INTERRUPTED,
    # Podman's own: made ready but not started; told to end; ended but not tidied up.
    "configured": Phase.STARTING,
    "initialized": Phase.STARTING,
    "stopping": Phase.RUNNING,
    "stopped": Phase.EXITED,
}
_REASONS = {
    "paused": "The container is paused; let it go on with: docker unpause {name}",
    "removing": "The engine is removing the container.",
    "dead": "the Docker engine lost the container while it was ending or removing it",
}
_LOST_WITH_ITS_HOST = "the engine's host was restarted while the container ran"
_NEVER = "0001-01-01T00:00:00Z"


def entries_of(answer: object) -> list[Mapping]:
    """The answer of GET /containers/json, without entries that name no container. TypeError if it is no list."""
    if not isinstance(answer, list):
        raise TypeError(f"a list of containers was expected, not {str(answer)[:100]}")
    return [entry for entry in answer if isinstance(entry, Mapping) and isinstance(entry.get("Id"), str)]


def of_list_entry(entry: Mapping) -> Status:
    """One entry of GET /containers/json. An ended container's details are not in it."""
    return _status(entry["State"], name_of(entry))


def name_of(entry: Mapping) -> str:
    """A container in the middle of its removal may have lost its name already."""
    names = entry.get("Names")
    return str(names[0] if isinstance(names, list) and names else entry["Id"]).lstrip("/")


def labels_of(container: Mapping) -> Mapping[str, str]:
    """The labels in the answer of GET /containers/<name>/json."""
    return container["Config"]["Labels"] or {}


def of_inspect(container: Mapping) -> Status:
    """The answer of GET /containers/<name>/json."""
    state = container["State"]
    status = _status(state["Status"], container["Name"].lstrip("/"))
    has_ended = status.phase in (Phase.EXITED, Phase.INTERRUPTED)
    started_at, finished_at = _time(state["StartedAt"]), _time(state["FinishedAt"]) if has_ended else None
    if status.phase is Phase.STARTING and started_at:  # so Podman shows, after the next boot, what ran in a crash
        status = replace(status, phase=Phase.INTERRUPTED, reason=_LOST_WITH_ITS_HOST)
    if started_at and finished_at:
        started_at = min(started_at, finished_at)  # two clocks: a very short run may end a millisecond before it began
    return replace(
        status,
        exit_code=state["ExitCode"] if status.phase is Phase.EXITED else None,
        out_of_memory=has_ended and bool(state["OOMKilled"]),
        started_at=started_at,
        finished_at=finished_at,
        image_id=container["Image"],
    )


def created_at(container: Mapping) -> datetime:
    """When the container of GET /containers/<name>/json was made; aware, UTC."""
    return datetime.fromisoformat(container["Created"])


def has_run_before(container: Mapping) -> bool:
    """Whether the container of GET /containers/<name>/json runs and is told to have ended: somebody started it again.

    The engine forgets the first end only when the second comes (seen on 20.10).
    """
    state = container["State"]
    return _PHASES.get(state["Status"]) is Phase.RUNNING and _time(state["FinishedAt"]) is not None


def _status(state: str, name: str) -> Status:
    """A state that a later engine may invent counts as running: the next look will tell."""
    return Status(_PHASES.get(state, Phase.RUNNING), reason=_REASONS.get(state, "").format(name=name))


def _time(text: str) -> datetime | None:
    return None if text == _NEVER else datetime.fromisoformat(text)
