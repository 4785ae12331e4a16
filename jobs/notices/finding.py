"""What there is to tell now. A fixed number of queries; of each kind a few at most, the rest in one sentence."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from jobs.durations import longest_seconds
from jobs.log import escape
from jobs.models import ChoreRun, Job, Notice, Quarantine, StorageCheck
from jobs.notices import channels
from jobs.problems import problems
from jobs.signs import Signs
from jobs.system.stuck import stuck
from jobs.text import counted, duration_in_words, size_in_words

MOST_JOBS = 50
# A job that takes so many times the longest of its last runs, and this much longer, may hang.
TIMES_THE_LONGEST, LEAST_LONGER = 3, timedelta(hours=1)
# What they find is told by itself, or cannot be told.
_SAID_OTHERWISE = ("notify", "storage")


def find(since: datetime) -> list[Notice]:
    """All kinds that the site wants to hear of; jobs that failed after `since`."""
    signs = Signs.read()
    found = [
        *_failed(since),
        *_stuck(),
        *_too_long(),
        *_disks(signs),
        *_problems(signs),
        *_storage(),
        *_chores(),
    ]
    wants = {f"wants_{channel.name}": True for channel in channels()}
    notices = [notice for notice in found if notice.kind in settings.NOTIFY_ABOUT]
    for notice in notices:
        for column, value in wants.items():
            setattr(notice, column, value)
    return notices


def _failed(since: datetime) -> Iterator[Notice]:
    jobs = list(Job.objects.failed_since(since).order_by("-pk")[: MOST_JOBS + 1])
    for job in reversed(jobs[:MOST_JOBS]):
        kind, what = ("cut-off", "was cut off by a fault of the job runner") if job.is_cut_off else ("failed", "failed")
        key = f"{kind} {job.identifier} {job.attempt} {job.completed_at:%Y%m%dT%H%M%S}"
        yield _of_job(kind, key, job, f"{what} ({job.status_code})")
    if len(jobs) > MOST_JOBS:
        text = f"More than {MOST_JOBS} jobs failed in a short time: see the list of jobs"
        yield Notice(kind="failed", key="failed many", lasts=True, text=text, path=reverse("jobs"))


def _stuck() -> Iterator[Notice]:
    found = stuck()
    for job in found.unanswered:
        what = "was asked to stop and is still there"
        yield _of_job("stuck", f"unanswered {job.identifier} {job.attempt}", job, what, lasts=True)
    for job in found.untouched:
        what = "executes and has given no sign of life for minutes"
        yield _of_job("stuck", f"untouched {job.identifier} {job.attempt}", job, what, lasts=True)


def _too_long() -> Iterator[Notice]:
    """Two queries."""
    jobs = list(Job.objects.executing().only("pk", "identifier", "workspace", "action", "started_at", "attempt"))
    longest = longest_seconds({(job.workspace, job.action): job.pk for job in jobs})
    for job in jobs:
        usual = longest.get((job.workspace, job.action))
        if usual is None or job.started_at is None:
            continue
        lasted = timezone.now() - job.started_at
        if lasted > max(TIMES_THE_LONGEST * timedelta(seconds=usual), timedelta(seconds=usual) + LEAST_LONGER):
            what = f"runs far longer than ever lately ({duration_in_words(usual)} at most): it may hang"
            yield _of_job("stuck", f"long {job.identifier} {job.attempt}", job, what)


def _disks(signs: Signs) -> Iterator[Notice]:
    for disk in signs.run.disks if signs.run.is_fresh else ():
        if disk.is_full or disk.is_nearly_full:
            state = "No new job starts: only" if disk.is_full else "A disk is nearly full:"
            text = f"{state} {size_in_words(disk.free)} is free for {disk.name}"
            yield _of_system("disk", f"disk {'full' if disk.is_full else 'nearly'} {disk.name}", text)


def _problems(signs: Signs) -> Iterator[Notice]:
    """Each container in quarantine is news of its own."""
    for problem in problems(signs):
        if problem.kind not in ("quarantine", "storage"):
            yield _of_system("problem", f"problem {problem.kind}", problem.sentence)
    for held in Quarantine.objects.all()[:MOST_JOBS]:
        text = f"Docker does not answer about container {held.name}, so its job does not go on"
        yield _of_system("problem", f"quarantine {held.name} {held.since:%Y%m%dT%H%M%S}", text)


def _storage() -> Iterator[Notice]:
    for check in StorageCheck.objects.with_faults()[:MOST_JOBS]:
        text = f"The storage of {escape(check.workspace)} is not as it was stored: {counted(check.number, 'fault')}"
        path = reverse("workspace", args=[check.workspace])
        worst = "leak" if check.may_be_a_leak else "fault"  # a leak is news, whatever else is wrong
        text += ", and something may have leaked" if check.may_be_a_leak else ""
        yield Notice(kind="storage", key=f"storage {worst} {check.workspace}", lasts=True, text=text, path=path)


def _chores() -> Iterator[Notice]:
    """Those of the schedule: who asks for one sees what comes of it."""
    for name, run in ChoreRun.objects.last_of_each().items():
        if run.failed and not run.asked_by and name not in _SAID_OTHERWISE:
            text = f"The chore “{name}” failed at {run.ended_at:%Y-%m-%d %H:%M} UTC: see its page"
            path = reverse("chore", args=[name])
            yield Notice(kind="chore", key=f"chore {name}", lasts=True, text=text, path=path)


def _of_job(kind: str, key: str, job: Job, what: str, *, lasts: bool = False) -> Notice:
    text = escape(f"{job.action} in {job.workspace} {what}, job {job.identifier}")
    return Notice(kind=kind, key=key, lasts=lasts, text=text[:500], path=reverse("job", args=[job.identifier]))


def _of_system(kind: str, key: str, text: str) -> Notice:
    return Notice(kind=kind, key=key[:255], lasts=True, text=escape(text)[:500], path=reverse("system"))


def first_words(notices: Iterable[Notice]) -> str:
    """For a subject: the only text, or how many there are."""
    notices = list(notices)
    return notices[0].text if len(notices) == 1 else counted(len(notices), "notice")
