"""What differs between a job and the last success of its action: the first question when something stops working.

Reads both jobs' rows, never a file. Bounded: of each only so many inputs and outputs are compared, and it is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.inputs import Inputs, inputs_of
from jobs.models import Job, ResourceSample
from jobs.models.line import success_before
from jobs.text import duration_in_words, without_credentials

MOST_COMPARED, MOST_SHOWN = 2000, 50


@dataclass(frozen=True)
class Difference:
    """`what` is the thing; before and now are as people read them, "–" where there was none."""

    what: str
    before: str
    now: str
    is_different: bool = True


@dataclass(frozen=True)
class Changes:
    """`earlier` is None if the action has never succeeded before."""

    earlier: Job | None
    facts: list[Difference] = field(default_factory=list)
    inputs: list[Difference] = field(default_factory=list)
    outputs: list[Difference] = field(default_factory=list)
    more_inputs: int = 0
    more_outputs: int = 0
    is_cut: bool = False

    @property
    def is_nothing(self) -> bool:
        """Nothing that the job is made of has changed; how long it took may have."""
        made_of = [fact for fact in self.facts if fact.what not in _MEASURED]
        return not self.inputs and not self.outputs and not any(fact.is_different for fact in made_of)


_MEASURED = ("Duration", "Peak memory")


def changes(job: Job) -> Changes:
    """Nine queries at most."""
    earlier = success_before(job)
    if earlier is None:
        return Changes(None)
    inputs = [inputs_of(each, MOST_COMPARED) for each in (earlier, job)]
    outputs = [_outputs(each) for each in (earlier, job)]
    of_inputs = list(_compared(*[_described(each) for each in inputs]))
    of_outputs = list(_compared(*outputs)) if job.is_finished and outputs[1] else []
    return Changes(
        earlier,
        list(_facts(earlier, job)),
        of_inputs[:MOST_SHOWN],
        of_outputs[:MOST_SHOWN],
        max(0, len(of_inputs) - MOST_SHOWN),
        max(0, len(of_outputs) - MOST_SHOWN),
        any(each.is_cut for each in inputs) or any(len(each) > MOST_COMPARED for each in outputs),
    )


def _outputs(job: Job) -> dict[str, str]:
    rows = job.outputs.order_by("path").values_list("path", "content_hash", "row_count")[: MOST_COMPARED + 1]
    return {path: _words(content_hash, row_count) for path, content_hash, row_count in rows}


def _described(inputs: Inputs) -> dict[str, str]:
    return {each.path: _words(each.sha256, each.rows) for each in inputs.files}


def _words(content_hash: str, row_count: int | None) -> str:
    rows = f", {row_count:,} rows" if row_count is not None else ""
    return f"{content_hash[:12]}{rows}"


def _compared(before: dict[str, str], now: dict[str, str]) -> Iterator[Difference]:
    for path in sorted(before.keys() | now.keys()):
        old, new = before.get(path, "–"), now.get(path, "–")
        if old != new:
            yield Difference(path, old, new)


def _facts(earlier: Job, job: Job) -> Iterator[Difference]:
    pairs = {
        "Commit": [each.request.commit for each in (earlier, job)],
        "Branch": [each.request.branch for each in (earlier, job)],
        "Command": [each.run_command for each in (earlier, job)],
        "Image": [each.image for each in (earlier, job)],
        "Image digest": [each.image_id for each in (earlier, job)],
        "Reusable action": [_reusable(each) for each in (earlier, job)],
        "Database": [_database(each) for each in (earlier, job)],
        "Duration": [_duration(each) for each in (earlier, job)],
        "Peak memory": [_memory(each) for each in (earlier, job)],
    }
    for what, (before, now) in pairs.items():
        if before or now:
            # What is not known yet has not changed.
            is_different = before != now and bool(now or job.is_finished) and what not in _MEASURED
            yield Difference(what, before or "–", now or "–", is_different)


def _reusable(job: Job) -> str:
    return f"{without_credentials(job.code_repo_url)} at {job.code_commit}" if job.code_repo_url else ""


def _database(job: Job) -> str:
    return job.request.database_name if job.requires_db else "none"


def _duration(job: Job) -> str:
    if not (job.started_at and job.completed_at):
        return ""
    return duration_in_words(job.completed_at - job.started_at)


def _memory(job: Job) -> str:
    peak = ResourceSample.objects.summary(job).get("mem_mb_peak")
    return f"{peak:,.0f} MiB" if peak is not None else ""
