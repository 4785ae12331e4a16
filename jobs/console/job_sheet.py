"""`manage.py job ID`: one job, why it waits, what it has made and what became of it."""

from collections.abc import Iterator

from django.conf import settings
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs import logs, storage
from jobs.api.schemas import Change, JobDetail, Output
from jobs.console.command import print_json
from jobs.console.job_list import state_of
from jobs.exit_codes import meaning
from jobs.log import escape
from jobs.models import Flag, Job
from jobs.results import terminal
from jobs.signs import Signs
from jobs.text import counted, duration_in_words, size_in_words
from jobs.waiting_for import Why, why

MOST_CHANGES, MOST_OUTPUTS = 30, 200
_MARKS = {"ok": "green", "bad": "bold red"}


def show_job(job: Job, *, as_json: bool) -> None:
    """The newest changes and the first outputs; all of them has the job's page."""
    changes = list(job.status_changes.order_by("-pk")[:MOST_CHANGES])[::-1]
    outputs = list(job.outputs.order_by("path")[:MOST_OUTPUTS])
    reasons = _reasons(job)
    if as_json:
        print_json(_answer(job, changes, outputs, reasons))
        return
    console = terminal()
    console.print(Text.assemble(state_of(job), f"  {escape(job.action)}", (f"  of {escape(job.workspace)}", "dim")))
    console.print(_facts(job))
    if reasons:
        _print_reasons(console, reasons)
    if outputs:
        console.print(_outputs(outputs))
        if (total := job.outputs.count()) > len(outputs):
            console.print(f"… and {total - len(outputs)} more outputs", style="dim")
    console.print(_changes(changes))
    for line in _next(job):
        console.print(Text(line, "dim"), soft_wrap=True)


def _reasons(job: Job) -> Why | None:
    if not job.is_active or job.has_begun:
        return None
    flags = {name: flag for name, flag in Flag.objects.current().items() if flag.value}
    return why(job, flags, Signs.read())


def _answer(job: Job, changes: list, outputs: list, reasons: Why | None) -> dict:
    names = ("at", "from_code", "to_code", "message", "actor", "attempt")
    told = [Change(id=each.pk, **{name: getattr(each, name) for name in names}) for each in changes]
    waits = (
        [{"state": each.state, "title": each.title, "text": each.text} for each in reasons.checks] if reasons else []
    )
    return JobDetail.from_orm(job).model_dump() | {
        "why": {"sentence": reasons.sentence, "position": reasons.position, "checks": waits} if reasons else None,
        "outputs": [Output.from_orm(output).model_dump() for output in outputs],
        "changes": [each.model_dump() for each in told],
    }


def _facts(job: Job) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(job):
        if value:
            table.add_row(name, Text(escape(str(value))))
    return table


def _rows(job: Job) -> Iterator[tuple[str, object]]:
    said = meaning(job.exit_code, out_of_memory=job.out_of_memory)
    request, when = job.request, _when(job.created_at)
    yield "job", job.identifier
    yield "request", f"{request.identifier}, asked for by {request.created_by or 'somebody'} at {when}"
    yield "status", f"{job.status_code}: {job.status_message}"
    yield "detail", job.status_detail
    if job.stop_request:
        yield "asked to stop", f"{job.stop_request}, by {job.stop_requested_by}: {job.stop_reason}"
    yield "attempt", job.attempt if job.attempt > 1 else ""
    has_run = job.has_begun or job.is_finished  # of this attempt
    yield "began", _when(job.started_at) if has_run else ""
    yield "ended", _when(job.completed_at)
    yield "exit code", "" if job.exit_code is None else f"{job.exit_code}: {said}"
    yield "image", f"{job.image} {job.image_id}".strip()
    yield "code", f"{request.repository} at {request.commit}"
    yield "command", job.run_command
    if job.started_at and has_run:
        yield "log file", logs.place_of(job)
    if job.has_begun or job.is_cut_off:  # where to look while it runs, or before it is finalised again
        yield "container", job.container_name
        if settings.WORKSPACE_KIND == "volume":
            yield "volume", f"{job.container_name} on the engine {settings.DOCKER_HOST}"
        else:
            yield "folder", storage.job_workspace(job)


def _when(moment) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _print_reasons(console: Console, reasons: Why) -> None:
    console.print("\nWhy it waits", style="bold")
    for check in reasons.checks:
        console.print(
            Text.assemble((f"{check.mark} ", _MARKS.get(check.state, "dim")), f"{check.title}: {escape(check.text)}"),
            soft_wrap=True,
        )
    if reasons.position:
        console.print(f"place in line: {reasons.position}", style="dim")
    if reasons.estimate:
        wait = reasons.estimate.wait
        starts = f"starts in about {duration_in_words(wait)}, " if wait else ""
        console.print(Text(f"{starts}{escape(reasons.estimate.basis)}", "dim"), soft_wrap=True)


def _outputs(outputs: list) -> Table:
    table = Table(title=counted(len(outputs), "output"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("path", overflow="fold")
    table.add_column("privacy level", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("withheld", overflow="fold")
    for each in outputs:
        rows = "" if each.row_count is None else str(each.row_count)
        withheld = f"{each.rule}: {each.message}" if each.excluded else ""
        words = (each.level.replace("_", " "), size_in_words(each.size), rows, escape(withheld))
        table.add_row(Text(escape(each.path)), *map(Text, words))
    return table


def _changes(changes: list) -> Table:
    table = Table(title="What became of it", title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False)
    for each in changes:
        words = (_when(each.at), each.to_code, escape(each.actor), escape(each.message))
        table.add_row(*map(Text, words))
    return table


def _next(job: Job) -> Iterator[str]:
    if job.started_at:
        yield f"its log: manage.py logs {job.identifier}{' -f' if job.is_active else ''}"
    if job.is_active:
        yield f"to end it: manage.py cancel_job {job.identifier}"
    elif job.is_cut_off:
        yield f"to finish it without running it again: manage.py retry_job {job.identifier}"
    else:
        yield f"to run it again: manage.py rerun_job {job.identifier}"
