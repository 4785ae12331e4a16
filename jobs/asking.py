"""What people ask for, each thing once, for the dashboard, the admin, the API and the commands alike.

Every function takes identifiers that were frozen when the asker saw them, says for each what became of it, and writes
an audit row for each change in the same transaction. Only asked: the runner moves the jobs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from jobs.log import escape
from jobs.models import ApiToken, AuditEntry, Delivery, Flag, Job, JobRequest, LogInCount, Who

LONGEST_REASON = 1000
MOST_AT_ONCE = 10_000


class NoReason(ValueError):
    """Every change says why."""


@dataclass(frozen=True)
class Result:
    """What became of the wish for one job. `sentence` is for whoever asked."""

    identifier: str
    label: str
    was_done: bool
    sentence: str


def cleaned_reason(reason: str) -> str:
    """Raises NoReason."""
    reason = escape(reason.strip()[:LONGEST_REASON])
    if not reason:
        raise NoReason("Say why: the reason is shown to the study's author and kept in the audit.")
    return reason


def cancel(identifiers: Iterable[str], who: Who, reason: str) -> list[Result]:
    """Ask for the cancel of each job that is active and was not asked to stop. Raises NoReason."""
    return _ask(identifiers, who, "cancel", cleaned_reason(reason), Job.request_cancel, _why_not_stopped)


def kill(identifiers: Iterable[str], who: Who, reason: str) -> list[Result]:
    """Ask for the end of each active job as killed by an administrator. Raises NoReason."""
    return _ask(identifiers, who, "kill", cleaned_reason(reason), Job.request_kill, _why_not_stopped)


def finalise_again(identifiers: Iterable[str], who: Who, reason: str) -> list[Result]:
    """Ask that what a fault of ours cut off is finished, without running the job again. Raises NoReason."""
    return _ask(identifiers, who, "retry", cleaned_reason(reason), Job.request_retry, _why_not_retried)


def run_again(identifiers: Iterable[str], who: Who, reason: str) -> tuple[list[Result], list[JobRequest]]:
    """Ask for the actions of finished jobs once more: one new request for each request that they belong to.

    The new requests wait to be planned by `manage.py sync`, at the same commit. Raises NoReason.
    """
    reason = cleaned_reason(reason)
    results, by_request, new = [], {}, []
    with transaction.atomic():
        for identifier, job in _found(identifiers):
            if job is None or job.is_active:
                results.append(_refused(identifier, job, "is still active" if job else "no such job"))
            else:
                by_request.setdefault(job.request, []).append(job)
        for old, jobs in by_request.items():
            again = old.ask_again([job.action for job in jobs], by=who.name, reason=reason)
            new.append(again)
            for job in jobs:
                _note(who, "rerun", job, again.identifier, reason)
                sentence = f"asked for again in request {again.identifier}"
                results.append(Result(job.identifier, _label(job), True, sentence))
    return results, new


def refuse_requests(pks: Iterable[int], who: Who, reason: str) -> tuple[int, int]:
    """Refuse requests that wait to be planned; returns how many were, and how many did not wait any more."""
    reason = cleaned_reason(reason)
    refused = others = 0
    for request in JobRequest.objects.filter(pk__in=list(pks)):
        message = f"Refused by the operators: {reason}"  # it goes to the job-server, and names stay inside
        with transaction.atomic():
            if request.conclude(JobRequest.Outcome.REFUSED, message, error_name="RefusedByOperator"):
                AuditEntry.note(
                    who, "refuse", object_kind="request", object_id=request.identifier, label=str(request)[:512],
                    before="waiting", after="refused", reason=reason,
                )  # fmt: skip
                refused += 1
            else:
                others += 1
    return refused, others


@transaction.atomic
def tell_again(pks: Iterable[int], who: Who, reason: str) -> int:
    """Have the job-server told of these requests as if it knew nothing of them; returns how many. Raises NoReason."""
    reason = cleaned_reason(reason)
    found = Delivery.objects.filter(pk__in=list(pks)).select_related("request")
    entries = [
        AuditEntry.entry(
            who, "tell again", object_kind="request", object_id=delivery.request.identifier,
            label=str(delivery.request)[:512], before="told" if delivery.is_told else "not told", after="told again",
            reason=reason,
        )
        for delivery in found
    ]  # fmt: skip
    AuditEntry.note_many(entries)
    return found.select_related(None).tell_again()


@transaction.atomic
def lift_lock_outs(pks: Iterable[int], who: Who, reason: str) -> int:
    """Let these counts of failed log-ins begin again; returns how many had counted any. Raises NoReason."""
    reason = cleaned_reason(reason)
    counts = list(LogInCount.objects.filter(pk__in=list(pks), failures__gt=0))
    for count in counts:
        AuditEntry.note(
            who, "lift", object_kind="log-in count", object_id=f"{count.name} {count.address}".strip(),
            label=str(count), before=f"{count.failures} failures", after="0", reason=reason,
        )  # fmt: skip
    LogInCount.objects.filter(pk__in=[count.pk for count in counts]).update(failures=0)
    return len(counts)


@transaction.atomic
def revoke_tokens(pks: Iterable[int], who: Who, reason: str) -> int:
    """End these tokens for good; returns how many were not ended yet. Raises NoReason."""
    reason = cleaned_reason(reason)
    tokens = ApiToken.objects.filter(pk__in=list(pks), revoked_at=None).select_related("user")
    for token in tokens:
        AuditEntry.note(
            who, "revoke", object_kind="token", object_id=token.beginning, label=str(token), before="valid",
            after="revoked", reason=reason,
        )  # fmt: skip
    return ApiToken.objects.filter(pk__in=[token.pk for token in tokens]).update(revoked_at=timezone.now())


def switch(name: str, value: str, who: Who, reason: str, until: datetime | None = None) -> Flag:
    """Set a flag; an empty value switches it off. Raises NoReason."""
    reason = cleaned_reason(reason)
    with transaction.atomic():
        before = Flag.objects.current().get(name)
        flag = Flag.switch(name, value, by=who.name, reason=reason, until=until)
        after = (value or "off") + (f" until {until:%Y-%m-%d %H:%M} UTC" if until else "")
        AuditEntry.note(
            who, "switch", object_kind="flag", object_id=name, label=name,
            before=(before.value if before else "") or "off", after=after, reason=reason,
        )  # fmt: skip
    return flag


def _ask(
    identifiers: Iterable[str],
    who: Who,
    verb: str,
    reason: str,
    ask: Callable[[Job, str, str], bool],
    why_not: Callable[[Job], str],
) -> list[Result]:
    results = []
    with transaction.atomic():
        for identifier, job in _found(identifiers):
            if job is None:
                results.append(_refused(identifier, None, "no such job"))
            elif ask(job, who.name, reason):
                _note(who, verb, job, f"{verb} asked for", reason)
                results.append(Result(identifier, _label(job), True, f"{verb} asked for"))
            else:
                job.refresh_from_db()
                results.append(_refused(identifier, job, why_not(job)))
    return results


def _found(identifiers: Iterable[str]) -> list[tuple[str, Job | None]]:
    wanted = list(dict.fromkeys(identifiers))[:MOST_AT_ONCE]
    jobs: dict[str, Job] = {}
    for start in range(0, len(wanted), 500):
        chunk = Job.objects.filter(identifier__in=wanted[start : start + 500]).select_related("request")
        jobs |= {job.identifier: job for job in chunk}
    return [(identifier, jobs.get(identifier)) for identifier in wanted]


def _note(who: Who, verb: str, job: Job, after: str, reason: str) -> None:
    AuditEntry.note(
        who, verb, object_kind="job", object_id=job.identifier, label=_label(job), before=job.status_code, after=after,
        reason=reason,
    )  # fmt: skip


def _label(job: Job) -> str:
    return f"{job.workspace}: {job.action}"


def _refused(identifier: str, job: Job | None, why: str) -> Result:
    return Result(identifier, _label(job) if job else "", False, why)


def _why_not_stopped(job: Job) -> str:
    if job.is_finished:
        return f"has ended already ({job.status_code})"
    return f"was asked to stop already, by {job.stop_requested_by}"


def _why_not_retried(job: Job) -> str:
    if job.is_active:
        return "is still active"
    if job.retry_requested_at:
        return f"was asked for already, by {job.retry_requested_by}"
    return f"nothing was cut off: it ended as {job.status_code}; run it again instead"
