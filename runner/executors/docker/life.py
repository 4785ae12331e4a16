"""Whether the engine has lived through a container's run: only then does the container's exit say anything.

An engine or a host that goes down takes its containers with it, and their own state shows nothing of it (seen on
20.10): an orderly stop ends them with SIGTERM, so a study that handles it *exits 0 with half its outputs*; the start
after a crash of the engine does the same to the survivors; after a crash of the host the code is 255. Hence the rule:
an end counts only if the engine's present life has seen the run, from the start on. What shows it, surest first:

1. The engine keeps its last 256 events in memory and loses them when it ends. The container's own `start` among them:
   seen. So is a `die` that no `kill` came before, as long as something older than the `die` is remembered: a start of
   the engine sends `kill` to the survivors that it ends, and tells no `die` of what ended while it was away.
   No clock is involved. An exit with 0 after a `kill` that somebody sent (`docker stop`) is no end of the study's own.
2. Fewer than 256 and no `start`: this life is younger than the container. Only an engine with live-restore carries its
   containers over (of those, 255 is the code of what went with the host).
3. For what is still open: the network `bridge` is made anew by every start of the engine that carries nothing over,
   after the survivors were ended. An engine without it (`--bridge=none`) that has had 256 events since is believed.

All this is asked over a new connection. An engine that is shutting down closes its socket first, then ends its
containers, and goes on answering on the connections it has: there one can read "exited 143" (seen).

A container that somebody starts again (`docker restart`) writes into the files of its first run, and its last end alone
says nothing: two `start`s are an interruption. Where the first may be forgotten, for its `create` is, a container that
began long after it was made is taken for such a one.

Knows nothing of names and of what follows from the answer. Our clock decides nothing: where it differs from the
engine's, an answer takes up to a second longer.
"""

import json
import time
from datetime import datetime, timedelta

from docker import APIClient
from docker.errors import NotFound

from runner.executors.base import Status
from runner.executors.docker.engine import Engine, understanding

# Why an end does not count: different stories for who looks after the machine.
RESTARTED = "the Docker engine, or its host, was restarted while the container ran"
STOPPED = "somebody stopped the container from outside while it ran (docker stop?)"
STARTED_AGAIN = "somebody restarted the container from outside (docker restart?), so its outputs may be of two runs"

_REMEMBERED_EVENTS = 256
# Our own start follows the creation at once, but for a runner that was killed between them: then one run is wasted.
_STARTS_WITHIN = timedelta(minutes=1)
_LOST_WITH_ITS_HOST = 255
# The engine tells of a start 2 to 20 ms and of an end 7 to 40 ms after the moment that it writes down for them.
_TOLD_WITHIN_SECONDS = 1.0
_MEANWHILE_SECONDS = 0.05
_LATE_EVENT_SECONDS = 0.3
_WHAT = "whether it saw the container's end"
_Event = tuple[str, str]  # id of the container (or network, …), action


def why_the_end_does_not_count(engine: Engine, container_id: str, status: Status, created_at: datetime) -> str:
    """RESTARTED, STOPPED or STARTED_AGAIN if the ended container's run was cut off, or may have been; empty if not.

    One call of 1 ms; four of together some 20 ms when 256 events or the engine's end lie between. Raises
    ExecutorUnavailable, above all while the engine is shutting down.
    """
    with engine.asked_anew(_WHAT) as client:
        if status.finished_at is not None:
            finished = status.finished_at.timestamp()
            until = max(finished, min(time.time(), finished + _TOLD_WITHIN_SECONDS))
            actions = [action for _, action in _events(client, f"{until:.6f}", container_id)]
            if "start" in actions:
                return why_by_its_own_events(actions, status, created_at)
        return _why_by_all_that_is_remembered(client, container_id, status, created_at)


def why_by_its_own_events(actions: list[str], status: Status, created_at: datetime) -> str:
    """The answer where the engine has lived through that run: it still knows of its start, or forgets nothing."""
    before = actions[: len(actions) - 1 - actions[::-1].index("start")] if "start" in actions else []
    has_run_before = "start" in before or "die" in before
    if has_run_before or ("create" not in before and _began_late(status, created_at)):
        return STARTED_AGAIN
    return STOPPED if _was_told_to_end(actions, status) else ""


