"""How the showcase makes one job with all that belongs to it: its way through the states, log, outputs and samples."""

import math
import random
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from jobs import storage
from jobs.inputs import record
from jobs.models import Job, JobOutput, JobRequest, ResourceSample, StatusChange
from jobs.models.job import job_identifier
from jobs.states import FINAL_STATES, PENDING_CODES, State, StatusCode, state_of
from tests.showcase.study import BY_NAME, log_lines

C = StatusCode
WAY = (C.CREATED, C.INITIATED, C.PREPARING, C.PREPARED, C.EXECUTING, C.EXECUTED, C.FINALIZING, C.FINALIZED)
NEVER_RAN = (C.DEPENDENCY_FAILED, C.STALE_CODELISTS)
MESSAGES = {
    C.CREATED: "Created, and looked at in a moment.",
    C.WAITING_ON_DEPENDENCIES: "Waiting for the actions it needs.",
    C.WAITING_ON_WORKERS: "Waiting for a free worker: 4 of 4 are busy.",
    C.WAITING_ON_DB_WORKERS: "Waiting for a free database worker: 2 of 2 are busy.",
    C.PAUSED: "Paused: no new job starts.",
    C.WAITING_DB_MAINTENANCE: "Waiting for the end of the database maintenance.",
    C.WAITING_ON_REBOOT: "Waiting for the reboot of the machine.",
    C.WAITING_ON_NEW_TASK: "Its container was lost in a restart: it begins again.",
    C.INITIATED: "Starting.",
    C.PREPARING: "Copying the code and the inputs.",
    C.PREPARED: "Prepared, about to start.",
    C.EXECUTING: "Running.",
    C.EXECUTED: "Ended; its outputs are looked at next.",
    C.FINALIZING: "Storing the outputs.",
    C.FINALIZED: "The outputs are stored.",
    C.SUCCEEDED: "Completed successfully.",
    C.DEPENDENCY_FAILED: "Not run: an action that it needs has failed.",
    C.NONZERO_EXIT: "Failed with exit code 1: see the end of its log.",
    C.UNMATCHED_PATTERNS: "No file matches output/models/adjusted.csv.",
    C.CANCELLED_BY_USER: "Cancelled by the operators: asked for by the study's author.",
    C.KILLED_BY_ADMIN: "Stopped by the operators: it used the whole disk.",
    C.STALE_CODELISTS: "The codelists are out of date: run `opensafely codelists update`.",
    C.JOB_ERROR: "The image r:v2 has no analysis/model.R.",
    C.INTERNAL_ERROR: "A fault of the job runner; its operators have been told.",
}


def way_to(code: str) -> list[str]:
    """The codes of a job on its way to this one, itself included."""
    if code in WAY:
        return list(WAY[: WAY.index(code) + 1])
    if code in PENDING_CODES or code in NEVER_RAN:
        return [C.CREATED, code]
    return [*WAY, code]


def add_job(
    request: JobRequest, action: str, code: str, *, began: float, minutes: float | None = None, **columns
) -> Job:
    """A job in the given status. `began`: how many minutes ago it started, or was created if it did not start."""
    spec, now = BY_NAME[action], timezone.now()
    state = state_of(code)
    minutes = spec.minutes if minutes is None else minutes
    started = now - timedelta(minutes=began)
    ended = min(now, started + timedelta(minutes=minutes))
    never_ran = code in NEVER_RAN or state == State.PENDING
    image, *arguments = spec.run.split()
    spec_of_outputs: dict = {}
    for path, level, _ in spec.outputs:
        spec_of_outputs.setdefault(level, {})[path.rsplit("/", 1)[1].replace(".", "_")] = path
    defaults = {
        "identifier": job_identifier(request.identifier, action),
        "backend": request.backend,
        "workspace": request.workspace,
        "run_command": spec.run,
        "image": image,
        "arguments": arguments,
        "output_spec": spec_of_outputs,
        "needs": list(spec.needs),
        "requires_db": spec.requires_db,
        "status_message": MESSAGES[C(code)],
        "created_at": request.created_at,
        "started_at": None if never_ran else started,
        "completed_at": ended if state in FINAL_STATES else None,
        "image_id": "" if never_ran else f"sha256:{random.Random(image).getrandbits(256):064x}",
        "has_dummy_data": None if never_ran else True,
        "exit_code": 0 if code == C.SUCCEEDED else 1 if code == C.NONZERO_EXIT else None,
    }
    changed = ended if state in FINAL_STATES else now - timedelta(seconds=20) if never_ran else started
    defaults |= {"updated_at": changed, "status_changed_at": changed}
    job = Job.objects.create(request=request, action=action, status_code=code, state=state, **defaults | columns)
    job.waits_for.set(request.jobs.filter(action__in=spec.needs))
    _add_way(job, code, started, ended)
    if not never_ran:
        _add_samples(job, started, ended)
    return job


