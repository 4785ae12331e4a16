"""One step for each running status code. A step looks at the world, acts, and writes the status last.

So a step may be killed at any line and run again: what it finds half done it does anew or adopts. A step that leaves
the status as it was has nothing to do for now. All of them run in threads (`runner.drive`), one thread a job at most.

| code | what its step does |
| --- | --- |
| initiated, preparing | make the job's folder: code of the commit, inputs, places for outputs |
| prepared | start the container, or adopt it |
| executing | see how the container ended |
| executed | begin to finalise |
| finalizing | save the log, publish the outputs, decide the outcome |
| finalized | remove container and folder, write the outcome as the final status |
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from jobs import git, storage
from jobs.errors import JobError
from jobs.models import Job, JobOutput, ResourceSample
from jobs.models.job_queries import STOP_COLUMNS
from jobs.names import address_key
from jobs.states import StatusCode
from runner import containers, outputs, verdicts
from runner.executors.base import Executor, ExecutorUnavailable, Phase
from runner.followers import Followers
from runner.verdicts import Outcome
from runner.workspaces import Workspaces, folder

log = logging.getLogger(__name__)

CONTAINER_RUNS = "The container is running."


class GaveUp(Exception):
    """A job was interrupted as often as it may be; the message is for operators and author alike."""


@dataclass(frozen=True)
class Tools:
    """What a step works with. `stop` is set when the job or the whole runner is to stop: long copies look at it."""

    executor: Executor
    followers: Followers
    stop: threading.Event
    workspaces: Workspaces = folder


def begin_to_prepare(job: Job, tools: Tools) -> None:
    job.move_to(StatusCode.PREPARING, "Preparing the code and the inputs.")


def prepare(job: Job, tools: Tools) -> None:
    """Fill a fresh folder with the study's code and the outputs of the actions that this one needs."""
    clear_earlier_life(job, tools)
    code_repo, commit = (
        (job.code_repo_url, job.code_commit) if job.code_repo_url else (job.request.repo_url, job.request.commit)
    )
    inputs = JobOutput.objects.inputs_for(job.workspace, job.needs)
    refuse_strange_inputs(job, inputs)
    with git.export(code_repo, commit, should_stop=tools.stop.is_set) as code:
        notes = tools.workspaces.prepare(job, code, inputs, should_stop=tools.stop.is_set)
    for note in notes:
        log.info("job %s: %s", job.identifier, note)
    job.move_to(StatusCode.PREPARED, "Code and inputs are in place.")


def refuse_strange_inputs(job: Job, inputs: QuerySet) -> None:
    """Rows of another repository or database are never given to a job. Raises JobError.

    Planning does not let such jobs run side by side; this is for what a flag, a setting or a hand has changed since.
    """
    wanted = (address_key(job.request.repo_url), job.request.database_name)
    columns = ("job__action", "job__request__repo_url", "job__request__database_name", "job__has_dummy_data")
    for action, repo_url, database, has_dummy_data in inputs.order_by().values_list(*columns).distinct():
        is_other_data = has_dummy_data not in (None, settings.USING_DUMMY_DATA_BACKEND)
        if (address_key(repo_url), database) != wanted or is_other_data:
            raise JobError(
                f"The outputs of {action} in this workspace were made from another repository or with other data: run "
                f"{action} again, then this action."
            )


def clear_earlier_life(job: Job, tools: Tools) -> None:
    """Remove what an earlier job of the same name has left: its end must never be taken for this one's.

    Identifiers repeat when a database is lost, for the same request and action give the same one.
    """
    tools.executor.remove(job.container_name)
    outputs.forget(job, tools.workspaces)
    for path_of in (storage.job_log, storage.job_error_stamps, storage.job_inputs, storage.job_metadata):
        path_of(job).unlink(missing_ok=True)


def start(job: Job, tools: Tools) -> None:
    """Start the container, or adopt the one that an earlier try of this step has started."""
    tools.executor.start(containers.spec_for(job, tools.workspaces.volume_of(job)))
    job.move_to(StatusCode.EXECUTING, CONTAINER_RUNS, has_dummy_data=settings.USING_DUMMY_DATA_BACKEND)
    tools.followers.follow(job)


def observe(job: Job, tools: Tools) -> None:
    """See how the container ended. One that vanished or died with its engine is run again: no fault of the study."""
    status = tools.executor.status(job.container_name)
    if status.phase is Phase.EXITED:
        job.move_to(
            StatusCode.EXECUTED,
            f"The command ended with exit code {status.exit_code}.",
            exit_code=status.exit_code,
            out_of_memory=status.out_of_memory,
            image_id=status.image_id,
        )
    elif status.phase is Phase.STARTING:
        tools.executor.start(containers.spec_for(job, tools.workspaces.volume_of(job)))
    elif status.phase in (Phase.ABSENT, Phase.INTERRUPTED):
        _run_again(job, tools, status.reason or "its container has disappeared from the engine")
    elif status.phase is Phase.LOST:
        raise ExecutorUnavailable(status.reason or "The container's host cannot be reached")


