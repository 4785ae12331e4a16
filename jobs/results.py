"""How jobs ended and where their outputs lie, for people at a terminal."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs import storage
from jobs.log import escape
from jobs.models import Job, JobOutput
from jobs.progress import LOOK
from jobs.states import State, StatusCode
from jobs.text import size_in_words

MOST_OUTPUTS = 20
NEVER_RAN = (StatusCode.DEPENDENCY_FAILED, StatusCode.STALE_CODELISTS)
STOPPED = (StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN, StatusCode.INTERNAL_ERROR)
# What a file or a pipe is given: there is no window that lines would have to fit into.
WIDTH_WITHOUT_TERMINAL = 160


def terminal(*, stderr: bool = False) -> Console:
    """Where results are printed, or with `stderr` what is said beside them; `COLUMNS` overrides the width."""
    console = Console(highlight=False, stderr=stderr)
    if console.is_terminal:
        return console
    return Console(highlight=False, stderr=stderr, width=max(console.width, WIDTH_WITHOUT_TERMINAL))


def print_results(jobs: list[Job]) -> bool:
    """A table of the jobs, then the folders that its paths begin in. Returns whether all of them succeeded."""
    console = terminal()
    console.print(_table(jobs))
    for workspace in sorted({job.workspace for job in jobs}):
        console.print(f"Outputs of {workspace}: {storage.high_privacy_workspace(workspace)}", soft_wrap=True)
        medium = storage.medium_privacy_workspace(workspace)
        if medium.exists():
            console.print(f"  for output checking: {medium}", soft_wrap=True)
    for job in jobs:
        log = _log(job)
        if log:
            console.print(f"Log of {escape(job.action)}: {log}", soft_wrap=True, markup=False)
    succeeded = sum(job.state == State.SUCCEEDED for job in jobs)
    console.print(
        f"{succeeded} of {len(jobs)} job(s) succeeded.", style="green" if succeeded == len(jobs) else "bold red"
    )
    return succeeded == len(jobs)


def _table(jobs: list[Job]) -> Table:
    outputs: dict[int, list[JobOutput]] = {}
    for output in JobOutput.objects.filter(job__in=jobs).order_by("path"):
        outputs.setdefault(output.job_id, []).append(output)
    table = Table(show_lines=True)
    table.add_column("action and job", overflow="fold")
    table.add_column("result", overflow="fold", max_width=50)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("outputs: path, privacy level, size", overflow="fold")
    for job in jobs:
        name = Text.assemble(escape(job.action), "\n", (job.identifier, "dim"))
        table.add_row(name, _result(job), _took(job), _where(job, outputs.get(job.pk, [])))
    return table


def _result(job: Job) -> Text:
    sign, style = LOOK[State(job.state)]
    sentences = "" if job.status_message == "Completed successfully." else f"\n{escape(job.status_message)}"
    sentences += f"\n{escape(job.status_detail)}" if job.status_detail else ""
    return Text(f"{sign} {job.status_code}{sentences}", style)


def _took(job: Job) -> str:
    if not (job.started_at and job.completed_at):
        return "-"
    return f"{(job.completed_at - job.started_at).total_seconds():.1f} s"


def _where(job: Job, outputs: list[JobOutput]) -> Text:
    lines = [_line(output) for output in outputs[:MOST_OUTPUTS]]
    if len(outputs) > MOST_OUTPUTS:
        lines.append(f"… and {len(outputs) - MOST_OUTPUTS} more")
    return Text("\n".join(escape(line) for line in lines))


def _line(output: JobOutput) -> str:
    kept_back = f", withheld from output checking ({output.rule})" if output.excluded else ""
    return f"{output.path}  {output.level.replace('_', ' ')}, {size_in_words(output.size)}{kept_back}"


def _log(job: Job) -> Path | None:
    """Where a failed job tells the most: the action's log with its summary, or the bare one of a stopped job."""
    if job.state != State.FAILED or job.status_code in NEVER_RAN:
        return None
    if job.status_code in STOPPED:
        return storage.job_log(job)
    return storage.action_log(storage.high_privacy_workspace(job.workspace), job.action)
