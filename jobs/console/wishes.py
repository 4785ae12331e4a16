"""Cancel, kill, finalise again and run again from the command line: first what it would bring about, then why, then it
is asked for. The runner does it in its next turns, as with every wish (`jobs.asking`)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

from jobs import asking
from jobs.asking import Result
from jobs.consequences import CANCEL, CLEAR, KILL, consequences
from jobs.console.asker import at_this_terminal, confirm, reason_of
from jobs.console.command import OperatorCommand, Refused, print_json
from jobs.console.finding import job_called, request_called
from jobs.console.silence import warn_of_silence
from jobs.log import escape
from jobs.models import Job, JobRequest, Who
from jobs.models.request_history import identifiers_by_wish
from jobs.results import terminal
from jobs.text import counted

MOST_SHOWN = 50


@dataclass(frozen=True)
class Wish:
    """`of_request`: which of a request's jobs are meant where only the request is named."""

    verb: str
    do: Callable[[Sequence[str], Who, str], tuple[list[Result], list[JobRequest]]]
    of_request: Callable[[JobRequest], list[str]]
    clears: bool = False  # also removes what was kept of jobs that were cut off


def _kept_of(request: JobRequest) -> list[str]:
    return list(request.jobs.all().to_finalise_again().values_list("identifier", flat=True))


def _kept_among(named: Sequence[str]) -> set[str]:
    return set(Job.objects.retriable().filter(identifier__in=named).values_list("identifier", flat=True))


def _kill_and_clear(named: Sequence[str], who: Who, reason: str) -> tuple[list[Result], list[JobRequest]]:
    """What is active is killed, and loses container and folder by that; of what was cut off they are removed."""
    kept = _kept_among(named)
    killed = asking.kill([each for each in named if each not in kept], who, reason)
    return killed + asking.clear([each for each in named if each in kept], who, reason), []


WISHES = {
    "cancel": Wish(
        CANCEL, lambda *told: (asking.cancel(*told), []), lambda each: identifiers_by_wish(each).cancellable
    ),
    "kill": Wish(KILL, lambda *told: (asking.kill(*told), []), lambda each: identifiers_by_wish(each).cancellable),
    "finalise again": Wish(
        "finalise again",
        lambda *told: (asking.finalise_again(*told), []),
        _kept_of,
    ),
    "kill and clean up": Wish(
        KILL,
        _kill_and_clear,
        lambda each: [*identifiers_by_wish(each).cancellable, *_kept_of(each)],
        clears=True,
    ),
    "run again": Wish("run again", asking.run_again, lambda each: identifiers_by_wish(each).failed),
}


def ask(
    name: str, jobs: list[str], *, request: str | None, reason: str | None, yes: bool, dry_run: bool, as_json: bool
) -> bool:
    """Whether it was asked for of every job. Raises Refused, and NoReason for one that says nothing."""
    wish = WISHES[name]
    named = _named(wish, jobs, request)
    _tell(wish, named)
    if dry_run:
        return True
    confirm(f"{wish.verb.capitalize()} {counted(len(named), 'job')}?", yes=yes)
    results, new = wish.do(named, at_this_terminal(), reason_of(reason))
    if as_json:
        print_json({"results": [asdict(each) for each in results], "requests": [each.identifier for each in new]})
    else:
        print_results(results, new)
    if any(each.was_done for each in results):
        warn_of_silence(is_to_be_planned=bool(new))
    return all(each.was_done for each in results)


def _named(wish: Wish, beginnings: list[str], request: str | None) -> list[str]:
    """Whole identifiers, each once, frozen before anybody is asked."""
    if bool(beginnings) == bool(request):
        raise Refused("Name jobs, or a request by --request.")
    if not request:
        return list(dict.fromkeys(job_called(beginning).identifier for beginning in beginnings))
    found = request_called(request)
    named = wish.of_request(found)
    if not named:
        raise Refused(f"Request {found.identifier} has no job to {wish.verb}.")
    if len(named) > asking.MOST_AT_ONCE:
        raise Refused(f"Request {found.identifier} has {len(named)} such jobs: at most {asking.MOST_AT_ONCE} at once.")
    return named


def _tell(wish: Wish, named: list[str]) -> None:
    """On stderr: which jobs, and what becomes of them and of those that need them."""
    notes = terminal(stderr=True)
    for identifier, workspace, action, code in Job.objects.filter(identifier__in=named[:MOST_SHOWN]).values_list(
        "identifier", "workspace", "action", "status_code"
    ):
        notes.print(Text(escape(f"{identifier}  {workspace}: {action}, {code}")), soft_wrap=True)
    if len(named) > MOST_SHOWN:
        notes.print(f"… and {len(named) - MOST_SHOWN} more", style="dim")
    kept = _kept_among(named) if wish.clears else []
    told = [(wish.verb, [each for each in named if each not in kept])] if wish.verb in (CANCEL, KILL) else []
    for verb, jobs in [*told, (CLEAR, kept)]:
        for sentence in consequences(verb, jobs).sentences:
            notes.print(Text(sentence.replace(": see below why", "")), soft_wrap=True)


def print_results(results: list[Result], new: list[JobRequest]) -> None:
    console = terminal()
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for each in sorted(results, key=lambda result: result.was_done):
        sign = Text("✓", "green") if each.was_done else Text("✗", "bold red")
        table.add_row(sign, Text(each.identifier), Text(escape(each.label)), Text(escape(each.sentence)))
    console.print(table)
    for request in new:
        console.print(f"to watch it: manage.py watch {request.identifier}", style="dim", markup=False, soft_wrap=True)


class WishCommand(OperatorCommand):
    """Of one wish; subclasses name it."""

    wish: str

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("jobs", nargs="*", metavar="job", help="identifiers, or beginnings of them")
        parser.add_argument("--request", help="all such jobs of a request instead")
        parser.add_argument("--reason", help="why; kept in the audit, and of a cancel shown to the study's author")
        parser.add_argument("--yes", action="store_true", help="do not ask whether to go on")
        parser.add_argument("--dry-run", action="store_true", help="say what it would do, and do nothing")

    def answer(self, *, jobs: list[str], **options) -> int:
        kept = {name: options[name] for name in ("request", "reason", "yes", "dry_run", "as_json")}
        return 0 if ask(self.wish, jobs, **kept) else 1
