"""What stays to be read of a finished job: its log with a summary around it, and the facts that the engine knew.

The container's own lines begin with the engine's timestamps, so no job can write a line that looks like the summary;
names that studies chose are escaped. Medium privacy storage gets a summary of its own, for a file name can hold a
patient's number: it names moderately sensitive outputs and counts all others. Knows nothing of how outputs were
published.
"""

import json
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs import storage
from jobs.levels import MODERATELY_SENSITIVE
from jobs.log import escape
from jobs.models import Job, JobOutput
from jobs.states import StatusCode
from jobs.text import size_in_words, without_credentials
from jobs.version import version
from runner.matching import Matched
from runner.mounted import require_storage
from runner.plan import Entry, Plan
from runner.stored_folder import StoredFolder
from runner.verdicts import Outcome
from runner.workspaces.files import StorageUnavailable, disk_trouble, write_atomically
from runner.workspaces.notes import notes

_PIECE = 1024 * 1024
_MOST_LISTED = 500
# These changed nothing, so the log beside the outputs goes on telling of the job that made them.
_LEAVE_EARLIER_LOG = (StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN)


def write_logs(
    job: Job,
    outcome: Outcome,
    *,
    plan: Plan | None = None,
    matched: Matched | None = None,
    metadata: dict | None = None,
) -> None:
    """Write metadata.json beside the job's log and, unless it was cancelled or killed, the action's log in storage.

    `plan` for a job whose outputs are published, `matched` for one whose patterns did not match, `metadata` is what the
    executor told of the container, without secrets. Medium storage gets the log only if the action makes moderately
    sensitive outputs, and loses an earlier one if it no longer does. May be repeated. Raises StorageUnavailable.
    """
    leaves_earlier_log = outcome.code in _LEAVE_EARLIER_LOG
    if not leaves_earlier_log:
        require_storage(job.workspace)
    log_folder = storage.job_log_folder(job)
    with disk_trouble(log_folder):
        log_folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(_facts(job, outcome, plan) | {"container": metadata or {}}, indent=2)
        write_atomically(storage.job_metadata(job), content.encode())
    if leaves_earlier_log:
        return
    high, medium = storage.high_privacy_workspace(job.workspace), storage.medium_privacy_workspace(job.workspace)
    _write_action_log(job, high, _summary(job, outcome, plan, matched))
    if job.output_spec.get(MODERATELY_SENSITIVE):
        _write_action_log(job, medium, _summary_for_medium(job, outcome, plan, matched))
    elif plan is not None or not _has_released(job):  # a failed job takes nothing away
        _remove_action_log(job, medium)


def _has_released(job: Job) -> bool:
    """Whether the action has an output in medium privacy storage that counts now."""
    mine = JobOutput.objects.inputs_for(job.workspace, [job.action])
    return mine.filter(level=MODERATELY_SENSITIVE, excluded=False).exists()


def _write_action_log(job: Job, workspace_folder: Path, summary: list[str]) -> None:
    path = storage.action_log(workspace_folder, job.action)
    with disk_trouble(path), StoredFolder(workspace_folder) as stored:
        stored.make_room(f"metadata/{path.name}")
        if path.is_dir() and not path.is_symlink():
            raise StorageUnavailable(
                f"{path} is a folder, where the action's log belongs. Nothing is lost: move it away; the job then "
                "continues automatically."
            )
        write_atomically(path, _log(job, summary), writer=job.container_name)
        stored.sync()


def _remove_action_log(job: Job, workspace_folder: Path) -> None:
    path = storage.action_log(workspace_folder, job.action)
    with disk_trouble(path):
        if not workspace_folder.is_dir():
            return
        with StoredFolder(workspace_folder) as stored:
            stored.why_not_storable(f"metadata/{path.name}")  # a link would lead the removal elsewhere
            if stored.status(f"metadata/{path.name}"):  # a storage that is read-only is not asked for nothing
                stored.remove(f"metadata/{path.name}")
                stored.sync()


