"""Where a workspace's files and a job's logs lie: the one place that knows the layout below the two storage bases.

Pure paths, shared by the runner, which writes, and the web, which reads. Workspace names and action names are checked
when a request is made (`jobs.planning`), and once more here: no path is ever built from an unchecked name.
"""

import re
from pathlib import Path

from django.conf import settings

from jobs.names import ACTION_NAME, WORKSPACE_NAME


def _checked(name: str, pattern: re.Pattern) -> str:
    if not pattern.fullmatch(name):
        raise ValueError(f"{name!r} cannot be used as a file name")
    return name


def high_privacy_workspace(workspace: str) -> Path:
    return settings.HIGH_PRIVACY_STORAGE_BASE / "workspaces" / _checked(workspace, WORKSPACE_NAME)


def medium_privacy_workspace(workspace: str) -> Path:
    return settings.MEDIUM_PRIVACY_STORAGE_BASE / "workspaces" / _checked(workspace, WORKSPACE_NAME)


def action_log(workspace_folder: Path, action: str) -> Path:
    """The log of the action's latest job, in either storage."""
    return workspace_folder / "metadata" / f"{_checked(action, ACTION_NAME)}.log"


def manifest(workspace_folder: Path) -> Path:
    return workspace_folder / "metadata" / "manifest.json"


def job_log_folder(job) -> Path:
    """For the current attempt of a job; the month is that of the job's creation, so it never moves."""
    month = job.created_at.strftime("%Y-%m")
    return settings.HIGH_PRIVACY_STORAGE_BASE / "logs" / month / job.container_name


def job_log(job) -> Path:
    """The live log while the container runs, the complete one afterwards; each line begins with its timestamp."""
    return job_log_folder(job) / "logs.txt"


def job_error_stamps(job) -> Path:
    """The timestamps of the log's lines from standard error, one a line; not there if there are none."""
    return job_log_folder(job) / "stderr.txt"


def job_inputs(job) -> Path:
    """Which files the current attempt was given (`jobs.inputs`); there once they have been copied."""
    return job_log_folder(job) / "inputs.jsonl"


def job_metadata(job) -> Path:
    return job_log_folder(job) / "metadata.json"


def job_folder(job) -> Path:
    """The current attempt's own folder; `workspace` inside it is what the container sees."""
    return settings.WORK_DIR / "jobs" / job.identifier / str(job.attempt)


def job_workspace(job) -> Path:
    return job_folder(job) / "workspace"
