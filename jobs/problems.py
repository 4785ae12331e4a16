"""What is wrong with this installation, each as a sentence with what to do: for /healthz/, the banner, the system page.

A problem means that somebody has to look now. A warning is something that somebody has decided, or that will become a
problem. Worst first. No names of files or studies: monitors pass the sentences on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min

from jobs.models import Flag, JobRequest, Quarantine, StorageCheck
from jobs.models.flag import is_recent
from jobs.said import Disk
from jobs.signs import Signs, Sync
from jobs.text import counted, listed, size_in_words

LONGEST_WITHOUT_POLL = timedelta(minutes=5)
LONGEST_FIRST_POLL = timedelta(minutes=1)
LONGEST_UNDELIVERED = timedelta(minutes=10)
LONGEST_UNPLANNED = timedelta(minutes=15)
LONGEST_WITHOUT_ENGINE = timedelta(minutes=1)


@dataclass(frozen=True)
class Problem:
    """`text` says what is so and `what` what to do. `flag` is the name of the flag that causes it, or empty."""

    kind: str
    text: str
    what: str
    since: datetime | None = None
    flag: str = ""
    until: datetime | None = None

    @property
    def sentence(self) -> str:
        return f"{self.text}: {self.what}"


def problems(signs: Signs) -> list[Problem]:
    """Worst first; none means well. Three queries. Raises DatabaseError."""
    return [
        *_of_runner(signs),
        *_of_job_server(signs.sync),
        *_of_engine(signs),
        *_of_containers(),
        *_of_storage(),
        *_of_plans_and_posts(signs.sync),
    ]


def warnings(signs: Signs, flags: Mapping[str, Flag]) -> list[Problem]:
    """What is as somebody wanted it, or will soon be a problem. `flags` are those that are on. No query."""
    return [*_of_flags(flags), *_of_disks(signs)]


def _of_runner(signs: Signs) -> Iterator[Problem]:
    if not signs.run.is_fresh:
        yield Problem(
            "runner",
            f"The runner {signs.run.last_heard}, so no job goes on",
            "start `manage.py run`, its log says why it ended.",
            signs.run.at,
        )


def _of_engine(signs: Signs) -> Iterator[Problem]:
    since = signs.run.engine_silent_since
    if signs.run.is_fresh and since is not None and not is_recent(since, LONGEST_WITHOUT_ENGINE):
        yield Problem(
            "engine",
            f"The Docker engine has not answered since {since:%Y-%m-%d %H:%M:%S} UTC, so no job can go on",
            "see whether `docker info` answers.",
            since,
        )


def _of_containers() -> Iterator[Problem]:
    found = Quarantine.objects.aggregate(number=Count("pk"), since=Min("since"))
    if number := found["number"]:
        its = "its job does" if number == 1 else "their jobs do"
        yield Problem(
            "quarantine",
            f"Docker has not answered about {counted(number, 'container')} since "
            f"{found['since']:%Y-%m-%d %H:%M:%S} UTC, so {its} not go on; the others do",
            "see on the System page which, and whether `docker inspect` answers; mend that, then release it there.",
            found["since"],
        )


def _of_storage() -> Iterator[Problem]:
    """Only what may be a leak: whatever else differs is a check of the system page."""
    if number := StorageCheck.objects.with_leaks().count():
        yield Problem(
            "storage",
            f"Something that was not released may lie in medium privacy storage, of {counted(number, 'workspace')}",
            "see on the System page where, take it away, and find out who put it there: docs/operations.md.",
        )


def _of_job_server(sync: Sync) -> Iterator[Problem]:
    if not sync.is_needed:
        yield from _of_planning_alone(sync)
    elif not sync.is_fresh:
        yield Problem(
            "sync",
            f"The process that speaks with the job-server {sync.last_heard}, so no request is planned",
            "start `manage.py sync`, its log says why it ended.",
            sync.at,
        )
    elif settings.JOB_SERVER_ENDPOINT:
        yield from _of_polls(sync)


def _of_planning_alone(sync: Sync) -> Iterator[Problem]:
    """Without a job-server nobody misses it until something waits for it."""
    if not sync.is_fresh and JobRequest.objects.waiting().exists():
        yield Problem(
            "plans",
            f"A request waits to be planned, and the process that plans {sync.last_heard}",
            "start `manage.py sync --plan-only`.",
            sync.at,
        )


def _of_polls(sync: Sync) -> Iterator[Problem]:
    polled_at, started_at = sync.time("last_poll_at"), sync.time("started_at")
    why = _because(sync.sentence("poll_failure"))
    what = (
        "see whether it can be reached from this machine, and whether JOB_SERVER_ENDPOINT and JOB_SERVER_TOKEN are "
        "right."
    )
    if polled_at is None:
        if started_at is None or not is_recent(started_at, LONGEST_FIRST_POLL):
            yield Problem("job-server", f"The job-server has never been reached yet{why}", what)
    elif not is_recent(polled_at, LONGEST_WITHOUT_POLL):
        minutes = LONGEST_WITHOUT_POLL // timedelta(minutes=1)
        text = f"The job-server has not been reached for {minutes} minutes{why}"
        yield Problem("job-server", text, what, polled_at)


def _of_plans_and_posts(sync: Sync) -> Iterator[Problem]:
    if sync.is_fresh:
        yield from _of_plans()
        if settings.JOB_SERVER_ENDPOINT:
            yield from _of_posts(sync)


def _of_plans() -> Iterator[Problem]:
    oldest = JobRequest.objects.waiting().order_by("received_at").values_list("received_at", flat=True).first()
    if oldest is not None and not is_recent(oldest, LONGEST_UNPLANNED):
        yield Problem(
            "plans",
            f"A request has waited to be planned since {oldest:%Y-%m-%d %H:%M:%S} UTC",
            "see on its page (Requests) what it waits for, mostly a git host. If that will never answer, refuse the "
            "request there.",
            oldest,
        )


def _of_posts(sync: Sync) -> Iterator[Problem]:
    since = sync.time("oldest_undelivered_since")
    if since is not None and not is_recent(since, LONGEST_UNDELIVERED):
        number = sync.count("waiting_to_be_delivered") or "some"
        yield Problem(
            "posts",
            f"The job-server has not acknowledged the states of {number} request(s) since {since:%Y-%m-%d %H:%M:%S} "
            f"UTC{_because(sync.sentence('post_failure'))}, so their users do not see how they go on",
            "see each one's failure on the system page; what the job-server refuses its operators have to look into.",
            since,
        )


_FLAGS = {
    Flag.Name.REBOOT: (
        "Prepared for a reboot: no job starts, those that ran wait. Set",
        "the System page says when it is safe; switch it off after the reboot.",
    ),
    Flag.Name.PAUSED: ("Paused, no new job starts. Set", "resume when the reason is gone."),
    Flag.Name.DB_MAINTENANCE: ("Database maintenance: no database job runs. Set", "switch it off when it has ended."),
}


_PLANNED = (
    "jobs that would not be done by then wait, and what still runs then is stopped; it ends by itself after the reboot."
)


def _of_flags(flags: Mapping[str, Flag]) -> Iterator[Problem]:
    for name, (words, what) in _FLAGS.items():
        if flag := flags.get(name):
            if not flag.has_come:
                words, what = f"A reboot is planned for {flag.due_at:%Y-%m-%d %H:%M} UTC. Set", _PLANNED
            elif flag.due_at:
                what = "the System page says when it is safe; it goes off by itself after the reboot."
            elif flag.value == Flag.SCHEDULED:
                what = "it ends by itself when the database says that it is over."
            yield Problem(
                str(name), f"{words} by {flag.set_by}: {flag.reason}", what, flag.set_at, str(name), flag.expires_at
            )


def _of_disks(signs: Signs) -> Iterator[Problem]:
    """Only what a runner that lives has said: it looks every few seconds. What lies on one disk is told once."""
    by_disk: dict[tuple, list[Disk]] = {}
    for disk in signs.run.disks if signs.run.is_fresh else ():
        if disk.is_nearly_full:
            by_disk.setdefault((not disk.is_full, disk.total, disk.least), []).append(disk)
    for (has_room, _, least), disks in sorted(by_disk.items()):
        free, names = size_in_words(min(disk.free for disk in disks)), listed(disk.name for disk in disks)
        if has_room:
            text = (
                f"A disk is nearly full: {free} is free for {names}, and below {size_in_words(least)} no new job starts"
            )
            yield Problem("disk", text, "free space soon.")
        else:
            text = f"No new job starts: only {free} is free for {names}"
            yield Problem("disk", text, f"free space; {size_in_words(least)} are needed.")


def _because(failure: str | None) -> str:
    return f" ({failure})" if failure else ""
