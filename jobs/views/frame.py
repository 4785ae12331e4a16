"""What every page shows around itself: which backend, the ways, and at most one banner, the worst first."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import cached_property

from jobs.models import Flag
from jobs.problems import Problem, problems, warnings
from jobs.signs import Signs


@dataclass(frozen=True)
class Banner:
    """`level` is danger or warning; `flag` the name of the flag that could be switched off from here, or empty."""

    level: str
    text: str
    flag: str = ""
    since: datetime | None = None
    until: datetime | None = None
    what: str = ""

    @classmethod
    def of(cls, level: str, problem: Problem) -> "Banner":
        return cls(level, problem.text, problem.flag, problem.since, problem.until, problem.what)


class Frame:
    """Made once a request, and asked for nothing before somebody needs it. Five queries at most."""

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
        """Those that are on."""
        return {name: flag for name, flag in Flag.objects.current().items() if flag.value}

    @cached_property
    def signs(self) -> Signs:
        return Signs.read()

    @cached_property
    def problems(self) -> list[Problem]:
        """What somebody has to look at now, worst first."""
        return problems(self.signs)

    @cached_property
    def warnings(self) -> list[Problem]:
        return warnings(self.signs, self.flags)

    @cached_property
    def banner(self) -> Banner | None:
        if not self._request.user.is_authenticated:
            return None
        if self.problems:
            return Banner.of("danger", self.problems[0])
        return Banner.of("warning", self.warnings[0]) if self.warnings else None


def frame(request: HttpRequest) -> dict:
    """The context processor."""
    return {"frame": Frame.of(request)}