def _log(job: Job, summary: list[str]) -> Iterator[bytes]:
    yield f"{job.action} in {job.workspace}, job {job.identifier}\n\n".encode()
    yield from _pieces(storage.job_log(job))
    yield "\n".join(["", *summary, ""]).encode()


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield b"(no output)\n"
        return
    last = b""
    with file:
        while piece := file.read(_PIECE):
            yield piece
            last = piece
    if last and not last.endswith(b"\n"):
        yield b"\n"


def _summary(job: Job, outcome: Outcome, plan: Plan | None, matched: Matched | None) -> list[str]:
    """Lines without line ends."""
    lines = ["Summary", "=======", *_as_lines(_facts(job, outcome, None))]
    lines += _section("Preparation", [escape(note) for note in notes(job)])
    if plan:
        lines += _outputs(plan.entries)
        lines += _section("Not stored", plan.refused)
    if matched:
        lines += _section("Patterns without a file", [escape(pattern) for pattern in matched.unmatched])
        for pattern, names in matched.near.items():
            lines += _section(f"Did you mean one of these instead of {escape(pattern)}", names)
        lines += _section("Not stored", [str(refused) for refused in matched.refused])
    return lines


def _summary_for_medium(job: Job, outcome: Outcome, plan: Plan | None, matched: Matched | None) -> list[str]:
    """The same without any name that is not for medium storage: those of other outputs, refused files, near files.

    Also without the outcome's detail and the notes of the preparation, which hold such names.
    """
    facts = _facts(job, outcome, None) | {"detail": ""}
    lines = ["Summary", "=======", *_as_lines(facts)]
    refused = 0
    if plan:
        lines += _outputs([entry for entry in plan.entries if entry.level == MODERATELY_SENSITIVE])
        others = Counter(entry.level for entry in plan.entries if entry.level != MODERATELY_SENSITIVE)
        lines += _section("Other outputs", [f"{count} {level}" for level, count in sorted(others.items())])
        refused = len(plan.refused)
    if matched:
        lines += _section("Patterns without a file", [escape(pattern) for pattern in matched.unmatched])
        refused = len(matched.refused)
    lines += _section("Not stored", [f"{refused} of what the patterns matched"] if refused else [])
    return [*lines, "", "The log in high privacy storage says more."]


def _outputs(entries: Sequence[Entry]) -> list[str]:
    stored = [f"{escape(entry.path)}  {entry.level}  {size_in_words(entry.size)}" for entry in entries]
    excluded = [f"{escape(entry.path)}: {entry.message}" for entry in entries if entry.excluded]
    return [*_section("Outputs", stored), *_section("Kept out of medium privacy storage", excluded)]


def _as_lines(facts: dict) -> list[str]:
    return [f"{name}: {escape(str(value))}" for name, value in facts.items() if value not in (None, "", [])]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    listed = [f"  {line}" for line in lines[:_MOST_LISTED]]
    if len(lines) > _MOST_LISTED:
        listed.append(f"  and {len(lines) - _MOST_LISTED} more")
    return ["", f"{title}:", *listed]


def _facts(job: Job, outcome: Outcome, plan: Plan | None) -> dict:
    facts = {
        "workspace": job.workspace,
        "action": job.action,
        "job": job.identifier,
        "request": job.request.identifier,
        "attempt": job.attempt,
        "outcome": str(outcome.code),
        "message": outcome.message,
        "detail": outcome.detail,
        "repository": job.request.repository,
        "commit": job.request.commit,
        "reusable action": f"{without_credentials(job.code_repo_url)} at {job.code_commit}"
        if job.code_repo_url
        else "",
        "command": job.run_command,
        "image": job.image,
        "image id": job.image_id,
        "exit code": job.exit_code,
        "asked for by": job.request.created_by,
        "created": job.created_at.isoformat(),
        "started": job.started_at.isoformat() if job.started_at else None,
        "host": socket.gethostname(),
        "runner version": version(),
    }
    if plan:
        facts["ended"] = plan.completed_at.isoformat()
        facts["outputs"] = len(plan.entries)
    return facts
