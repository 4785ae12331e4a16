"""What a job was made of and ran as, for its page and as JSON: rows of the database, and what the engine told.

The engine's part is `metadata.json` beside the job's log. The runner wrote it, but it holds what an engine and a study
said, so it is read with suspicion: no link, bounded, each part only if it is of the expected kind.
"""

import json
from urllib.parse import urlsplit

from django.conf import settings

from jobs import storage
from jobs.exit_codes import meaning
from jobs.inputs import inputs_of
from jobs.logs import LogTrouble, opened_plainly
from jobs.models import Job
from jobs.text import without_credentials

MOST_BYTES, MOST_INPUTS, MOST_NAMES, MOST_TEXT = 1024**2, 500, 200, 255


def facts_of(job: Job) -> dict:
    """JSON; names of environment variables without values. Three queries at most."""
    request = job.request
    inputs = inputs_of(job, MOST_INPUTS)
    return {
        "job": job.identifier,
        "request": request.identifier,
        "workspace": job.workspace,
        "action": job.action,
        "attempt": job.attempt,
        "state": job.state,
        "status_code": job.status_code,
        "repository": request.repository,
        "branch": request.branch,
        "commit": request.commit,
        "reusable_action": {"repository": without_credentials(job.code_repo_url), "commit": job.code_commit}
        if job.code_repo_url
        else None,
        "command": job.run_command,
        "arguments": job.arguments,
        "image": job.image,
        "image_id": job.image_id,
        "database": request.database_name if job.requires_db else None,
        "dummy_data": job.has_dummy_data,
        "exit_code": job.exit_code,
        "exit_code_meaning": meaning(job.exit_code, out_of_memory=job.out_of_memory),
        "out_of_memory": job.out_of_memory,
        "container": job.container_name,
        **_recorded(job),
        "requested_by": request.created_by,
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "completed_at": job.completed_at.isoformat() if job.completed_at else None,
        "inputs": [
            {"path": each.path, "sha256": each.sha256, "action": each.action, "job": each.job} for each in inputs.files
        ],
        # False if they are worked out from what is known of other jobs.
        "inputs_recorded": inputs.is_recorded,
        "inputs_cut": inputs.is_cut,
    }


def commit_url(repo_url: str, commit: str) -> str:
    """A page of the commit, only on a host from which studies may come; else empty."""
    return f"{base}/commit/{commit}" if commit and (base := _web_address(repo_url)) else ""


def compare_url(repo_url: str, before: str, now: str) -> str:
    return f"{base}/compare/{before}...{now}" if before and now and (base := _web_address(repo_url)) else ""


def _web_address(repo_url: str) -> str:
    try:
        parts = urlsplit(repo_url)
        host = parts.hostname or ""
        is_plain = parts.scheme in ("http", "https") and not parts.username and not parts.password
    except ValueError:
        return ""
    if not is_plain or host.lower() not in settings.ALLOWED_GIT_HOSTS:
        return ""
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('.git')}"


def _recorded(job: Job) -> dict:
    """What was written down at its end, as far as each is what it should be."""
    found = _read(job)
    container = found.get("container") if isinstance(found.get("container"), dict) else {}
    config = container.get("Config") if isinstance(container.get("Config"), dict) else {}
    variables = config.get("Env") if isinstance(config.get("Env"), list) else []
    names = {each.partition("=")[0] for each in variables if isinstance(each, str)}
    return {
        "host": _text(found.get("host")),
        "runner_version": _text(found.get("runner version")),
        "container_id": _text(container.get("Id")),
        "environment_names": sorted(names)[:MOST_NAMES],
    }


def _text(value: object) -> str:
    return value[:MOST_TEXT] if isinstance(value, str) else ""


def _read(job: Job) -> dict:
    try:
        with opened_plainly(storage.job_metadata(job)) as file:
            content = json.loads(file.read(MOST_BYTES + 1)[:MOST_BYTES])
    except (LogTrouble, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
