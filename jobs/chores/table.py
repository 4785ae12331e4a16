"""The chores of this room (the runner's are in `runner.chores.table`)."""

from datetime import timedelta

from jobs.chores import Chore
from jobs.notices.telling import why_off
from jobs.snapshots import why_not

CHORES = (
    Chore(
        "notify",
        "Tell operators",
        "Looks for what operators have to know (NOTIFY_ABOUT) and tells it by e-mail and webhook, each thing once.",
        "jobs.notices.telling.notify",
        every=timedelta(minutes=1),
        off=why_off,
    ),
    Chore(
        "snapshot",
        "Copy the database",
        "Makes a copy of the database, checks it, and keeps the newest SNAPSHOTS_KEPT.",
        "jobs.chores.snapshot.snapshot",
        every=timedelta(days=1),
        off=why_not,
    ),
    Chore(
        "old-rows",
        "Delete old rows",
        "Deletes figures of resources, timelines of jobs that ended long ago, results of chores, notices and sessions, "
        "when they are as old as the settings say. Never a job, an output or the audit.",
        "jobs.chores.retention.delete_old_rows",
        every=timedelta(days=1),
    ),
)
