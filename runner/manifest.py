"""The manifest of a workspace's storage: who made each file, when, from what, and what the disclosure checks said.

Other tools read it, in two forms that stand side by side: `outputs` (path -> everything) and, for readers of the older
form, `files` and `actions`. This module turns one manifest into the next; it decides nothing and moves no outputs. Call
it with the workspace's lock held.
"""

import json
import logging
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from jobs import storage
from jobs.levels import PRIVACY_LEVELS
from jobs.models import Job, JobOutput
from jobs.states import State
from runner.plan import Entry
from runner.workspaces.files import NotOrdinary, read_plain

logger = logging.getLogger(__name__)

# An output takes 0.7 to 3 KB, so this is several 100,000 of them; whatever is larger was not written by us.
MOST_BYTES = 1024**3
# Columns that may be large, which a manifest that is made again would load once for each output.
_UNUSED = ("arguments", "output_spec", "needs", "metrics", "trace_context")
_UNUSED_OF_REQUEST = ("requested_actions", "cancelled_actions", "study_actions", "orgs", "analysis_scope", "original")


def load(workspace: str, folder: Path, *, levels: Iterable[str] = PRIVACY_LEVELS) -> dict:
    """The manifest in one storage's folder of a workspace; missing or damaged, it is made again from the database.

    A damaged one, or what is no plain file, is set aside as `manifest.json.corrupt-<time>`. `levels` are those that
    this storage may know of.
    """
    path = storage.manifest(folder)
    try:
        return checked(json.loads(read_plain(path, MOST_BYTES)))
    except FileNotFoundError:
        return _rebuilt(workspace, folder, levels)
    except (NotOrdinary, ValueError, TypeError, RecursionError) as error:
        aside = path.with_name(f"{path.name}.corrupt-{timezone.now():%Y%m%dT%H%M%S.%f}")
        logger.error("%s cannot be read (%s); kept as %s and made again from the database", path, error, aside.name)
        manifest = _rebuilt(workspace, folder, levels)
        path.rename(aside)
        return manifest


def updated(manifest: dict, job: Job, entries: list[Entry], *, dropped: Iterable[str], completed_at: datetime) -> dict:
    """The manifest once the job has published `entries`; `dropped` are further paths that it must no longer name.

    Outputs that the action made earlier and no longer makes stay, marked. Leaves the given manifest as it was.
    """
    gone = {entry.path for entry in entries} | set(dropped)
    outputs = {path: dict(output) for path, output in manifest["outputs"].items() if path not in gone}
    for output in outputs.values():
        if output.get("action") == job.action:
            output["out_of_date_output"] = True
    outputs |= {entry.path: _output(job, entry) for entry in entries}
    for output in outputs.values():
        known = job.request.study_actions
        output["out_of_date_action"] = bool(known) and output.get("action") not in known
    files = {path: file for path, file in manifest["files"].items() if path not in gone}
    files |= {entry.path: {"created_by_action": job.action, "privacy_level": entry.level} for entry in entries}
    return {
        **manifest,
        "workspace": job.workspace,
        "repo": _repo_of(outputs, job.request.repo_url),
        "outputs": outputs,
        "files": files,
        "actions": manifest["actions"] | ({job.action: _action(job, completed_at)} if entries else {}),
    }


def without(manifest: dict, paths: Collection[str]) -> dict:
    """The manifest without these outputs. Leaves the given one as it was."""
    kept = {
        part: {path: each for path, each in manifest[part].items() if path not in paths}
        for part in ("outputs", "files")
    }
    return {**manifest, **kept}


def displaced(manifest: dict, paths: Iterable[str]) -> list[str]:
    """Outputs that it names and that cannot stand beside files at these paths: below one, or where their folders are.

    They are left over where somebody has removed a folder, or a file, in one storage only.
    """
    files = set(paths)
    folders = {folder for path in files for folder in _folders_above(path)}
    named = manifest["outputs"].keys() | manifest["files"].keys()
    return sorted(path for path in named if path in folders or not files.isdisjoint(_folders_above(path)))


