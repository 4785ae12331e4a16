"""A believable backend for whoever looks at the pages: screenshots, browser tests, engineers.

Three workspaces, seven requests, some sixty jobs in every status there is, with logs on disk, outputs, samples, audit
rows, flags and signs of life. Nothing here is of real people. Fills whatever database the settings name: an empty one.
"""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from jobs.chores.queueing import keep_schedules
from jobs.models import (
    AuditEntry,
    ChoreRun,
    Delivery,
    Flag,
    Heartbeat,
    Job,
    JobRequest,
    ProjectFile,
    Quarantine,
    SavedView,
    StorageCheck,
    Who,
)
from jobs.states import StatusCode
from jobs.version import version
from jobs.wire import moment
from tests.showcase.names import COVID, DIABETES, EARLIER, FAILS, REFUSED, RUNS, TROUBLES, UNPLANNED, VACCINES, WAITS
from tests.showcase.rows import add_job, add_outputs, write_log
from tests.showcase.study import ACTIONS, project_yaml

C = StatusCode


def fill() -> None:
    """Everything at once. The signs of life are of now: they turn stale, as real ones do, unless `beat` is called."""
    with transaction.atomic():
        _the_flags()
        _the_chores()
        _a_success(DIABETES, days=9, commit="a")
        _a_success(DIABETES, days=2, commit="b", identifier=EARLIER)
        _one_that_runs()
        _one_that_fails()
        _one_that_waits()
        _one_with_every_trouble()
        _one_that_cannot_be_planned()
        _what_people_did()
        beat()


def beat() -> None:
    """Let the processes pass for alive, all well."""
    now = timezone.now()
    answers = [{"at": moment(now - timedelta(seconds=5 * n)), "ms": 18.0 + n % 7} for n in range(20, 0, -1)]
    since = {"started_at": moment(now - timedelta(hours=31)), "version": version()}
    disks = [
        {
            "name": name,
            "at": moment(now),
            "free": free * 10**9,
            "total": 2000 * 10**9,
            "least": 2 * 2**30,
            "then_at": moment(now - timedelta(hours=24)),
            "then_free": then * 10**9,
        }
        for name, free, then in (("work", 412, 470), ("high privacy", 811, 816), ("medium privacy", 1730, 1730))
    ]
    slots = {"workers": {"used": 3.0, "limit": 4}, "database workers": {"used": 2.0, "limit": 2}}
    quarter = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    hours = [
        {
            "at": moment(quarter - timedelta(minutes=15 * n)),
            "asked": 60,
            "failed": int(n == 9),
            "worst_ms": 30.0 + 9 * n,
        }
        for n in range(19, -1, -1)
    ]
    engine = {
        "engine": "Docker 28.5.1 on Debian 13",
        "engine_answers": answers,
        "engine_hours": hours,
        "engine_unavailable_since": None,
    }
    Heartbeat.beat(
        "run", **since, **engine, pid=4711, host="tre-runner-1", tick_ms=11.4, list_ms=6.2, slots=slots,
        why_held={"database workers": "2 of 2 database workers are busy."}, disks=disks,
        database_status={"at": moment(now), "maintenance": False}, chores={"on": True, "pid": 4720, "starts": 1},
        git_copies={"at": moment(now), "copies": 14, "bytes": 3 * 10**9},
    )  # fmt: skip
    Heartbeat.beat(
        "sync", **since, last_poll_at=moment(now), last_post_at=moment(now), polls=answers, poll_failures=0,
        poll_failure="", poll_failing_since=None, post_failures=0, post_failure="", post_failing_since=None,
        waiting_to_be_planned=1, waiting_to_be_delivered=2, oldest_undelivered_since=moment(now),
    )  # fmt: skip


def wedge() -> None:
    """One container of RUNS hangs; not in the pictures, for all pages would warn of it."""
    job = Job.objects.get(request__identifier=RUNS, action="model_adjusted")
    error = f"The Docker engine did not answer within 15 s when asked about {job.container_name}."
    since = timezone.now() - timedelta(minutes=4)
    Quarantine.objects.create(name=job.container_name, job=job, since=since, last_error=error)


def a_request(workspace: str, *, minutes_ago: float, commit: str = "c", **columns) -> JobRequest:
    at = timezone.now() - timedelta(minutes=minutes_ago)
    defaults = {
        "source": JobRequest.Source.POLLING,
        "backend": settings.BACKEND,
        "workspace": workspace,
        "repo_url": f"https://github.com/opensafely/{workspace}",
        "branch": "main",
        "commit": (commit * 40)[:40],
        "requested_actions": ["run_all"],
        "study_actions": [action.name for action in ACTIONS],
        "created_by": "alice",
        "project": workspace,
        "orgs": ["University of Somewhere"],
        "original": {"workspace": {"name": workspace}, "created_by": "alice", "requested_actions": ["run_all"]},
        "created_at": at,
        "received_at": at,
        "outcome_at": at,
        "project_file": ProjectFile.keep(project_yaml()),
    }
    request = JobRequest.objects.create(**defaults | columns)
    Delivery.objects.create(request=request, acknowledged="d" * 64, acknowledged_at=at)
    return request