def _run_again(job: Job, tools: Tools, why: str) -> None:
    """A new attempt with a container, a folder and a log of its own; after MAX_ATTEMPTS an operator has to look."""
    tools.followers.forget(job)
    most = settings.MAX_ATTEMPTS + job.times_requeued
    if job.attempt >= most:
        raise GaveUp(f"Attempt {job.attempt} of {most} was interrupted as well: {why}")
    again = f"It will be run again (attempt {job.attempt + 1} of {most})."
    leave_attempt(job, tools, StatusCode.WAITING_ON_NEW_TASK, f"Interrupted: {why}. {again}")


def leave_attempt(job: Job, tools: Tools, code: StatusCode, message: str, **facts) -> None:
    """Nothing but its log stays of this attempt; the job waits for the next, and may be cancelled before that."""
    tools.executor.remove(job.container_name)
    tools.workspaces.remove(job)
    job.move_to(code, message, attempt=job.attempt + 1, **facts)


def begin_to_finalize(job: Job, tools: Tools) -> None:
    job.move_to(StatusCode.FINALIZING, "Saving the log and the outputs.")


def finalize(job: Job, tools: Tools) -> None:
    """Save the log, publish the outputs, decide the outcome.

    Cancelling wins until the plan of publication is written; from then on the publication is carried through, also by
    the next process if this one is killed.
    """
    metadata = tools.executor.metadata(job.container_name)
    outcome, matched, plan = None, None, outputs.load_plan(job)
    if plan is None:
        outcome, matched, plan = _decide(job, tools)
    if plan is None:
        outputs.write_logs(job, outcome, matched=matched, metadata=metadata)
        _finalized(job, outcome)
        return
    # From the plan on a cancel comes too late; only the runner's own end may interrupt the wait for another job.
    with outputs.publishing(
        job, plan, should_stop=lambda: tools.stop.is_set() and not job.is_stop_requested
    ) as published:
        outcome = verdicts.success(job.out_of_memory, published.excluded, published.refused)
        outputs.write_logs(job, outcome, plan=published, metadata=metadata)
        with transaction.atomic():
            outputs.store(job, published)
            _finalized(job, outcome)


def _decide(job: Job, tools: Tools) -> tuple[Outcome | None, outputs.Matched | None, outputs.Plan | None]:
    """Either an outcome, or a plan of publication, which is success; with what the patterns matched."""
    outcome = _outcome_without_outputs(job)
    if job.exit_code is None:
        tools.executor.stop(job.container_name)
    tools.followers.complete(job)
    if outcome is not None:
        return outcome, None, None
    matched, plan = outputs.collect(job, tools.workspaces, should_stop=tools.stop.is_set)
    if plan is None:
        outcome = verdicts.unmatched(matched.unmatched, matched.near, [str(refused) for refused in matched.refused])
    return outcome, matched, plan


def _finalized(job: Job, outcome: Outcome) -> None:
    facts = {"outcome_code": outcome.code, "outcome_message": outcome.message, "outcome_detail": outcome.detail}
    if figures := ResourceSample.objects.summary(job):
        facts["metrics"] = figures
    job.move_to(StatusCode.FINALIZED, "Finished; removing the container and its folder.", **facts)


def _outcome_without_outputs(job: Job) -> Outcome | None:
    """The outcome if it is plain before any output is looked at: stopped, refused earlier, or a failed command."""
    job.refresh_from_db(fields=STOP_COLUMNS)
    if job.is_stop_requested:
        return verdicts.stopped(job)
    if job.outcome_code:  # a fault of the study that an earlier step has found
        return Outcome(StatusCode(job.outcome_code), job.outcome_message, detail=job.outcome_detail)
    if job.exit_code is None:
        raise RuntimeError("finalising a job whose container was never seen to end")
    return verdicts.of_exit(job.exit_code, job.out_of_memory, settings.JOB_MEMORY_BYTES)


def clean_up(job: Job, tools: Tools) -> None:
    """Remove what the job leaves behind; then, last of all, the final status."""
    tools.followers.forget(job)
    tools.executor.remove(job.container_name)
    outputs.forget(job, tools.workspaces)
    for left in tools.workspaces.remove(job):
        log.warning("job %s: could not remove %s; remove it by hand", job.identifier, left)
    job.move_to(StatusCode(job.outcome_code), job.outcome_message, detail=job.outcome_detail)


STEPS: dict[StatusCode, Callable[[Job, Tools], None]] = {
    StatusCode.INITIATED: begin_to_prepare,
    StatusCode.PREPARING: prepare,
    StatusCode.PREPARED: start,
    StatusCode.EXECUTING: observe,
    StatusCode.EXECUTED: begin_to_finalize,
    StatusCode.FINALIZING: finalize,
    StatusCode.FINALIZED: clean_up,
}
