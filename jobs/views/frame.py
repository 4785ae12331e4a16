"""What every page shows around itself: which backend, the ways, and at most one banner, the worst first."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import cached_property

from jobs.health import health
from jobs.models import Flag


@dataclass(frozen=True)
class Banner:
    """`level` is danger or warning; `flag` the name of the flag that could be switched off from here, or empty."""

    level: str
    text: str
    flag: str = ""
    since: datetime | None = None


class Frame:
    """Made once a request, and asked for nothing before somebody needs it."""

    def __init__(self, request: HttpRequest):
        self._request = request

    @classmethod
    def of(cls, request: HttpRequest) -> "Frame":
        if not hasattr(request, "_frame"):
            request._frame = cls(request)
        return request._frame

    @property
    def backend(self) -> str:
        return settings.BACKEND

    @cached_property
    def flags(self) -> dict[str, Flag]:
        return {name: flag for name, flag in Flag.objects.current().items() if flag.value}

    @cached_property
    def health(self) -> dict:
        return health()

    @cached_property
    def banner(self) -> Banner | None:
        if not self._request.user.is_authenticated:
            return None
        if problems := self.health["problems"]:
            return Banner("danger", problems[0])
        for name, words in _FLAGS.items():
            if flag := self.flags.get(name):
                return Banner("warning", f"{words} by {flag.set_by}: {flag.reason}", flag=name, since=flag.set_at)
        return None


_FLAGS = {
    Flag.Name.REBOOT: "No new job starts: prepared for a reboot",
    Flag.Name.PAUSED: "Paused: no new job starts. Set",
    Flag.Name.DB_MAINTENANCE: "Database maintenance: database jobs wait. Set",
}


def frame(request: HttpRequest) -> dict:
    """The context processor."""
    return {"frame": Frame.of(request)}