def _a_success(workspace: str, *, days: float, **columns) -> None:
    minutes = days * 24 * 60
    request, began = a_request(workspace, minutes_ago=minutes, **columns), minutes - 1
    for action in ACTIONS:
        job = add_job(request, action.name, C.SUCCEEDED, began=began)
        began -= action.minutes + 0.2
        add_outputs(job, current=days < 5, excluded="output/flow.csv" if days < 5 else "")
        write_log(job)


def _one_that_runs() -> None:
    request = a_request(DIABETES, minutes_ago=56, commit="c", identifier=RUNS, created_by="bob")
    codes = {
        "generate_dataset": (C.SUCCEEDED, 55, 39),
        "generate_measures": (C.EXECUTING, 14, None),
        "clean_data": (C.SUCCEEDED, 15, 6),
        "describe_cohort": (C.SUCCEEDED, 8, 3),
        "model_unadjusted": (C.EXECUTING, 8, None),
        "model_adjusted": (C.EXECUTING, 7, None),
        "plot_measures": (C.WAITING_ON_DEPENDENCIES, 56, None),
        "round_tables": (C.WAITING_ON_DEPENDENCIES, 56, None),
        "write_report": (C.WAITING_ON_DEPENDENCIES, 56, None),
    }
    for action, (code, began, minutes) in codes.items():
        job = add_job(request, action, code, began=began, minutes=minutes)
        if code == C.SUCCEEDED:
            add_outputs(job)
        if job.started_at:
            write_log(job)


def _one_that_fails() -> None:
    request = a_request(COVID, minutes_ago=180, commit="d", identifier=FAILS, created_by="carol")
    began = {"generate_dataset": 178, "generate_measures": 178, "clean_data": 136, "describe_cohort": 129}
    for action, minutes in began.items():
        job = add_job(request, action, C.SUCCEEDED, began=minutes)
        add_outputs(job)
        write_log(job)
    failed = add_job(request, "model_unadjusted", C.NONZERO_EXIT, began=129, minutes=5)
    write_log(failed, error=True)
    message = "Stopped for using more than 4 GB of memory: ask for less, or for a bigger machine."
    killed = add_job(
        request, "model_adjusted", C.NONZERO_EXIT, began=128, minutes=20, exit_code=137, out_of_memory=True,
        status_message=message,
    )  # fmt: skip
    write_log(killed, ["Fitting …", "Killed"])
    write_log(add_job(request, "plot_measures", C.SUCCEEDED, began=150))
    for action in ("round_tables", "write_report"):
        add_job(request, action, C.DEPENDENCY_FAILED, began=124, minutes=0)


def _one_that_waits() -> None:
    request = a_request(VACCINES, minutes_ago=21, commit="e", identifier=WAITS, created_by="dave")
    codes = (C.WAITING_ON_DB_WORKERS, C.WAITING_ON_DB_WORKERS, *[C.WAITING_ON_DEPENDENCIES] * 7)
    for action, code in zip(ACTIONS, codes, strict=True):
        add_job(request, action.name, code, began=21)


def _one_with_every_trouble() -> None:
    """Two requests that hold the statuses nobody sees together on a good day."""
    old = a_request(VACCINES, minutes_ago=26 * 60, commit="f", identifier=TROUBLES, created_by="dave")
    ends = (
        C.CANCELLED_BY_USER, C.KILLED_BY_ADMIN, C.UNMATCHED_PATTERNS, C.JOB_ERROR, C.INTERNAL_ERROR,
        C.STALE_CODELISTS, C.NONZERO_EXIT, C.DEPENDENCY_FAILED, C.SUCCEEDED,
    )  # fmt: skip
    for action, code in zip(ACTIONS, ends, strict=True):
        job = add_job(old, action.name, code, began=25 * 60, minutes=9)
        if job.started_at:
            write_log(job, error=code == C.NONZERO_EXIT)
    new = a_request(COVID, minutes_ago=12, commit="1", created_by="carol")
    codes = (
        C.PAUSED, C.WAITING_DB_MAINTENANCE, C.WAITING_ON_REBOOT, C.WAITING_ON_NEW_TASK, C.WAITING_ON_WORKERS,
        C.PREPARING, C.PREPARED, C.FINALIZING, C.FINALIZED,
    )  # fmt: skip
    for action, code in zip(ACTIONS, codes, strict=True):
        add_job(new, action.name, code, began=3, attempt=2 if code == C.WAITING_ON_NEW_TASK else 1)
    last = a_request(COVID, minutes_ago=1, commit="1", created_by="erin")
    for action, code in zip(ACTIONS, (C.INITIATED, C.EXECUTED, C.CREATED), strict=False):
        add_job(last, action.name, code, began=1)


