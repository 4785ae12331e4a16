"""A job's log as people read it. The file is the runner's; `jobs.logs` reads it, in pieces, and nothing follows it.

Whatever gives away what a log says is noted in the audit: each download, and the first look of a person at a job's log
in each hour. The queries of a search are not noted, they could quote patients. Nothing of it may stay in caches.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs import logs
from jobs.logs.reading import PAGE_LINES, NoLog, NoStorage, Piece
from jobs.logs.searching import BadSearch, Found, Search, error_lines, search
from jobs.models import AuditEntry, Job
from jobs.people.access import allowed, who
from jobs.people.log_views import note_view
from jobs.views.no_log import NOT_ALLOWED, NoLines, why_no_lines

# One answer to a poll; and how far behind a viewer may be before only the newest lines are shown.
POLL_BYTES, FAR_BEHIND_BYTES = 64 * 1024, 1024**2
HITS_WITHOUT_SCRIPT = 100
_DOWNLOAD_BLOCK = 256 * 1024
_COLUMNS = ("identifier", "workspace", "action", "created_at", "attempt", "state", "status_code", "status_changed_at")


@dataclass
class LogView:
    """What templates/jobs/_log.html shows: a piece of the log, or why there is none."""

    job: Job
    attempt: int
    piece: Piece | None = None
    nothing: NoLines | None = None
    wanted: Search | None = None
    found: Found | None = None
    search_problem: str = ""
    hits: list[int] = field(default_factory=list)

    @property
    def attempts(self) -> range:
        return range(1, self.job.attempt + 1)

    @property
    def is_growing(self) -> bool:
        """Whether asking again may bring more."""
        return self.job.is_active and self.attempt == self.job.attempt

    @cached_property
    def error_stamps(self) -> frozenset[str]:
        """Of the lines from standard error."""
        return logs.error_stamps(self.job, self.attempt) if self.piece and self.piece.lines else frozenset()

    @property
    def is_at_end(self) -> bool:
        return self.piece is not None and self.piece.is_last

    @property
    def is_refused(self) -> bool:
        return self.nothing is not None and self.nothing.sentence == NOT_ALLOWED


def log_context(request: HttpRequest, job: Job) -> dict:
    """For pages that include templates/jobs/_log.html. Reads, and notes that somebody has read."""
    if not request.user.has_perm("jobs.read_log"):
        return {"log": LogView(job, job.attempt, nothing=NoLines(NOT_ALLOWED))}
    attempt = _attempt(request, job)
    view = LogView(job, attempt)
    try:
        with _opened(job, attempt) as reader:
            view.piece = _piece(request, reader)
            if not reader.end:
                view.piece, view.nothing = None, why_no_lines(job, attempt, has_file=True)
            _search_without_script(request, reader, view)
    except logs.LogTrouble as trouble:
        is_expected = isinstance(trouble, NoLog) or (isinstance(trouble, NoStorage) and job.started_at is None)
        view.nothing = why_no_lines(job, attempt, has_file=False) if is_expected else NoLines(str(trouble))
    if view.piece:
        note_view(who(request), job)
    return {"log": view}


def _opened(job: Job, attempt: int):
    return logs.opened(logs.path_of(job, attempt), is_complete=job.is_finished or attempt < job.attempt)


def _job(identifier: str, *more: str) -> Job:
    return get_object_or_404(Job.objects.only(*_COLUMNS, *more), identifier=identifier)


def _attempt(request: HttpRequest, job: Job) -> int:
    attempt = _number(request, "attempt", job.attempt)
    if not 1 <= attempt <= job.attempt:
        raise Http404("The job has no such attempt.")
    return attempt


def _number(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else default


def _piece(request: HttpRequest, reader: logs.LogReader) -> Piece:
    """The one that was asked for, or the end."""
    if "before" in request.GET:
        return reader.before(_number(request, "before", reader.end))
    if "after" in request.GET:
        return reader.after(_number(request, "after", reader.end))
    if "line" in request.GET:
        return reader.around(_number(request, "line", 0)) or reader.last()
    return reader.last()


def _label(job: Job) -> str:
    return f"{job.workspace}: {job.action}"


# --- the page, and the pieces of it that are asked for later


@require_safe
@never_cache
@allowed("jobs.read_log")
def log_page(request: HttpRequest, identifier: str) -> HttpResponse:
    """The log on a page of its own; for scripts its region, or only a piece of lines."""
    job = get_object_or_404(Job.objects.select_related("request"), identifier=identifier)
    context = log_context(request, job)
    template = "jobs/log.html"
    if request.htmx:
        has_lines = context["log"].piece and "region" not in request.GET
        template = "jobs/_log_piece.html" if has_lines else "jobs/_log_region.html"
    return render(request, template, context | {"title": f"Log of {job.action}", "section": "jobs", "job": job})


@require_safe
@never_cache
@allowed("jobs.read_log")
def log_news(request: HttpRequest, identifier: str) -> HttpResponse:
    """What has been written since the offset: whole lines, or 204. Without news one look at the file and no more."""
    job = _job(identifier)
    attempt = _attempt(request, job)
    try:
        with _opened(job, attempt) as reader:
            piece = _news(reader, _number(request, "from", 0))
    except NoLog:
        piece = None
    except logs.LogTrouble as trouble:
        return HttpResponse(str(trouble), status=503, content_type="text/plain; charset=utf-8")
    response = HttpResponse(status=204)
    if piece:
        note_view(who(request), job)
        response = render(request, "jobs/_log_piece.html", {"log": LogView(job, attempt, piece)})
    response["Log-Attempt"], response["Log-Ends"] = str(job.attempt), "no" if job.is_active else "yes"
    return response


def _news(reader: logs.LogReader, offset: int) -> Piece | None:
    if offset >= reader.end:
        return None
    if reader.end - offset > FAR_BEHIND_BYTES:
        return reader.last()
    return reader.after(offset, PAGE_LINES, POLL_BYTES)


# --- searching


@require_safe
@never_cache
@allowed("jobs.read_log")
def log_search(request: HttpRequest, identifier: str) -> HttpResponse:
    """The numbers of the lines that hold what is looked for, or that look like an error."""
    job = _job(identifier)
    try:
        with _opened(job, _attempt(request, job)) as reader:
            found = error_lines(reader) if "errors" in request.GET else search(reader, _wanted(request))
            size = reader.size
    except (BadSearch, logs.LogTrouble) as problem:
        return JsonResponse({"problem": str(problem)})
    note_view(who(request), job)
    answer = {"lines": found.numbers, "count": found.count, "is_whole": found.is_whole}
    return JsonResponse(answer | {"searched_bytes": found.searched_bytes, "size": size})


def _wanted(request: HttpRequest) -> Search:
    return Search(request.GET.get("q", ""), is_regex="regex" in request.GET, is_case_sensitive="case" in request.GET)


def _search_without_script(request: HttpRequest, reader: logs.LogReader, view: LogView) -> None:
    view.wanted = _wanted(request)
    if not view.wanted.words or "q" not in request.GET:
        return
    try:
        view.found = search(reader, view.wanted)
        view.hits = view.found.numbers[:HITS_WITHOUT_SCRIPT]
    except BadSearch as problem:
        view.search_problem = str(problem)


# --- downloading


@require_safe
@never_cache
@allowed("jobs.read_log")
def log_download(request: HttpRequest, identifier: str, suffix: str) -> HttpResponse:
    """The file as it is now, byte for byte; `suffix` is "" or ".gz"."""
    job = _job(identifier)
    attempt = _attempt(request, job)
    name = f"{job.identifier}-{attempt}.log{suffix}"
    try:
        blocks, size = _open_blocks(job, attempt)
    except logs.LogTrouble as trouble:
        return HttpResponse(str(trouble), status=404, content_type="text/plain; charset=utf-8")
    columns = {"object_id": job.identifier, "label": _label(job), "after": f"log of attempt {attempt}, {size} bytes"}
    AuditEntry.note(who(request), "download", object_kind="job", **columns)
    content_type = "application/gzip" if suffix else "text/plain; charset=utf-8"
    response = StreamingHttpResponse(_gzipped(blocks) if suffix else blocks, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    if not suffix:
        response["Content-Length"] = str(size)
    return response


def _open_blocks(job: Job, attempt: int) -> tuple[Iterator[bytes], int]:
    """Opened at once, so that trouble is told before the answer begins; closed when the answer ends."""
    blocks = _blocks(job, attempt)
    size = next(blocks)
    return blocks, size


def _blocks(job: Job, attempt: int) -> Iterator:
    with logs.opened(logs.path_of(job, attempt), is_complete=True) as reader:
        yield reader.size
        for offset in range(0, reader.size, _DOWNLOAD_BLOCK):
            yield os.pread(reader.descriptor, min(_DOWNLOAD_BLOCK, reader.size - offset), offset)


def _gzipped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    gzip = zlib.compressobj(level=6, wbits=31)
    for block in blocks:
        if packed := gzip.compress(block):
            yield packed
    yield gzip.flush()
