"""The checks of chores and of what they have found: is anything not done, and is storage as it was stored?"""

from collections.abc import Iterable, Iterator

from jobs.chores import overdue
from jobs.models import ChoreRun, StorageCheck
from jobs.signs import Run
from jobs.system.check import BAD, OFF, OK, WARN, Check
from jobs.text import counted, listed

# They say themselves what is wrong, by the check below.
_WITH_A_CHECK = ("storage",)


def chore_checks(run: Run, last: Iterable[ChoreRun], faulty: list[StorageCheck], number: int) -> Iterator[Check]:
    """`last` is each chore's newest run, `number` how many workspaces were ever looked at. No query."""
    last = list(last)
    late = overdue({each.chore: each for each in last})
    if run.is_fresh and not run.chores_are_on:
        yield Check("Chores", OFF, "CHORES is off: no copies of the database, no notices")
    elif failed := sorted(each.chore for each in last if each.is_trouble and each.chore not in _WITH_A_CHECK):
        yield Check(
            "Chores", WARN, f"failed: {listed(failed)}", "all done",
            what="Its page, and `manage.py chores`, say why. It is tried again at its next time, or ask for it there.",
        )  # fmt: skip
    elif late:
        yield Check(
            "Chores", WARN, f"not done for long: {listed(late)}", "each at its time",
            what="See in the runner's log what it says of work_on_chores, and restart `manage.py run`.",
        )  # fmt: skip
    elif last:
        yield Check("Chores", OK, f"{counted(len(last), 'chore')} done as they should be", "all done")
    if faulty:
        leaks = any(each.may_be_a_leak for each in faulty)
        names = listed([each.workspace for each in faulty], most=5)
        yield Check(
            "What is stored", BAD if leaks else WARN,
            f"{'something may have leaked in' if leaks else 'not as it was stored:'} {names}",
            "as the manifests say", since=min(each.at for each in faulty),
            what="See each workspace's page, then `manage.py verify_workspace`, and docs/operations.md.",
        )  # fmt: skip
    elif number:
        yield Check("What is stored", OK, f"{counted(number, 'workspace')} as stored", "as the manifests say")
