"""As `life`, for an engine whose containers are no daemon's children (Podman): they and their memory end with the host.

What a Podman (4.3) shows, and what follows:

* The service that answers us may be killed and started again: containers run on, ends that it has missed are told
  rightly, and its events are there still (they lie in a file or in the journal). None of this is an interruption.
* After a crash of the host a container that ran is "created" again, with the time of its first start: `status` calls
  that interrupted. One that had ended before is as it was, so an end from before the host's boot may have been the
  shutdown's doing and does not count. The host's boot is what its clock and its uptime say.
* A service that is killed in the moment of a start may forget it: the command runs, the container is "created" still,
  and its next start lets the command run again. Each time is told as `init`, though not as `start`.
* A service that is killed while it makes a container may leave its disk without a record of it: the name is in use, and
  nothing bears it. Removing by name clears it.
* `podman kill` is an event, `podman stop` is none: where a study takes SIGTERM for a reason to exit with 0, that a
  person stopped it cannot be known. (With every other code the exit tells of it.)
"""

import contextlib
import json
import logging
import re
import time
from datetime import datetime, timedelta

from docker import APIClient
from docker.errors import APIError

from runner.executors.base import Status
from runner.executors.docker import life
from runner.executors.docker.engine import Engine, understanding

log = logging.getLogger(__name__)

BEGUN_TWICE = "Podman was killed while it started the container, so its outputs may be of two runs"

_UPTIME = re.compile(r"(\d+)h (\d+)m (\d+(?:\.\d+)?)s")
# Uptime is told in whole seconds, beside a time that is taken a moment later.
_BOOT_IS_TOLD_WITHIN = timedelta(seconds=2)
# Longer than making a container takes.
_BEING_MADE_SECONDS = 2.0
_WHAT = "whether its host has lived through the container's run"


class HalfMade:
    """Names that are in use though no container bears them. Safe to use from several threads."""

    def __init__(self):
        self._since: dict[str, float] = {}

    def seen(self, client: APIClient, name: str) -> None:
        """Told each time that a name looks like this: one that still does after a while is cleared.

        Before that it may be the name of a container that is being made at this moment.
        """
        now = time.monotonic()
        if now - self._since.setdefault(name, now) >= _BEING_MADE_SECONDS:
            log.warning("removing what a Podman that was killed has left of container %s", name)
            with contextlib.suppress(APIError):
                client.remove_container(name, force=True)
            self.forget(name)

    def forget(self, name: str) -> None:
        self._since.pop(name, None)


def why_the_end_does_not_count(engine: Engine, container_id: str, status: Status, created_at: datetime) -> str:
    """See `life.why_the_end_does_not_count`. Two calls, together some 50 ms."""
    with engine.asked(_WHAT) as client:
        booted_at = _booted_at(client)
        if status.started_at is None or status.started_at < booted_at - _BOOT_IS_TOLD_WITHIN:
            return life.RESTARTED
        actions = _actions(client, container_id)
        if actions.count("init") > max(1, actions.count("start")):
            return BEGUN_TWICE
        return life.why_by_its_own_events(actions, status, created_at)


def _booted_at(client: APIClient) -> datetime:
    info = client.info()
    with understanding(_WHAT):
        hours, minutes, seconds = _UPTIME.match(info["Uptime"]).groups()
        uptime = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))
        return datetime.fromisoformat(info["SystemTime"]) - uptime


def _actions(client: APIClient, container_id: str) -> list[str]:
    """What has happened to the container, oldest first. Only `stream=false` gives all that lies in the past."""
    filters = {"type": ["container"], "container": [container_id]}
    response = client.get(
        f"{client.base_url}/v{client.api_version}/events",
        params={"stream": "false", "filters": json.dumps(filters)},
        timeout=client.timeout,
    )
    client._raise_for_status(response)
    with understanding(_WHAT):
        return [str(json.loads(line)["Action"]) for line in response.content.splitlines()]


def ran_out_of_memory(engine: Engine, container_id: str, status: Status) -> bool:
    """Podman tells it in the container's state or not at all: there is no such event."""
    return False