def _folders_above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def as_json(manifest: dict) -> Iterator[bytes]:
    """JSON with one line for each output, file and action: quick to write, and people can compare two of them."""
    yield b"{"
    for number, (key, value) in enumerate(manifest.items()):
        yield f"{',' if number else ''}\n {json.dumps(key)}: ".encode()
        if isinstance(value, dict):
            yield from _lines(value)
        else:
            yield json.dumps(value).encode()
    yield b"\n}\n"


def _lines(items: dict) -> Iterator[bytes]:
    yield b"{"
    for number, name in enumerate(sorted(items)):
        yield f"{',' if number else ''}\n  {json.dumps(name)}: {json.dumps(items[name])}".encode()
    yield b"\n }" if items else b"}"


def checked(manifest: object) -> dict:
    """A manifest with all its parts; those of the older system may lack either form. Raises TypeError."""
    if not isinstance(manifest, dict):
        raise TypeError("it is not a JSON object")
    for part in ("outputs", "files", "actions"):
        items = manifest.setdefault(part, {})
        if not isinstance(items, dict) or not all(isinstance(item, dict) for item in items.values()):
            raise TypeError(f"its {part!r} are not as they should be")
    return manifest


def _rebuilt(workspace: str, folder: Path, levels: Iterable[str]) -> dict:
    """From the rows of outputs: those that are current, and older ones whose file still stands unreplaced."""
    manifest = {"workspace": workspace, "repo": "", "outputs": {}, "files": {}, "actions": {}}
    rows = JobOutput.objects.filter(job__workspace=workspace, level__in=levels).order_by("is_current", "pk")
    unused = [f"job__{column}" for column in _UNUSED] + [f"job__request__{column}" for column in _UNUSED_OF_REQUEST]
    for row in rows.select_related("job__request").defer(*unused).iterator(chunk_size=500):
        if row.is_current or _is_still_there(folder, row):
            output = _output(row.job, row) | {"out_of_date_action": False, "out_of_date_output": not row.is_current}
            manifest["outputs"][row.path] = output
            manifest["files"][row.path] = {"created_by_action": row.job.action, "privacy_level": row.level}
            manifest["actions"][row.job.action] = _action(row.job, row.job.completed_at)
            manifest["repo"] = _repo_of(manifest["outputs"], "")
    return manifest


def _repo_of(outputs: dict, otherwise: str) -> str:
    """The repository of all outputs; empty if several studies share the workspace: each output tells its own."""
    repos = {output.get("repo", "") for output in outputs.values()} or {otherwise}
    return repos.pop() if len(repos) == 1 else ""


def _is_still_there(folder: Path, row: JobOutput) -> bool:
    try:
        status = (folder / row.path).lstat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (row.size, row.modified_ns)


def _output(job: Job, entry: Entry | JobOutput) -> dict:
    """The newer form of one output; an Entry and a JobOutput have the same attributes."""
    return {
        "level": entry.level,
        "job_id": job.identifier,
        "job_request": job.request.identifier,
        "action": job.action,
        "user": job.request.created_by,
        "repo": job.request.repo_url,
        "commit": job.request.commit,
        "size": entry.size,
        "timestamp": entry.modified_ns / 1e9,
        "content_hash": entry.content_hash,
        "excluded": entry.excluded,
        "rule": entry.rule,
        "message": entry.message,
        "row_count": entry.row_count,
        "col_count": entry.col_count,
        "out_of_date_action": False,
        "out_of_date_output": False,
    }


def _action(job: Job, completed_at: datetime | None) -> dict:
    """The older form of one action; only successful jobs publish."""
    return {
        "state": str(State.SUCCEEDED),
        "commit": job.request.commit,
        "docker_image_id": job.image_id,
        "job_id": job.identifier,
        "run_by_user": job.request.created_by,
        "created_at": job.created_at.isoformat(),
        "completed_at": completed_at.isoformat() if completed_at else None,
        "exit_code": job.exit_code,
    }