def _one_that_cannot_be_planned() -> None:
    text = project_yaml().replace("needs: [clean_data]", "needs: [clean_dta]", 1)
    line = text[: text.index("clean_dta")].count("\n") + 1
    sentence = "describe_cohort needs clean_dta, which is no action here: did you mean clean_data?"
    a_request(
        VACCINES, minutes_ago=64, identifier=REFUSED, outcome=JobRequest.Outcome.REFUSED, error_name="ProjectError",
        outcome_message=f"project.yaml cannot be used: {sentence}", faults=[[line, sentence]],
        project_file=ProjectFile.keep(text),
    )  # fmt: skip
    a_request(
        DIABETES, minutes_ago=33, outcome=JobRequest.Outcome.NOTHING_TO_DO, outcome_message="All is done already."
    )
    a_request(
        DIABETES, minutes_ago=0.5, identifier=UNPLANNED, outcome=JobRequest.Outcome.WAITING, outcome_at=None,
        project_file=None,
        outcome_message="Waiting for github.com, which does not answer; tried again in 20 s.",
    )  # fmt: skip


def _the_flags() -> None:
    ago = timezone.now() - timedelta(days=1)
    for name, value, reason in (
        (Flag.Name.PAUSED, "on", "patching the machine"),
        (Flag.Name.PAUSED, "", "the machine is patched"),
        (Flag.Name.DB_MAINTENANCE, "on", "nightly refresh of the database"),
        (Flag.Name.DB_MAINTENANCE, "", "the refresh has ended"),
    ):
        Flag.objects.create(name=name, value=value, set_by="olive", reason=reason, set_at=ago)
        ago += timedelta(hours=1)


def _the_chores() -> None:
    keep_schedules()
    for chore, hours, seconds, outcome, said, argument, by in (
        ("storage", 50, 41, "done", "3 workspaces looked at, all as it was stored", "", ""),
        ("snapshot", 26, 4, "done", "db-20261126T020004Z.sqlite3, 811.2 MiB; 14 snapshots there", "", ""),
        ("old-rows", 2.1, 9, "done", "deleted 41,220 samples and 3 sessions", "", ""),
        ("old-files", 2.1, 77, "done", "212 logs compressed, 1.4 GiB freed", "", ""),
        ("leftovers", 2.1, 1, "done", "left over: 1 container and 2 folders", "", ""),
        ("export", 1.5, 3, "done", "14 files in /srv/exports/diabetes-20261127T02Z.zip, 1.2 MiB", DIABETES, "olive"),
        ("snapshot", 1, 5, "failed", "Only 1.9 GiB is free in /srv/snapshots; a copy takes 811.2 MiB.", "", "oscar"),
        ("storage", 0.4, 38, "done", "2 workspaces looked at, all as it was stored", "", ""),
    ):
        at = timezone.now() - timedelta(hours=hours)
        ChoreRun.objects.create(
            chore=chore, argument=argument, asked_by=by, via="dashboard" if by else "",
            reason="for the study's authors" if by else "", asked_at=at, started_at=at,
            ended_at=at + timedelta(seconds=seconds), outcome=outcome, said=said, attempts=1,
        )  # fmt: skip
    ChoreRun.objects.ask("images", "python:v2", by="olive", via="dashboard", reason="python:v2 has a new release")
    now = timezone.now()
    StorageCheck.objects.create(
        workspace=DIABETES, at=now - timedelta(minutes=24), read_at=now - timedelta(days=2), is_sound=False, files=41,
        number=2, findings=[
            {"kind": "missing", "storage": "high", "path": "output/models/unadjusted.csv",
             "text": "is in the manifest and not here"},
            {"kind": "changed", "storage": "high", "path": "output/models/adjusted.csv",
             "text": "has another content than when it was stored"},
        ],
    )  # fmt: skip
    StorageCheck.objects.create(workspace=VACCINES, at=now, read_at=now, is_sound=True, files=12)


def _what_people_did() -> None:
    olive, oscar = Who("olive", AuditEntry.Via.DASHBOARD, "10.1.2.3"), Who("oscar", AuditEntry.Via.API, "10.1.2.9")
    for flag in Flag.objects.order_by("pk"):
        before, after = ("off", flag.value) if flag.value else ("on", "off")
        AuditEntry.note(
            olive, "switch", object_kind="flag", object_id=flag.name, before=before, after=after, reason=flag.reason
        )
    for who, verb, action, reason in (
        (olive, "cancel", "generate_dataset", "asked for by the study's author"),
        (oscar, "kill", "generate_measures", "it used the whole disk"),
    ):
        job = Job.objects.filter(workspace=VACCINES, action=action).order_by("pk").first()
        AuditEntry.note(
            who, verb, object_kind="job", object_id=job.identifier, label=f"{job.workspace}: {job.action}",
            before=C.EXECUTING, after=f"{verb} asked for", reason=reason,
        )  # fmt: skip
    SavedView.objects.get_or_create(slug="of-diabetes", defaults={"name": "Diabetes", "query": "workspace=diabetes"})
