"""What people ask for, each thing once, for the dashboard, the admin, the API and the commands alike.

Every function takes identifiers that were frozen when the asker saw them, says for each what became of it, and writes
an audit row for each change in the same transaction. Only asked: the runner moves the jobs. Many jobs are asked for in
several short transactions, so that nobody else's writes wait for all of them.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from jobs.models import AuditEntry, Delivery, Flag, Job, JobRequest, Quarantine, Who
from jobs.models.job_queries import JobQuerySet
from jobs.models.request import identifier_of_wish, new_identifier
from jobs.reasons import cleaned_reason

MOST_AT_ONCE = 10_000
_IN_ONE_TRANSACTION = 500
_TOLD = (
    *("identifier", "workspace", "action", "state", "status_code", "stop_requested_by"),
    *("retry_requested_by", "retry_requested_at"),
)


class Overtaken(Exception):
    """Somebody else was faster. The message is a sentence for whoever asked."""


@dataclass(frozen=True)
class Result:
    """What became of the wish for one job. `sentence` is for whoever asked."""

    identifier: str
    label: str
    was_done: bool
    sentence: str


def cancel(identifiers: Iterable[str], who: Who, reason: str) -> list[Result]:
    """Ask for the cancel of each job that is active and was not asked to stop. Raises NoReason."""
    return _ask(identifiers, who, "cancel", reason, _CANCEL)


def kill(identifiers: Iterable[str], who: Who, reason: str) -> list[Result]:
    """Ask for the end of each active job as killed by an administrator. Raises NoReason."""
    return _ask(identifiers, who, "kill", reason, _KILL)


def finalise_again(identifiers: Iterable[str], who: Who, reason: str) -> list[Result]:
    """Ask that what a fault of ours cut off is finished, without running the job again. Raises NoReason."""
    return _ask(identifiers, who, "retry", reason, _FINALISE_AGAIN)


def clear(identifiers: Iterable[str], who: Who, reason: str) -> list[Result]:
    """Ask that what was kept of jobs that a fault of ours cut off is removed for good. Raises NoReason."""
    return _ask(identifiers, who, "clear", reason, _CLEAR)


def run_again(
    identifiers: Iterable[str], who: Who, reason: str, *, once: str = ""
) -> tuple[list[Result], list[JobRequest]]:
    """Ask for the actions of finished jobs once more: one new request for each request that they belong to.

    The new requests wait to be planned by `manage.py sync`, at the same commit. `once` is a word that the asker made up
    for this wish: however often the wish comes with it, there is one new request. Raises NoReason.
    """
    reason = cleaned_reason(reason)
    results, by_request, new = [], {}, []
    for identifier, job in _found(identifiers):
        if job is None or job.is_active:
            results.append(_refused(identifier, job, "is still active" if job else "no such job"))
        else:
            by_request.setdefault(job.request, []).append(job)
    for old, jobs in by_request.items():
        again = _once_more(old, jobs, who, reason, once)
        new.append(again)
        sentence = f"asked for again in request {again.identifier}"
        results += [Result(job.identifier, _label(job), True, sentence) for job in jobs]
    return results, new


def retry(
    identifiers: Iterable[str], who: Who, reason: str, *, once: str = "", only_finalise: Collection[str] = ()
) -> tuple[list[Result], list[JobRequest]]:
    """Finish what a fault of ours cut off, and run whatever else has ended again. Raises NoReason.

    `only_finalise`: of these the asker was told that they would be finalised without running. Whatever has become of
    them since, they are never run again by this wish.
    """
    cleaned_reason(reason)
    cut_off, others = [], []
    for identifier, job in _found(identifiers):
        is_cut_off = identifier in only_finalise or (job and job.is_cut_off)
        (cut_off if is_cut_off else others).append(identifier)
    results, new = run_again(others, who, reason, once=once)
    return finalise_again(cut_off, who, reason) + results, new


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
def release_containers(names: list[str], who: Who, reason: str) -> list[Result]:
    """Have the runner try containers again that are in quarantine. Raises NoReason."""
    reason, results, rows = cleaned_reason(reason), [], Quarantine.objects.in_bulk(names, field_name="name")
    for name in names:
        row = rows.get(name) or Quarantine(name=name)
        if was_done := row.request_release(who.name, reason):
            AuditEntry.note(
                who, "release", object_kind="container", object_id=name, label=row.label, before="in quarantine",
                after="release asked for", reason=reason,
            )  # fmt: skip
        results.append(Result(name, row.label, was_done, "release asked for" if was_done else row.why_not_released))
    return results


def switch(
    name: str,
    value: str,
    who: Who,
    reason: str,
    until: datetime | None = None,
    *,
    due: datetime | None = None,
    seen: str | None = None,
) -> Flag:
    """Set a flag; an empty value switches it off; a reboot may be `due` later. Raises NoReason.

    `seen` is the primary key of the row that the asker took for current, empty for none. Raises Overtaken if another
    one is current by now.
    """
    reason = cleaned_reason(reason)
    with transaction.atomic():
        before = Flag.objects.current().get(name)
        if seen is not None and seen != (str(before.pk) if before else ""):
            raise Overtaken("It has been switched meanwhile. Look again, then send it again.")
        flag = Flag.switch(name, value, by=who.name, reason=reason, until=until, due=due)
        after = value or "off"
        after += "".join(f" {word} {at:%Y-%m-%d %H:%M} UTC" for word, at in (("at", due), ("until", until)) if at)
        AuditEntry.note(
            who, "switch", object_kind="flag", object_id=name, label=name,
            before=(before.value if before else "") or "off", after=after, reason=reason,
        )  # fmt: skip
    return flag


def note_removal(kind: str, name: str, why: str, who: Who, reason: str) -> None:
    """After something that nobody needs was removed by hand. Raises NoReason."""
    AuditEntry.note(
        who, "remove", object_kind=kind, object_id=name[-255:], label=name[-512:], before=why, after="removed",
        reason=cleaned_reason(reason),
    )  # fmt: skip


@dataclass(frozen=True)
class _Wish:
    """`may` are the jobs that it can be asked of, `ask` the verb that writes it, `why_not` is for all others."""

    may: Callable[[JobQuerySet], JobQuerySet]
    ask: Callable[[JobQuerySet, str, str], int]
    why_not: Callable[[Job], str]


def _ask(identifiers: Iterable[str], who: Who, verb: str, reason: str, wish: _Wish) -> list[Result]:
    reason = cleaned_reason(reason)
    return [result for chunk in _chunks(identifiers) for result in _ask_chunk(chunk, who, verb, reason, wish)]


def _ask_chunk(identifiers: list[str], who: Who, verb: str, reason: str, wish: _Wish) -> list[Result]:
    """In one short transaction, which keeps others from writing between looking and asking."""
    results, entries = [], []
    with transaction.atomic():
        named = Job.objects.filter(identifier__in=identifiers)
        jobs = {job.identifier: job for job in named.only(*_TOLD)}
        able = set(wish.may(named).values_list("pk", flat=True))
        wish.ask(Job.objects.filter(pk__in=able), who.name, reason)
        for identifier in identifiers:
            job = jobs.get(identifier)
            if job and job.pk in able:
                entries.append(_entry(who, verb, job, f"{verb} asked for", reason))
                results.append(Result(identifier, _label(job), True, f"{verb} asked for"))
            else:
                results.append(_refused(identifier, job, wish.why_not(job) if job else "no such job"))
        AuditEntry.note_many(entries)
    return results


def _once_more(old: JobRequest, jobs: list[Job], who: Who, reason: str, once: str) -> JobRequest:
    identifier = identifier_of_wish(once, old.identifier) if once else new_identifier()
    with transaction.atomic():
        if there := JobRequest.objects.filter(identifier=identifier).first():
            return there
        actions = [job.action for job in jobs]
        again = old.ask_again(actions, by=who.name, reason=reason, identifier=identifier)
        AuditEntry.note_many([_entry(who, "rerun", job, again.identifier, reason) for job in jobs])
    return again


def _chunks(identifiers: Iterable[str]) -> list[list[str]]:
    wanted = list(dict.fromkeys(identifiers))[:MOST_AT_ONCE]
    return [wanted[start : start + _IN_ONE_TRANSACTION] for start in range(0, len(wanted), _IN_ONE_TRANSACTION)]


def _found(identifiers: Iterable[str]) -> list[tuple[str, Job | None]]:
    found = []
    for chunk in _chunks(identifiers):
        jobs = {job.identifier: job for job in Job.objects.filter(identifier__in=chunk).select_related("request")}
        found += [(identifier, jobs.get(identifier)) for identifier in chunk]
    return found


def _entry(who: Who, verb: str, job: Job, after: str, reason: str) -> AuditEntry:
    return AuditEntry.entry(
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


def _why_not_cleared(job: Job) -> str:
    if job.is_active or job.retry_requested_at:
        return _why_not_retried(job)
    return f"nothing was kept of it: it ended as {job.status_code}"


_CANCEL = _Wish(JobQuerySet.cancellable, JobQuerySet.request_cancel, _why_not_stopped)
_KILL = _Wish(JobQuerySet.killable, JobQuerySet.request_kill, _why_not_stopped)
_CLEAR = _Wish(JobQuerySet.to_finalise_again, JobQuerySet.request_clearing, _why_not_cleared)
_FINALISE_AGAIN = _Wish(JobQuerySet.to_finalise_again, JobQuerySet.request_retry, _why_not_retried)