def _add_way(job: Job, code: str, started: datetime, ended: datetime) -> None:
    codes, changes = way_to(code), []
    seconds = max(1.0, (ended - started).total_seconds())
    shares = {C.INITIATED: 0.0, C.PREPARING: 0.002, C.PREPARED: 0.03, C.EXECUTING: 0.04, C.EXECUTED: 0.95}
    shares |= {C.FINALIZING: 0.955, C.FINALIZED: 0.99}
    for before, after in zip(["", *codes], codes, strict=False):
        at = job.created_at if after == C.CREATED else started + timedelta(seconds=seconds * shares.get(after, 1.0))
        by = "runner" if after != C.CREATED else "sync"
        message = job.status_message if after == code else MESSAGES[after]
        changes.append(StatusChange(job=job, from_code=before, to_code=after, message=message, actor=by, at=at))
    StatusChange.objects.bulk_create(changes)


def _add_samples(job: Job, started: datetime, ended: datetime) -> None:
    dice, count = random.Random(job.identifier), 40
    step = (ended - started) / count
    samples = [
        ResourceSample(
            job=job,
            at=started + step * number,
            cpu_percent=max(1.0, 120 + 60 * math.sin(number / 4) + dice.uniform(-30, 30)),
            memory_bytes=int(settings.JOB_MEMORY_BYTES * min(0.96, 0.2 + 0.7 * number / count + dice.uniform(0, 0.04))),
        )
        for number in range(count)
    ]
    ResourceSample.objects.bulk_create(samples)


def add_outputs(job: Job, *, current: bool = True, excluded: str = "") -> None:
    """Rows of what the action makes, in place of what it made before; the file that `excluded` names was kept back."""
    if current:
        JobOutput.objects.filter(job__workspace=job.workspace, job__action=job.action).update(is_current=False)
    for path, level, rows in BY_NAME[job.action].outputs:
        dice, is_kept_back = random.Random(path + job.identifier), path == excluded
        JobOutput.objects.create(
            job=job,
            path=path,
            level=level,
            size=dice.randrange(2_000, 90_000) * (400 if level == "highly_sensitive" else 1),
            modified_ns=int(job.completed_at.timestamp() * 10**9),
            content_hash=f"{dice.getrandbits(256):064x}",
            row_count=rows,
            col_count=rows and 7,
            rule="identifier_column" if is_kept_back else "passed",
            excluded=is_kept_back,
            message="It has a column called patient_id." if is_kept_back else "",
            is_current=current,
        )


def write_inputs(job: Job) -> None:
    """The record of what it was given, as the runner writes it: what its request's other actions have made."""
    given = JobOutput.objects.filter(job__request=job.request, job__action__in=job.needs).select_related("job")
    path = storage.job_inputs(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(record(given)))


def write_log(job: Job, lines: list[str] | None = None, *, error: bool = False) -> None:
    """On disk, as the runner keeps it: each line begins with its timestamp."""
    lines = log_lines(job.action, error=error) if lines is None else lines
    file = storage.job_log(job)
    file.parent.mkdir(parents=True, exist_ok=True)
    at, step = job.started_at, timedelta(seconds=1.37)
    stamped = [f"{at + step * number:%Y-%m-%dT%H:%M:%S.%f}000Z {line}\n" for number, line in enumerate(lines)]
    write_inputs(job)
    errors = [line.split()[0] for line in stamped if "WARNING" in line or "Error" in line]
    storage.job_error_stamps(job).write_text("\n".join(errors))
    file.write_text("".join(stamped), encoding="utf-8", errors="surrogateescape", newline="")
