"""Telling operators what they have to know when they look at no page: what it is (`finding`), and by which way.

Letters and webhooks leave the secure environment, so no notice holds a status message, a log line or the name of a
file; job, workspace and action are what the job-server knows already. Each thing is told once in each way
(`jobs.models.notice`); a kill between sending and noting may send one twice, with the same identifier.

The death of the runner itself cannot be told from here: let a monitor look at /healthz/.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobs.models import Notice


class NotTold(Exception):
    """The other side did not take it; the message says why, and holds no secret.

    `is_refusal`: it is there, and does not want this; another one it may take.
    """

    def __init__(self, message: str, *, is_refusal: bool = False):
        super().__init__(message)
        self.is_refusal = is_refusal


@dataclass(frozen=True)
class Channel:
    """`tell` is where it is told ("jobs.notices.email.tell"): it takes the notices and raises NotTold."""

    name: str
    is_set_up: Callable[[], bool]
    tell: str


Tell = Callable[[Sequence[Notice]], None]
_channels: dict[str, Channel] = {}


def register(channel: Channel) -> None:
    _channels[channel.name] = channel


def channels() -> list[Channel]:
    """Those that this site has set up."""
    return [channel for channel in _channels.values() if channel.is_set_up()]


def is_set_up() -> bool:
    return bool(channels())
