"""How jobs ended and where their outputs lie, for people at a terminal."""

from rich.markup import escape as literally
from rich.table import Table
from rich.text import Text

from jobs import storage
from jobs.log import escape
from jobs.models import Job, JobOutput
from jobs.progress import LOOK
from jobs.states import State, StatusCode
from jobs.text import size_in_words


def result_table(jobs: list[Job]) -> Table:
    """How each job ended, how long it took and where its outputs lie."""
    outputs: dict[int, list[JobOutput]] = {}
    for output in JobOutput.objects.filter(job__in=jobs).order_by("path"):
        outputs.setdefault(output.job_id, []).append(output)
    table = Table(title="Jobs and their outputs", title_justify="left", show_lines=True)
    table.add_column("job", no_wrap=True)
    table.add_column("action")
    table.add_column("result")
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("outputs (path below the storage folder, privacy level, size)", overflow="fold")
    for job in jobs:
        table.add_row(
            job.identifier, literally(escape(job.action)), _result(job), _took(job), _outputs(outputs.get(job.pk, []))
        )
    return table


def where_outputs_lie(jobs: list[Job]) -> list[str]:
    """Sentences that name the storage folders of the jobs' workspaces."""
    lines = []
    for workspace in sorted({job.workspace for job in jobs}):
        lines.append(f"All outputs of {workspace}: {storage.high_privacy_workspace(workspace)}")
        lines.append(f"For output checking (moderately sensitive): {storage.medium_privacy_workspace(workspace)}")
    return lines


def _result(job: Job) -> Text:
    sign, style = LOOK[State(job.state)]
    message = "" if job.status_code == StatusCode.SUCCEEDED else f"\n{escape(job.status_message)}"
    return Text(f"{sign} {job.status_code}{message}", style)


def _took(job: Job) -> str:
    if not (job.started_at and job.completed_at):
        return "-"
    return f"{(job.completed_at - job.started_at).total_seconds():.1f} s"


def _outputs(outputs: list[JobOutput], most: int = 8) -> str:
    lines = [
        f"{output.path} · {output.level.replace('_', ' ')} · {size_in_words(output.size)}"
        + (" · excluded from output checking" if output.excluded else "")
        for output in outputs[:most]
    ]
    if len(outputs) > most:
        lines.append(f"… and {len(outputs) - most} more")
    return literally("\n".join(escape(line) for line in lines))
