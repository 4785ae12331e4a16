"""From a job's folder to stored outputs: what the finalising step calls, in this order.

    plan = load_plan(job)                  an interrupted publication is carried through, nothing is looked for again
    matched, plan = collect(job, ...)      find the promised files and stage them; without all of them there is no plan
    with publishing(job, plan) as plan:
        write_logs(...)                    and, in one transaction, store(job, plan) and the job's new status
    forget(job, …)                         once that transaction is committed

The verdict on the job is not made here, and no status is written.
"""

from jobs.models import Job
from runner import staging
from runner.action_log import write_logs
from runner.matching import Matched, match
from runner.mounted import require_storage
from runner.plan import Plan
from runner.publishing import publishing, store
from runner.workspaces import Workspaces, folder
from runner.workspaces.files import ShouldStop, disk_trouble

__all__ = ["Matched", "Plan", "collect", "forget", "load_plan", "publishing", "store", "write_logs"]

load_plan = Plan.load


def forget(job: Job, workspaces: Workspaces = folder) -> None:
    """Remove what is staged and what was fetched to be. Raises StorageUnavailable."""
    staging.discard(job)
    workspaces.forget(job)


def collect(job: Job, workspaces: Workspaces = folder, *, should_stop: ShouldStop) -> tuple[Matched, Plan | None]:
    """Match the action's patterns and stage the files. No plan if a pattern matched nothing: then nothing is published.

    Nothing in storage has changed before the plan is there. Raises JobError, Stopped, Unavailable.
    """
    # A link that a killed try has staged would make the job's own file look like a hard link.
    staging.discard(job)
    require_storage(job.workspace)
    workspace_folder = workspaces.fetch(job, should_stop=should_stop)
    with disk_trouble(workspace_folder):
        matched = match(workspace_folder, job.output_spec)
        if matched.unmatched:
            refused = {each.shown_name for each in matched.refused}
            matched.near.update(workspaces.near(job, matched.unmatched, refused))
            return matched, None
    return matched, staging.stage(job, workspace_folder, matched, should_stop=should_stop)
