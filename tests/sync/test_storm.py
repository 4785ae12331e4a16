"""Whatever goes wrong, and in whatever order: in the end the job-server knows every end, and was never contradicted.

A schedule is made of the steps of `tests.sync.storm`. STORM_EXAMPLES is how many to try; then they are other ones each
time. Whoever changes what sync does about failures should try a few hundred (two to four seconds each).
"""

import itertools
import os

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs import planning
from jobs.models import Delivery, Heartbeat, Job, JobOutput, JobRequest, StatusChange
from jobs.models.job import job_identifier
from jobs.states import StatusCode
from jobs.wire import remote_jobs
from sync import deliverer, job_server, loop, planner
from tests.fakes.eras import ERAS
from tests.sync.storm import BROKEN_STUDY, Storm, schedule
from tests.sync.weather import MOST_PAGE_BYTES

EXAMPLES = int(os.environ.get("STORM_EXAMPLES", "0"))
# Far longer than any storm takes to calm down; a machine may be slow.
LONGEST_CALM_SECONDS = 60.0
PAUSES = {
    loop: {"HEARTBEAT_SECONDS": 0.02, "LOOK_SECONDS": 0.02, "LEAST_PAUSE_SECONDS": 0.0}
    | {"LONGEST_POLL_BACKOFF_SECONDS": 0.02},
    deliverer: {"LEAST_PAUSE_SECONDS": 0.0, "PAUSE_PER_POST": 0, "FIRST_BACKOFF_SECONDS": 0.005}
    | {"LONGEST_BACKOFF_SECONDS": 0.02, "LONGEST_OUTAGE_SECONDS": 0.02},
    planner: {"FIRST_PAUSE_SECONDS": 0.01, "LONGEST_PAUSE_SECONDS": 0.05},
    job_server: {"MOST_PAGE_BYTES": MOST_PAGE_BYTES},
}
_words = itertools.count(1)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow_test]


@pytest.fixture
def short_pauses(settings, monkeypatch):
    for module, pauses in PAUSES.items():
        for name, seconds in pauses.items():
            monkeypatch.setattr(module, name, seconds)
    settings.BACKEND = "test"


# A failing schedule is not made smaller: its threads make it another one each time. Its seed is printed.
@hypothesis_settings(
    max_examples=EXAMPLES or 16,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(era=st.sampled_from(sorted(ERAS)), seed=st.integers(0, 10**9))
def test_in_the_end_every_end_is_delivered_none_was_contradicted_and_no_request_is_lost(
    short_pauses, settings, monkeypatch, era, seed
):
    settings.POLL_INTERVAL = 3600.0  # polls are steps
    forget_everything()
    with Storm(era, f"storm{next(_words)}-") as storm:
        monkeypatch.setattr(planning, "read_project", storm.read_project)
        for name, number in schedule(seed):
            getattr(storm, name)(number)
            storm.turn()
        storm.calm(lambda: not undelivered(storm), LONGEST_CALM_SECONDS)
        troubles = [*undelivered(storm), *broken_rules(storm)]
        assert troubles == []


def forget_everything() -> None:
    for model in (JobOutput, StatusChange, Job.waits_for.through, Job, Delivery, JobRequest, Heartbeat):
        model.objects.all().delete()


def undelivered(storm: Storm) -> list[str]:
    """What the server does not know yet."""
    found = [f"{identifier} still waits" for identifier in identifiers(JobRequest.objects.waiting())]
    found += [f"{identifier} is not settled" for identifier in identifiers_of_unsettled()]
    if Job.objects.active().exists():
        found.append("jobs are active")
    report = storm.report()
    for key in ("waiting_to_be_planned", "waiting_to_be_delivered", "poll_failures", "post_failures"):
        if report[key]:
            found.append(f"the report says {key}: {report[key]}")
    known = {request.identifier: request for request in JobRequest.objects.all()}
    told = remote_jobs(known.values())
    for identifier, request in storm.fake.requests.items():
        if request.backend != storm.fake.backend:
            continue
        if identifier not in known:
            found.append(f"{identifier} was never fetched")
            continue
        ours, theirs = views(told[known[identifier].pk]), views(storm.fake.jobs(identifier))
        if ours != theirs or not ours:
            found.append(f"{identifier}: ours {ours}, theirs {theirs}")
    return found


def identifiers(requests) -> list[str]:
    return list(requests.values_list("identifier", flat=True))


def identifiers_of_unsettled() -> list[str]:
    return list(Delivery.objects.filter(settled=False).values_list("request__identifier", flat=True))


def views(jobs: list[dict]) -> list[tuple]:
    keys = ("identifier", "action", "status", "status_code")
    return sorted((*(job[key] for key in keys), job["completed_at"] is not None) for job in jobs)


def broken_rules(storm: Storm) -> list[str]:
    """What was done and cannot be mended any more."""
    complaints = [each for each in storm.fake.journal.complaints() if "contradicted" not in each]
    return [*complaints, *contradictions(storm), *wrong_cancellations(storm), *wrong_outcomes(storm)]


def contradictions(storm: Storm) -> list[str]:
    """Of each job the server was told what happened to it, in the order in which it happened, with omissions only."""
    own = {job.identifier: timeline(job) for job in Job.objects.all()}
    mirrored = {
        job_identifier(request.identifier, action): codes
        for request in JobRequest.objects.all()
        for action, codes in joined(request, own)
    }
    told: dict[str, list[str]] = {}
    for each in storm.fake.journal.told:
        codes = told.setdefault(each.identifier, [])
        if not codes or codes[-1] != each.status_code:
            codes.append(each.status_code)
    found = []
    for identifier, codes in told.items():
        if identifier in own:
            is_right = is_in_order(codes, own[identifier])
        elif identifier in mirrored:
            end = codes[-1:] == [StatusCode.CANCELLED_BY_USER]
            is_right = any(is_in_order(some, mirrored[identifier]) for some in (codes, codes[: -1 if end else None]))
        else:
            is_right = len(codes) == 1
        if not is_right:
            found.append(f"{identifier}: told {codes}, was {own.get(identifier) or mirrored.get(identifier)}")
    return found


def timeline(job: Job) -> list[str]:
    return list(job.status_changes.order_by("pk").values_list("to_code", flat=True))


def joined(request: JobRequest, own: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    jobs = Job.objects.filter(identifier__in=request.joined_jobs)
    return [(job.action, own[job.identifier]) for job in jobs]


def is_in_order(some: list[str], everything: list[str]) -> bool:
    rest = iter(everything)
    return all(each in rest for each in some)


def wrong_cancellations(storm: Storm) -> list[str]:
    found = []
    for job in Job.objects.exclude(stop_request="").select_related("request"):
        identifier, wanted = job.request.identifier, set(job.request.requested_actions)
        cancelled = {action for request, action in storm.cancelled if request == identifier}
        by_user = job.action in cancelled or wanted <= cancelled
        if not by_user and job.pk not in storm.cancelled_here | storm.killed_here:
            found.append(f"{job} was cancelled by nobody")
    return found


def wrong_outcomes(storm: Storm) -> list[str]:
    found = []
    for request in JobRequest.objects.all():
        asked = storm.asked.get(request.identifier)
        if asked is None:
            found.append(f"{request} was never asked for")
            continue
        is_bad = asked["actions"] in ([], ["unknown"]) or asked["workspace"] == "not a name"
        is_bad = is_bad or asked.get("commit") in ("", BROKEN_STUDY) or asked.get("repo_url", "x") is None
        if is_bad != (request.outcome == JobRequest.Outcome.REFUSED):
            found.append(f"{request} is {request.outcome}: {request.outcome_message}")
    return found
