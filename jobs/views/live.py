"""Pages that follow what happens without a worker for each viewer: they poll, and hear 304 until something changes.

A live page is one function and two templates: the page, which includes the part that changes, and that part, whose
outermost element has the id `live` and the attributes of templates/parts/live.html (see static/js/live.js). The tag has
to tell everything that the part shows; clocks do not count, the browser moves them itself.
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Max
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import render
from django.views.decorators.http import require_safe

from jobs.models import Flag, Job
from jobs.views.frame import Frame

# How often a page asks: while something runs or waits, and while nothing does.
BUSY_SECONDS, IDLE_SECONDS = 2, 5
TAG_HEADER = "HX-PTag"


@dataclass(frozen=True)
class Live:
    """For templates: the tag of what is shown, where to ask again, and how often (0: never, nothing will change)."""

    tag: str
    url: str
    seconds: int


def tag_of(request: HttpRequest, *parts: object) -> str:
    """A short digest of the parts, of the frame around the page, and of who looks at it."""
    frame = Frame.of(request)
    seen = (*parts, frame.banner, request.user.pk, sorted(request.user.get_all_permissions()), request.get_full_path())
    return hashlib.blake2b(repr(seen).encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def all_jobs_changed() -> tuple:
    """Changes whenever any job does, or a flag. Three queries, each answered by the end of an index.

    Not two in one: SQLite looks up a maximum only if it is the only one that is asked for, and else reads all rows.
    """
    columns = ((Job, "updated_at"), (Job, "pk"), (Flag, "pk"))
    return tuple(model.objects.aggregate(newest=Max(column))["newest"] for model, column in columns)


def live_page(page: str, part: str, parts_of: Callable[..., tuple]) -> Callable:
    """For a view that returns a page's context: `parts_of`, with the view's arguments, says what its tag is made of.

    A context may hold `live_seconds`, how often this page should ask.
    """

    def decorate(view: Callable[..., dict]) -> Callable[..., HttpResponse]:
        @require_safe
        @functools.wraps(view)
        def answer(request: HttpRequest, *arguments, **named) -> HttpResponse:
            tag = tag_of(request, *parts_of(request, *arguments, **named))
            if request.htmx and request.headers.get(TAG_HEADER) == tag:
                response = HttpResponseNotModified()
            else:
                context = view(request, *arguments, **named)
                seconds = context.pop("live_seconds", BUSY_SECONDS)
                live = Live(tag, request.get_full_path(), seconds)
                response = render(request, part if request.htmx else page, context | {"live": live, "page_part": part})
            response[TAG_HEADER] = tag
            return response

        return answer

    return decorate
