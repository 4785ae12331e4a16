"""Fetching an image from its registry. Never done for a job: operators decide when an image changes."""

from collections.abc import Callable
from dataclasses import dataclass

from docker.errors import APIError, ImageNotFound

from runner.executors.base import ExecutorUnavailable
from runner.executors.docker.engine import Engine, understanding


@dataclass(frozen=True)
class Progress:
    """Of one layer: `done` of `total` bytes, both 0 where the engine does not say."""

    layer: str
    status: str
    done: int
    total: int


class PullFailed(Exception):
    """The registry or the engine refuses; the message is theirs."""


def image_id(engine: Engine, name: str) -> str:
    """Of the image of that name with tag; empty if there is none. Raises ExecutorUnavailable."""
    with engine.asked(f"for the image {name}") as client:
        try:
            found = client.inspect_image(name)
        except ImageNotFound:
            return ""
        with understanding(f"about the image {name}"):
            return str(found["Id"])


def pull(engine: Engine, name: str, told: Callable[[Progress], None]) -> None:
    """Fetch `name`, with its tag; layers that are there are not fetched again, also after a break in the middle.

    Raises PullFailed, ExecutorUnavailable.
    """
    repository, _, tag = name.rpartition(":")
    what = f"to fetch {name}"
    with engine.asked(what) as client:
        try:
            for event in client.pull(repository, tag=tag, stream=True, decode=True):
                with understanding(what):
                    _tell(event, told)
        except (APIError, _Refused) as error:  # the engine is there, and says what the registry has said
            raise PullFailed(str(getattr(error, "explanation", "") or error)) from error


class _Refused(Exception):
    pass


def _tell(event: dict, told: Callable[[Progress], None]) -> None:
    if "error" in event:
        raise _Refused(str(event["error"]))
    detail = event.get("progressDetail") or {}
    told(
        Progress(
            str(event.get("id", "")),
            str(event.get("status", "")),
            *(_bytes(detail, key) for key in ("current", "total")),
        )
    )


def _bytes(detail: dict, key: str) -> int:
    value = detail.get(key)
    return value if isinstance(value, int) and value > 0 else 0


__all__ = ["ExecutorUnavailable", "Progress", "PullFailed", "image_id", "pull"]