def _began_late(status: Status, created_at: datetime) -> bool:
    """Whether the last start came so long after the creation that it was hardly the first; one clock told both."""
    return status.started_at is not None and status.started_at - created_at > _STARTS_WITHIN


def _was_told_to_end(actions: list[str], status: Status) -> bool:
    """Whether a signal came in the container's run, which then claims to have ended well with half its outputs.

    With any other code the exit tells of the signal itself. The runner's own kills are never judged here.
    """
    return status.exit_code == 0 and "kill" in actions


def _ended_by_itself(events: list[_Event], container_id: str, status: Status) -> bool:
    actions = [action for about, action in events if about == container_id]
    if "die" not in actions or "kill" in actions or status.exit_code == _LOST_WITH_ITS_HOST:
        return False
    # The oldest of a full memory: a `kill` before it may have been forgotten.
    return len(events) < _REMEMBERED_EVENTS or events[0] != (container_id, "die")


def _why_by_all_that_is_remembered(client: APIClient, container_id: str, status: Status, created_at: datetime) -> str:
    """The same, by the events of everything, up to what the engine's own clock calls now."""
    info = client.info()
    with understanding(_WHAT):
        now, carries_over = _moment(info["SystemTime"]), info["LiveRestoreEnabled"]
    # A little later than now: what happens between the two questions pushes others out of the engine's memory, and left
    # out it would make a full memory look as if nothing could have been forgotten.
    events = _events(client, f"{now.timestamp() + _MEANWHILE_SECONDS:.6f}")
    actions = [action for about, action in events if about == container_id]
    if "start" in actions:
        return why_by_its_own_events(actions, status, created_at)
    if not _ended_by_itself(events, container_id, status):
        # A start of the engine sends such signals too.
        if _was_told_to_end(actions, status):
            return RESTARTED
        may_have_forgotten = len(events) >= _REMEMBERED_EVENTS
        if not may_have_forgotten and (not carries_over or status.exit_code == _LOST_WITH_ITS_HOST):
            return RESTARTED
        if not _has_networks_from_before(client, status, unknown=may_have_forgotten):
            return RESTARTED
    return STARTED_AGAIN if _began_late(status, created_at) else ""


def _has_networks_from_before(client: APIClient, status: Status, *, unknown: bool) -> bool:
    """Whether the engine's network is older than the container's run; `unknown` where there is no such network."""
    networks_made_at = _networks_made_at(client)
    if networks_made_at is None:
        return unknown
    return status.started_at is not None and networks_made_at <= status.started_at


def _networks_made_at(client: APIClient) -> datetime | None:
    try:
        network = client.inspect_network("bridge")
    except NotFound:
        return None
    with understanding(_WHAT):
        return _moment(network["Created"])


def _events(client: APIClient, until: str, container_id: str = "") -> list[_Event]:
    """What the engine remembers, oldest first, of one container or of all there is. `until`: seconds since 1970."""
    filters = {"type": ["container"], "container": [container_id]} if container_id else {}
    response = client.get(
        f"{client.base_url}/v{client.api_version}/events",
        params={"since": "0", "until": until, "filters": json.dumps(filters)},
        timeout=client.timeout,
    )
    client._raise_for_status(response)
    with understanding(_WHAT):
        events = [json.loads(line) for line in response.content.splitlines()]
        return [(event["Actor"]["ID"], event["Action"]) for event in events]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def ran_out_of_memory(engine: Engine, container_id: str, status: Status) -> bool:
    """The engine forgets to mark a container when the kernel's word arrives after the container's end.

    Its event is there all the same; on a loaded machine it comes a moment later.
    """
    filters = {"type": ["container"], "event": ["oom"], "container": [container_id]}
    parameters = {
        "since": str(int(status.started_at.timestamp())) if status.started_at else "0",
        "until": f"{time.time() + _LATE_EVENT_SECONDS:.6f}",
        "filters": json.dumps(filters),
    }
    return any(engine.stream("whether memory ran out", "/events", parameters, patient=False))
