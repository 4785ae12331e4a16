"""A publication for tests: what the finalising step does, without a container, and what storage holds after it."""

import json
from pathlib import Path

from django.db import transaction

from jobs import storage
from jobs.levels import HIGHLY_SENSITIVE
from jobs.models import Job
from jobs.states import StatusCode
from runner import outputs
from runner.verdicts import Outcome
from tests.factories import make_job

SUCCESS = Outcome(StatusCode.SUCCEEDED, "Completed successfully.")


def never() -> bool:
    return False


def make_publisher(**columns) -> Job:
    """A job that promises one highly and one moderately sensitive output."""
    spec = {"highly_sensitive": {"rows": "output/rows.csv"}, "moderately_sensitive": {"table": "output/table.csv"}}
    return make_job(StatusCode.FINALIZING, **{"output_spec": spec, **columns})


def job_with(level: str = HIGHLY_SENSITIVE, *patterns: str, **columns) -> Job:
    """A job that promises the patterns, by default one file, at one level."""
    spec = {level: {str(number): pattern for number, pattern in enumerate(patterns or ("output/table.csv",))}}
    return make_job(StatusCode.FINALIZING, output_spec=spec, **columns)


def leave(job: Job, files: dict[str, bytes]) -> None:
    """Files as the job's container leaves them."""
    for name, content in {**files}.items():
        path = storage.job_workspace(job) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def finalize(job: Job) -> outputs.Plan:
    """As the step does it; may be killed anywhere and called again."""
    plan = outputs.load_plan(job)
    if plan is None:
        _, plan = outputs.collect(job, should_stop=never)
    with outputs.publishing(job, plan, should_stop=never) as plan:
        outputs.write_logs(job, SUCCESS, plan=plan)
        with transaction.atomic():
            outputs.store(job, plan)
    outputs.forget(job)
    return plan


def publish(job: Job, files: dict[str, bytes]) -> outputs.Plan:
    leave(job, files)
    return finalize(job)


def high(name: str = "") -> Path:
    return storage.high_privacy_workspace("study") / name


def medium(name: str = "") -> Path:
    return storage.medium_privacy_workspace("study") / name


def manifest_of(folder: Path) -> dict:
    return json.loads(storage.manifest(folder).read_text())


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
