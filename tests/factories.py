"""Rows for tests, as plain functions with defaults: `make_job(status_code=EXECUTING)`."""

import itertools
from collections.abc import Iterable

from django.utils import timezone

from jobs.models import Flag, Job, JobOutput, JobRequest, Quarantine
from jobs.models.job import job_identifier
from jobs.states import FINAL_STATES, State, StatusCode, state_of

_numbers = itertools.count(1)


def make_request(**columns) -> JobRequest:
    """A JobRequest of Alice's; any column may be given."""
    defaults = {
        "backend": "development",
        "workspace": "study",
        "repo_url": "https://github.com/opensafely/study",
        "branch": "main",
        "commit": "c" * 40,
        "requested_actions": ["make_table"],
        "study_actions": ["make_table"],
        "created_by": "alice",
    }
    return JobRequest.objects.create(**defaults | columns)


def make_job(
    status_code: StatusCode = StatusCode.CREATED,
    request: JobRequest | None = None,
    waits_for: Iterable[Job] = (),
    **columns,
) -> Job:
    """A Job in the given status; without a request it gets one of its own, in the same workspace and backend."""
    if request is None:
        request = make_request(**{name: columns[name] for name in ("workspace", "backend") if name in columns})
    action = columns.pop("action", f"action_{next(_numbers)}")
    state = state_of(status_code)
    now = timezone.now()
    defaults = {
        "identifier": job_identifier(request.identifier, action),
        "backend": request.backend,
        "workspace": request.workspace,
        "run_command": "python:latest python analysis/table.py",
        "image": "python:latest",
        "arguments": ["python", "analysis/table.py"],
        "output_spec": {"highly_sensitive": {"table": "output/table.csv"}},
        "needs": [job.action for job in waits_for],
        "started_at": now if state == State.RUNNING else None,
        "completed_at": now if state in FINAL_STATES else None,
    }
    job = Job.objects.create(request=request, action=action, status_code=status_code, state=state, **defaults | columns)
    job.waits_for.set(waits_for)
    return job


def make_output(job: Job, path: str = "output/table.csv", **columns) -> JobOutput:
    """A row for an output; no file is made."""
    defaults = {"level": "highly_sensitive", "size": 1, "modified_ns": 1, "content_hash": "0" * 64}
    return JobOutput.objects.create(job=job, path=path, **defaults | columns)


def make_flag(name: str = Flag.Name.PAUSED, value: str = "on", **columns) -> Flag:
    defaults = {"set_by": "olive", "reason": "the disk is being replaced"}
    return Flag.objects.create(name=name, value=value, **defaults | columns)


def make_quarantine(job: Job | None = None, **columns) -> Quarantine:
    """Of the container of that job, else of one that executes; of no job's if a name is given."""
    if job is None and "name" not in columns:
        job = make_job(StatusCode.EXECUTING)
    name = {"name": job.container_name} if job else {}
    defaults = {"job": job, "since": timezone.now(), "last_error": "The engine did not answer within 15 s."}
    return Quarantine.objects.create(**name | defaults | columns)
