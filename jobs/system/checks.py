"""Each check of the system page: what is so, against which limit, since when, and what to do if it is not well.

Figures come from the processes' signs of life; only the database's own file is looked at here. docs/troubles.md has an
entry for each check.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone

from jobs.models import ChoreRun, StorageCheck
from jobs.models.flag import FRESH, MOST_AHEAD, is_recent
from jobs.problems import (
    LONGEST_UNDELIVERED,
    LONGEST_UNPLANNED,
    LONGEST_WITHOUT_POLL,
    Problem,
)
from jobs.said import Disk
from jobs.signs import Run, Sign, Signs, Sync
from jobs.system.check import BAD, OFF, OK, UNKNOWN, WARN, Check
from jobs.system.chore_checks import chore_checks
from jobs.system.engine_checks import engine_checks
from jobs.system.queue import Queue
from jobs.text import counted, duration_in_words, size_in_words
from jobs.version import version

SLOW_TURN_MS, SLOW_SERVER_MS = 1000, 10_000
LARGE_WAL_BYTES = 512 * 1024**2
MOST_FAULTY = 20  # workspaces
LONG_WAIT = timedelta(hours=4)
FORETOLD = timedelta(days=14)  # that a disk fills


def checks(signs: Signs, problems: list[Problem], queue: Queue) -> list[Check]:
    """In the order in which things depend on each other. Three queries beyond what the arguments hold."""
    found = {problem.kind: problem for problem in problems}
    rows = [
        *_runner(signs.run, found),
        *engine_checks(signs.run, found),
        *_disks(signs.run),
        *_git_copies(signs.run),
        *_database_status(signs.run),
        *_sync(signs.sync, found),
        *_chores(signs.run),
        _queue(queue),
        *_this_process(signs),
    ]
    return [row if row.state in (WARN, BAD) else replace(row, what="") for row in rows]


def _runner(run: Run, found: dict[str, Problem]) -> Iterator[Check]:
    where = f"process {run.count('pid')} on {run.sentence('host')}" if run.detail.get("pid") else "alive"
    problem = found.get("runner")
    yield Check(
        "Runner", BAD if problem else OK, "silent" if problem else where, f"heard within {FRESH.seconds} s", at=run.at,
        since=run.at if problem else run.time("started_at"), what=problem.what if problem else "",
    )  # fmt: skip
    if (tick := run.number("tick_ms")) is not None and not problem:
        yield Check(
            "A turn of the runner", WARN if tick > SLOW_TURN_MS else OK, f"{tick:.0f} ms", f"at most {SLOW_TURN_MS} ms",
            what="See what keeps this machine or its disk busy; turns wait for the database.",
        )  # fmt: skip


def _disks(run: Run) -> Iterator[Check]:
    if run.is_fresh:
        yield from (_disk(disk) for disk in run.disks)
    elif run.disks:
        yield Check("Disks", UNKNOWN, "not known while the runner is silent")


def _disk(disk: Disk) -> Check:
    name = f"Disk: {disk.name}"
    if disk.error:
        return Check(
            name, BAD, disk.error, at=disk.at, what="Look at the mount; jobs that need it wait and go on alone."
        )
    state = BAD if disk.is_full else WARN if disk.is_nearly_full else OK
    return Check(
        name, state, f"{size_in_words(disk.free)} free of {size_in_words(disk.total)}{_growth(disk)}",
        f"at least {size_in_words(disk.least)} free", at=disk.at, disk=disk,
        what="Free space. Below the limit no new job starts; those that run are finished, and the others start alone.",
    )  # fmt: skip


def _growth(disk: Disk) -> str:
    """ "; 4.2 GiB more used than 24h ago, full in about 3 days": the second part only if that is near."""
    if disk.then_at is None or disk.at is None:
        return ""
    ago = duration_in_words(timedelta(hours=round((disk.at - disk.then_at).total_seconds() / 3600)))
    if abs(disk.grown) < disk.total / 1000:
        return f"; as {ago} ago"
    words = f"; {size_in_words(abs(disk.grown))} {'more' if disk.grown > 0 else 'less'} used than {ago} ago"
    soon = disk.full_in
    if soon is None or soon > FORETOLD:
        return words
    hours = round(soon.total_seconds() / 3600)
    return f"{words}, full in about {counted(hours, 'hour') if hours < 48 else counted(round(hours / 24), 'day')}"


def _git_copies(run: Run) -> Iterator[Check]:
    if run.is_fresh and (found := run.git_copies):
        at, copies, size = found
        yield Check("Copies of repositories", OK, f"{copies:,} in {size_in_words(size)}", at=at)


def _database_status(run: Run) -> Iterator[Check]:
    if run.is_fresh and (found := run.database_status):
        at, is_maintained, error = found
        said = "in maintenance" if is_maintained else "not in maintenance"
        yield Check(
            "Database's own word", WARN if error else OK, f"no answer: {error}" if error else said, at=at,
            what="Until it answers, switch database maintenance by hand. See DATABASE_STATUS_IMAGE and its command.",
        )  # fmt: skip


def _sync(sync: Sync, found: dict[str, Problem]) -> Iterator[Check]:
    if not sync.is_needed:
        yield Check("Job-server", OFF, "none is set up", what="")
        yield _planning_alone(sync, found)
        if sync.is_fresh:
            yield _plans(sync, found)
        return
    problem = found.get("sync")
    yield Check(
        "Sync", BAD if problem else OK, "silent" if problem else "alive", f"heard within {FRESH.seconds} s", at=sync.at,
        since=sync.at if problem else sync.time("started_at"), what=problem.what if problem else "",
    )  # fmt: skip
    if not problem:
        yield from _job_server(sync, found)
        yield _plans(sync, found)
    backends = len({name for names in settings.RAP_API_TOKENS.values() for name in names})
    value = f"calls are taken for {backends} backend{'s' if backends != 1 else ''}" if backends else "not set up"
    yield Check("RAP API", OK if backends else OFF, value)


def _planning_alone(sync: Sync, found: dict[str, Problem]) -> Check:
    """Without a job-server it only plans what is asked for again here; a site that never does needs none."""
    what = "Start `manage.py sync --plan-only`: without it nobody plans what is asked for again on these pages."
    if sync.is_fresh:
        state, value = OK, "alive, plans what is asked for here"
    elif "plans" in found:
        state, value = BAD, "silent, and a request waits for it"
    elif sync.at is None:
        return Check("Sync", OFF, "not started; only needed to run jobs again", what=what)
    else:
        state, value = WARN, "silent"
    return Check("Sync", state, value, f"heard within {FRESH.seconds} s", at=sync.at, what=what)


def _job_server(sync: Sync, found: dict[str, Problem]) -> Iterator[Check]:
    if not settings.JOB_SERVER_ENDPOINT:
        yield Check("Job-server polls", OFF, "nobody is polled")
        return
    failure, problem = sync.sentence("poll_failure"), found.get("job-server")
    answers = sync.answers("polls")
    slow = answers and (answers[-1].ms or 0) > SLOW_SERVER_MS
    yield Check(
        "Job-server polls", BAD if problem else WARN if failure or slow else OK, failure or "answered",
        f"within {LONGEST_WITHOUT_POLL.seconds // 60} minutes", at=sync.time("last_poll_at"),
        since=sync.time("poll_failing_since"), answers=answers,
        what="See whether it can be reached from this machine, and JOB_SERVER_ENDPOINT and JOB_SERVER_TOKEN. "
        "Jobs go on meanwhile, and it is told everything afterwards.",
    )  # fmt: skip
    number, oldest = sync.count("waiting_to_be_delivered") or 0, sync.time("oldest_undelivered_since")
    failing = sync.sentence("post_failure")
    state = BAD if "posts" in found else WARN if failing else OK
    value = f"{number} request{'s' if number != 1 else ''}" + (f": {failing}" if failing else "")
    yield Check(
        "States to be told", state, value,
        f"within {LONGEST_UNDELIVERED.seconds // 60} minutes", at=sync.time("last_post_at"), since=oldest,
        what="See below what each post was answered; what the job-server refuses its operators have to look into.",
    )  # fmt: skip


def _chores(run: Run) -> Iterator[Check]:
    last, faulty = ChoreRun.objects.last_of_each().values(), list(StorageCheck.objects.with_faults()[:MOST_FAULTY])
    yield from chore_checks(run, last, faulty, StorageCheck.objects.count())


def _plans(sync: Sync, found: dict[str, Problem]) -> Check:
    number, problem = sync.count("waiting_to_be_planned") or 0, found.get("plans")
    return Check(
        "Requests to be planned", BAD if problem else OK, f"{number} waiting",
        f"within {LONGEST_UNPLANNED.seconds // 60} minutes", since=problem.since if problem else None,
        what="See below what each waits for, mostly a git host. If that will never answer, refuse the request.",
    )  # fmt: skip


def _queue(queue: Queue) -> Check:
    is_long = queue.oldest_at is not None and not is_recent(queue.oldest_at, LONG_WAIT)
    return Check(
        "Waiting jobs", WARN if is_long else OK, f"{queue.waiting} waiting",
        f"at most {LONG_WAIT.seconds // 3600} hours", since=queue.oldest_at,
        what="Its page says why the oldest job waits: workers, a flag, a disk, or jobs that it needs.",
    )  # fmt: skip


def _this_process(signs: Signs) -> Iterator[Check]:
    yield _database()
    yield _clock(signs.run, signs.sync)
    if others := {each for each in (signs.run.sentence("version"), signs.sync.sentence("version")) if each} - {
        version()
    }:
        text = f"this page is {version()}, other processes run {', '.join(sorted(others))}"
        yield Check("Version", WARN, text, "the same", what="Restart the processes that began before the last update.")
    else:
        yield Check("Version", OK, version(), "the same everywhere")
    yield _static_files()
    if settings.DEBUG:
        word = "on: its error pages show settings and data"
        yield Check("DEBUG", BAD if settings.PRODUCTION else OFF, word, "off", what="Set DEBUG=0 and restart the web.")
    else:
        yield Check("DEBUG", OK, "off", "off")


def _database() -> Check:
    """Sizes only; whether it is whole takes a command that reads all of it."""
    if connection.vendor == "postgresql":
        return Check("Database", OK, f"PostgreSQL, {size_in_words(_size_on_server())}")
    path = Path(connection.settings_dict["NAME"])
    size, wal = _size(path), _size(path.with_name(path.name + "-wal"))
    value = f"{size_in_words(size)}, and {size_in_words(wal)} of journal"
    return Check(
        "Database", WARN if wal > LARGE_WAL_BYTES else OK, value,
        f"journal {size_in_words(LARGE_WAL_BYTES)}",
        what="Some process reads for hours: restart the web, then sync, then the runner. To check the file: "
        "sqlite3 FILE 'PRAGMA quick_check'.",
    )  # fmt: skip


def _size_on_server() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return cursor.fetchone()[0]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _clock(*signs: Sign) -> Check:
    ahead = max((sign.at - timezone.now() for sign in signs if sign.at), default=timedelta(0))
    if ahead > timedelta(seconds=2):
        state = BAD if ahead > MOST_AHEAD else WARN
        what = "Set the clocks (chrony, ntp). A sign of life from the future counts as none."
        return Check("Clock", state, f"a process is {ahead.total_seconds():.0f} s ahead", "the same", what=what)
    return Check("Clock", OK, "no process is ahead", f"{MOST_AHEAD.seconds} s")


def _static_files() -> Check:
    if not settings.PRODUCTION:
        return Check("Static files", OFF, "served from the source (development)")
    is_there = (Path(settings.STATIC_ROOT) / "staticfiles.json").is_file()
    value = "collected" if is_there else "not collected: pages have no style"
    return Check("Static files", OK if is_there else BAD, value, what="Run `manage.py collectstatic`, restart the web.")
