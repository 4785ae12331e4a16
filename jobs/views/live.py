"""Pages that follow what happens without a worker for each viewer: they poll, and hear 304 until something changes.

A live page is one function and two templates: the page, which includes the part that changes, and that part, whose
outermost element has the id `live` and the attributes of templates/parts/live.html (see static/js/live.js). The tag has
to tell everything that the part shows; clocks do not count, the browser moves them itself.
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Max
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import render
from django.views.decorators.http import require_safe

from jobs.models import Flag, Job
from jobs.views.frame import Frame
from jobs.views.shared import Shared

# How often a page asks: while something runs or waits, and while nothing does.
BUSY_SECONDS, IDLE_SECONDS = 2, 5
TAG_HEADER = "HX-PTag"
_tags, _parts = Shared(most=1000), Shared(most=50)


@dataclass(frozen=True)
class Live:
    """For templates: the tag of what is shown, where to ask again, and how often (0: never, nothing will change)."""

    tag: str
    url: str
    seconds: int


def _tag(seen: tuple) -> str:
    return hashlib.blake2b(repr(seen).encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def all_jobs_changed() -> tuple:
    """Changes whenever any job does, or a flag. Three queries, each answered by the end of an index.

    Not two in one: SQLite looks up a maximum only if it is the only one that is asked for, and else reads all rows.
    """
    columns = ((Job, "updated_at"), (Job, "pk"), (Flag, "pk"))
    return tuple(model.objects.aggregate(newest=Max(column))["newest"] for model, column in columns)


def live_page(
    page: str, part: str, parts_of: Callable[..., tuple], given: Callable[..., None] = lambda *_, **__: None
) -> Callable:
    """For a view that returns a page's context: `parts_of`, with the view's arguments, says what its tag is made of.

    A context may hold `live_seconds`, how often this page should ask. Of the person who looks, the polled part and
    `parts_of` may depend on the permissions only: polls of people with the same ones share an answer for a moment.
    `given`, with the view's arguments, is called for each person before anything but a 304 is given to them.
    """

    def decorate(view: Callable[..., dict]) -> Callable[..., HttpResponse]:
        @require_safe
        @functools.wraps(view)
        def answer(request: HttpRequest, *arguments, **named) -> HttpResponse:
            permissions = frozenset(request.user.get_all_permissions())
            place = (part, request.get_full_path(), permissions)
            seconds = settings.LIVE_SHARED_SECONDS if request.htmx else 0

            def tag() -> str:
                return _tag(
                    (*parts_of(request, *arguments, **named), Frame.of(request).banner, *place[:2], sorted(permissions))
                )

            def rendered(template: str) -> HttpResponse:
                context = view(request, *arguments, **named)
                live = Live(now, request.get_full_path(), context.pop("live_seconds", BUSY_SECONDS))
                return render(request, template, context | {"live": live, "page_part": part})

            now = _tags.get(place, seconds, tag)
            if request.htmx and request.headers.get(TAG_HEADER) == now:
                response = HttpResponseNotModified()
            else:
                given(request, *arguments, **named)
                response = (
                    HttpResponse(_parts.get((place, now), seconds, lambda: rendered(part).content))
                    if request.htmx
                    else rendered(page)
                )
            response[TAG_HEADER] = now
            return response

        return answer

    return decorate
