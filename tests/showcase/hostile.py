"""The showcase's hostile twin: whatever somebody else may write says something that must never be obeyed.

Tags, attributes, templates, escape sequences of terminals, marks of direction, and a line of a megabyte: in names of
actions, files and people, in messages, reasons, YAML and logs. Workspaces have names that are checked.
"""

from django.utils import timezone

from jobs.models import (
    AuditEntry,
    ChoreRun,
    Flag,
    Heartbeat,
    JobOutput,
    JobRequest,
    Notice,
    ProjectFile,
    SavedView,
    StorageCheck,
    Who,
)
from jobs.models.job import job_identifier
from jobs.states import StatusCode
from tests.factories import make_job
from tests.showcase.backend import a_request
from tests.showcase.names import FAILS, REFUSED
from tests.showcase.rows import write_log

# What a page must never have: an element, an attribute or a script of theirs; `window.pwned` tells of the last.
TAGS = '<img src=x data-pwned=1 onerror="window.pwned=1;alert(1)"><script data-pwned=1>window.pwned=1;alert(2)</script>'
QUOTES = '" data-pwned="1" onmouseover="window.pwned=1" x=\''
TEMPLATES = "{{ 7|add:7 }}{% csrf_token %}${window.pwned=1}</title></textarea></pre></script>-->]]>"
TERMINAL = "\x1b[31mred\x1b]0;title\x07\x1b]8;;javascript:window.pwned=1\x07link\x1b]8;;\x07\x1b[2J\x1b[8mhidden\x1b[0m"
DIRECTIONS = "\u202egpj.exe\u202c\u2066\u200b\ufeff\u2028"
NASTY = TAGS + QUOTES + TEMPLATES + DIRECTIONS
LONG = "A" * 1024 * 1024


def short(text: str, length: int) -> str:
    return text[:length]


def fill() -> None:
    nasty = [TAGS, QUOTES, TEMPLATES, TERMINAL.replace("\x1b", "\x9b"), DIRECTIONS]
    named = {
        "created_by": short(TAGS, 255),
        "branch": short(QUOTES, 255),
        "repo_url": "javascript:window.pwned=1//" + TAGS,
        "project": short(QUOTES, 255),
        "orgs": nasty,
        "requested_actions": nasty,
        "study_actions": nasty,
        "cancelled_actions": nasty,
        "analysis_scope": {TAGS: QUOTES},
        "original": {TAGS: {QUOTES: nasty}},
        "project_file": ProjectFile.keep(f"{NASTY}\n{TERMINAL}\nactions:\n  {NASTY}: {LONG[:100_000]}\n"),
        "database_name": short(TAGS, 64),
    }
    refused = {
        "outcome": JobRequest.Outcome.REFUSED,
        "outcome_message": NASTY,
        "faults": [[1, NASTY], [None, TERMINAL]],
    }
    a_request("nasty", minutes_ago=9, identifier=REFUSED, error_name=short(QUOTES, 64), **named, **refused)
    request = a_request("nasty", minutes_ago=5, identifier=FAILS, **named)
    for number, code in enumerate(StatusCode):
        _a_job(request, number, code, nasty[number % len(nasty)])
    _what_chores_said()
    _what_people_said()
    SavedView.objects.create(slug="of-diabetes", name=short(TAGS, 64), query=QUOTES)


def _a_job(request: JobRequest, number: int, code: StatusCode, text: str) -> None:
    is_first = code == StatusCode.NONZERO_EXIT
    action = "model_unadjusted" if is_first else short(f"{number}{text}", 255)
    job = make_job(
        code, request, action=action, identifier=job_identifier(request.identifier, action), run_command=NASTY,
        image=short(QUOTES, 255), arguments=[TAGS, TERMINAL, NASTY], output_spec={"highly_sensitive": {TAGS: QUOTES}},
        needs=[TAGS, QUOTES], status_message=NASTY, status_detail=NASTY + TERMINAL, code_repo_url=TAGS,
        stop_request="cancel", stop_requested_by=short(QUOTES, 255), stop_requested_at=timezone.now(),
        stop_reason=NASTY, outcome_message=NASTY, outcome_detail=TERMINAL, metrics={TAGS: QUOTES},
    )  # fmt: skip
    job.status_changes.create(
        from_code="created", to_code=code, message=NASTY, actor=short(TAGS, 255), at=timezone.now()
    )
    for path in (f"output/{TAGS}", f"output/{QUOTES}", f"output/{DIRECTIONS}{TEMPLATES}"):
        JobOutput.objects.create(
            job=job, path=path, level="moderately_sensitive", size=1, modified_ns=1, content_hash="0" * 64,
            excluded=True, rule=short(TAGS, 32), message=NASTY,
        )  # fmt: skip
    if job.started_at or is_first:
        job.started_at = job.started_at or timezone.now()
        odd = ["\r".join([TAGS] * 50), "\x00\xff\udcff", LONG + TAGS, NASTY]
        write_log(job, [TAGS, QUOTES, TEMPLATES, TERMINAL, DIRECTIONS, *odd, f"Error: {TAGS}"])


def _what_chores_said() -> None:
    now = timezone.now()
    ChoreRun.objects.create(
        chore="storage", argument=short(TAGS, 255), asked_by=short(QUOTES, 255), reason=NASTY, said=NASTY,
        outcome="failed", started_at=now, ended_at=now,
    )  # fmt: skip
    finding = {"kind": TAGS, "storage": QUOTES, "path": NASTY, "text": TERMINAL}
    StorageCheck.objects.create(workspace=short(TAGS, 128), at=now, is_sound=False, number=3, findings=[finding])
    Notice.objects.create(kind="failed", key=short(TAGS, 255), text=short(NASTY, 500), path=short(QUOTES, 512))


def _what_people_said() -> None:
    for text in (NASTY, TERMINAL):
        Flag.objects.create(name=Flag.Name.PAUSED, value="on", set_by=short(TAGS, 255), reason=text)
        AuditEntry.note(
            Who(short(QUOTES, 255), AuditEntry.Via.API, short(TAGS, 64)), short(TAGS, 32), object_kind="job",
            object_id=short(TAGS, 255), label=short(NASTY, 512), before=text, after=text, reason=text,
        )  # fmt: skip
    Heartbeat.beat(
        "run", started_at=TAGS, version=TAGS, host=QUOTES, engine=NASTY, why_held={TAGS: NASTY},
        slots={TAGS: {"used": 1, "limit": 2}}, disks=[{"name": TAGS, "error": NASTY}],
        engine_answers=[{"at": None, "error": NASTY}], engine_hours=[{"at": TAGS, "asked": TAGS}, {"asked": 1}],
        database_status={"at": TAGS, "error": NASTY}, reboot={"flag": TAGS}, boot_id=NASTY,
    )  # fmt: skip
    Heartbeat.beat("sync", poll_failure=NASTY, post_failure=TERMINAL, polls=[{"error": NASTY}], version=TAGS)
