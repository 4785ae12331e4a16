"""Numbers for a monitor, in the text form that Prometheus reads. Counted when asked for, and cheap to count."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from jobs.models import ChoreRun, Delivery, Flag, Heartbeat, Job, JobRequest, Quarantine, StorageCheck
from jobs.models.latest import ended_since
from jobs.people.callers import for_programs
from jobs.said import Answer
from jobs.signs import Signs
from jobs.states import ACTIVE_CODES, CODES_OF, FINAL_STATES, state_of

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[dict[str, str], float]


@for_programs()
def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse("".join(_lines()), content_type=MEDIA_TYPE)


def _lines() -> Iterator[str]:
    """Twelve queries, each through an index, whatever there is."""
    now = timezone.now()
    active = _by_code(Job.objects.active(), ACTIVE_CODES)
    yield from _gauge("jobs_active", "Jobs that wait or run, by their status.", active)
    final = [code for state in FINAL_STATES for code in CODES_OF[state]]
    ended = _by_code(ended_since(now - timedelta(hours=24)), final)
    yield from _gauge("jobs_ended_24h", "Jobs that have ended in the last 24 hours, by their status.", ended)
    oldest = Job.objects.pending().aggregate(at=Min("created_at"))["at"]
    waited = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    yield from _gauge(
        "oldest_waiting_seconds", "How long the oldest waiting job has waited; 0: none waits.", [({}, waited)]
    )
    unplanned = [({}, JobRequest.objects.waiting().count())]
    yield from _gauge("requests_unplanned", "Requests that wait to be planned.", unplanned)
    undelivered = [({}, Delivery.objects.unsettled().count())]
    yield from _gauge("requests_undelivered", "Requests whose end the job-server has not acknowledged.", undelivered)
    ages = [({"part": beat.name}, (now - beat.at).total_seconds()) for beat in Heartbeat.objects.order_by("name")]
    yield from _gauge("heartbeat_age_seconds", "Since when a process has shown no sign of life.", ages)
    current = Flag.objects.current()
    flags = [({"flag": name}, float(bool(name in current and current[name].value))) for name in Flag.Name.values]
    yield from _gauge("flag_on", "Whether an operator has switched this on.", flags)
    since = Job.objects.active().order_by().values_list("status_code").annotate(Min("status_changed_at"))
    longest = {code: max(0.0, (now - at).total_seconds()) for code, at in since}
    times = [({"code": str(code.value)}, longest.get(code, 0.0)) for code in ACTIVE_CODES]
    yield from _gauge("longest_in_status_seconds", "How long a job has been in this status; 0: none is.", times)
    held = [({}, Quarantine.objects.count())]
    yield from _gauge("containers_in_quarantine", "Containers that Docker does not answer about.", held)
    yield from _of_chores()
    yield from _of_signs(Signs.read())


def _of_chores() -> Iterator[str]:
    last = sorted(ChoreRun.objects.last_of_each().items())
    failed = [({"chore": name}, float(run.failed)) for name, run in last if run.ended_at]
    yield from _gauge("chore_failed", "Whether the last doing of this chore failed.", failed)
    ended = [({"chore": name}, run.ended_at.timestamp()) for name, run in last if run.ended_at]
    yield from _gauge("chore_ended_timestamp_seconds", "When this chore was last done.", ended)
    faults = StorageCheck.objects.with_faults().count()
    yield from _gauge("workspaces_not_as_stored", "Workspaces whose files are not as they were stored.", [({}, faults)])


def _of_signs(signs: Signs) -> Iterator[str]:
    """What the processes have last said; left out what they did not."""
    run, poll = signs.run, signs.sync.answers("polls")[-1:]
    answer = run.answers("engine_answers")[-1:]
    durations = (
        ("runner_turn_seconds", "How long the runner's last turn took.", run.number("tick_ms")),
        ("docker_list_seconds", "How long the engine took to list the containers.", run.number("list_ms")),
        ("docker_answer_seconds", "How long the engine took for its last short answer.", _ms(answer)),
        ("sync_poll_seconds", "How long the job-server took for the last poll.", _ms(poll)),
    )
    for name, about, ms in durations:
        yield from _gauge(name, about, [] if ms is None else [({}, ms / 1000)])
    silent = [({}, float(run.engine_silent_since is None))] if run.at else []
    yield from _gauge("docker_up", "Whether the engine answers.", silent)
    free = [({"disk": disk.name}, float(disk.free)) for disk in run.disks if not disk.error]
    yield from _gauge("disk_free_bytes", "What is free, by what it is needed for.", free)
    least = [({"disk": disk.name}, float(disk.least)) for disk in run.disks if not disk.error]
    yield from _gauge("disk_least_bytes", "Below this no new job starts.", least)
    used = [({"pool": slots.pool}, slots.used) for slots in run.slots]
    yield from _gauge("workers_used", "How much of each pool of workers is taken.", used)
    limits = [({"pool": slots.pool}, float(slots.limit)) for slots in run.slots]
    yield from _gauge("workers_limit", "How much of each pool of workers there is.", limits)


def _ms(answers: list[Answer]) -> float | None:
    return answers[0].ms if answers else None


def _by_code(jobs, codes: Iterable[str]) -> list[Sample]:
    """A number for each code, 0 included, so that a graph has no gaps."""
    counts = dict(jobs.order_by().values_list("status_code").annotate(Count("pk")))
    return [({"state": state_of(code).value, "code": str(code.value)}, counts.get(code, 0)) for code in codes]


def _gauge(name: str, about: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP jobrunner_{name} {about}\n# TYPE jobrunner_{name} gauge\n"
    for labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"jobrunner_{name}{f'{{{told}}}' if told else ''} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
