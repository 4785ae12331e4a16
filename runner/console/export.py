"""`manage.py export_workspace`: what a workspace has released, as one archive."""

import sys

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.text import Text

from jobs.console.asker import at_this_terminal, reason_of
from jobs.console.command import Refused, print_json
from jobs.log import escape
from jobs.models import AuditEntry
from jobs.reasons import cleaned_reason
from jobs.results import terminal
from jobs.text import counted, size_in_words
from runner.exporting import Export, NoExport, export
from runner.verifying import workspaces


def export_workspace(workspace: str, *, reason: str | None, as_json: bool) -> None:
    """Raises Refused, NoReason."""
    there = workspaces()
    if workspace not in there:
        raise Refused(f"There is no workspace {escape(workspace)} in storage. There are: {', '.join(there) or 'none'}.")
    why = cleaned_reason(reason_of(reason))
    try:
        made = _export(workspace)
    except NoExport as error:
        raise Refused(escape(str(error))) from error
    except OSError as error:
        raise Refused(f"It could not be written: {error.strerror or error} ({escape(str(error.filename))}).") from error
    AuditEntry.note(
        at_this_terminal(), "export", object_kind="outputs", object_id=workspace, label=workspace,
        after=f"{made.files} files in {made.path.name}"[:512], reason=why,
    )  # fmt: skip
    if as_json:
        print_json({"path": str(made.path), "files": made.files, "bytes": made.size})
    else:
        terminal(stderr=True).print(f"{counted(made.files, 'file')}, {size_in_words(made.size)}", markup=False)
        terminal().print(Text(escape(str(made.path))), soft_wrap=True)


def _export(workspace: str) -> Export:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=terminal(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(escape(workspace), total=None)
        return export(workspace, seen=lambda size: progress.advance(task, size))
