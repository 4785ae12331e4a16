"""What the admin's actions ask and do: for each the consequences in words, and the verb of `jobs.asking`."""

from collections.abc import Callable, Iterable, Iterator

from django.contrib import messages
from django.db.models import QuerySet

from jobs import asking
from jobs.admin_reasons import Question
from jobs.models import Who
from jobs.people import asking as people_asking

Said = Iterator[tuple[int, str]]
_MOST_REASONS = 5


def _results(results: Iterable[asking.Result], done: str) -> Said:
    results = list(results)
    if asked := sum(result.was_done for result in results):
        yield messages.SUCCESS, f"{asked} job(s) {done}"
    whys: dict[str, int] = {}
    for result in results:
        if not result.was_done:
            whys[result.sentence] = whys.get(result.sentence, 0) + 1
    for why, number in list(whys.items())[:_MOST_REASONS]:
        yield messages.WARNING, f"{number} job(s) left alone: {why}."


def _stops(jobs: QuerySet) -> Iterator[str]:
    running, waiting, total = jobs.running().count(), jobs.pending().count(), jobs.count()
    if running:
        yield f"{running} running: each is stopped, and what it has made so far is not kept."
    if waiting:
        yield f"{waiting} waiting: none of them will start."
    if running or waiting:
        yield "Jobs that need one of these will not run either."
    if ended := total - running - waiting:
        yield f"{ended} ended already: nothing happens to them."


def _retries(jobs: QuerySet) -> Iterator[str]:
    can = jobs.retriable().count()
    if can:
        yield f"{can} cut off by a fault of ours: what they have made is looked at and stored once more; nothing runs."
    if others := jobs.count() - can:
        yield f"{others} not cut off: nothing happens to them."


def _reruns(jobs: QuerySet) -> Iterator[str]:
    active = jobs.active().count()
    if ended := jobs.count() - active:
        yield f"{ended} ended: their actions run again at the same commit, in new requests, and replace their outputs."
    if active:
        yield f"{active} still active: nothing happens to them."


def _jobs_by(verb: Callable, done: str) -> Callable[[list[str], Who, str], Said]:
    return lambda identifiers, by, reason: _results(verb(identifiers, by, reason), done)


CANCEL = Question(
    "Cancel {count} job(s)?", "Cancel them", _stops, _jobs_by(asking.cancel, "will be cancelled by the runner.")
)
KILL = Question("Kill {count} job(s)?", "Kill them now", _stops, _jobs_by(asking.kill, "will be killed by the runner."))
FINALISE_AGAIN = Question(
    "Finalise {count} job(s) again?", "Finalise them again", _retries,
    _jobs_by(asking.finalise_again, "will be finalised again by the runner."),
)  # fmt: skip
RUN_AGAIN = Question(
    "Run {count} job(s) again?", "Run them again", _reruns,
    _jobs_by(lambda *asked: asking.run_again(*asked)[0], "asked for again; `manage.py sync` plans them."),
)  # fmt: skip


def _refuses(requests: QuerySet) -> Iterator[str]:
    waiting = requests.waiting().count()
    if waiting:
        yield f"{waiting} waiting to be planned: not tried again, and whoever asked is told so, with your reason."
    if others := requests.count() - waiting:
        yield f"{others} not waiting any more: nothing happens to them."


def _refuse(pks: list[str], by: Who, reason: str) -> Said:
    refused, others = asking.refuse_requests([int(pk) for pk in pks if pk.isdecimal()], by, reason)
    if refused:
        yield messages.SUCCESS, f"{refused} request(s) refused; whoever asked will be told."
    if others:
        yield messages.WARNING, f"{others} request(s) did not wait any more."


REFUSE = Question("Refuse {count} request(s)?", "Refuse them", _refuses, _refuse)


def _tells(deliveries: QuerySet) -> Iterator[str]:
    yield (
        f"{deliveries.count()} request(s): everything is told to the job-server as if it had never acknowledged any of "
        "it. What it knows already stays as it is."
    )


def _tell_again(pks: list[str], by: Who, reason: str) -> Said:
    told = asking.tell_again([int(pk) for pk in pks if pk.isdecimal()], by, reason)
    yield messages.SUCCESS, f"{told} request(s) will be told to the job-server again."


TELL_AGAIN = Question("Tell the job-server again of {count} request(s)?", "Tell it again", _tells, _tell_again)


def _lifts(counts: QuerySet) -> Iterator[str]:
    yield f"{counts.count()} count(s) begin again at nothing, so a wait ends at once; a guesser may go on, too."


def _lift(pks: list[str], by: Who, reason: str) -> Said:
    lifted = people_asking.lift_lock_outs([int(pk) for pk in pks if pk.isdecimal()], by, reason)
    yield messages.SUCCESS, f"{lifted} count(s) begin again."


LIFT = Question("Lift {count} lock-out(s)?", "Lift them", _lifts, _lift)


def _revokes(tokens: QuerySet) -> Iterator[str]:
    yield f"{tokens.count()} token(s): each call with one of them is refused from now on. This cannot be taken back."


def _revoke(pks: list[str], by: Who, reason: str) -> Said:
    revoked = people_asking.revoke_tokens([int(pk) for pk in pks if pk.isdecimal()], by, reason)
    yield messages.SUCCESS, f"{revoked} token(s) revoked."


REVOKE = Question("Revoke {count} token(s)?", "Revoke them", _revokes, _revoke)
