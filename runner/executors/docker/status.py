"""From what the engine says of a container to a `Status`: pure translation of its JSON.

An engine or host that goes down takes its containers with it, and a container's own state shows nothing of it (seen on
20.10): after a crash of the host "exited" with code 255 and the moment of the engine's next start as its end, after a
crash or stop of the engine 137 or 143. A study may end like that by itself, so only "dead" is called interrupted here.
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
}
_REASONS = {
    "paused": "The container is paused; let it go on with: docker unpause {name}",
    "removing": "The engine is removing the container.",
    "dead": "The engine lost the container while it was ending or removing it.",
}
_NEVER = "0001-01-01T00:00:00Z"


def of_list_entry(entry: Mapping) -> Status:
    """One entry of GET /containers/json. An ended container's details are not in it."""
    return _status(entry["State"], name_of(entry))


def name_of(entry: Mapping) -> str:
    """A container in the middle of its removal may have lost its name already."""
    return (entry["Names"] or [entry["Id"]])[0].lstrip("/")


def of_inspect(container: Mapping) -> Status:
    """The answer of GET /containers/<name>/json."""
    state = container["State"]
    status = _status(state["Status"], container["Name"].lstrip("/"))
    has_ended = status.phase in (Phase.EXITED, Phase.INTERRUPTED)
    started_at, finished_at = _time(state["StartedAt"]), _time(state["FinishedAt"]) if has_ended else None
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


def _status(state: str, name: str) -> Status:
    """A state that a later engine may invent counts as running: the next look will tell."""
    return Status(_PHASES.get(state, Phase.RUNNING), reason=_REASONS.get(state, "").format(name=name))


def _time(text: str) -> datetime | None:
    return None if text == _NEVER else datetime.fromisoformat(text)
