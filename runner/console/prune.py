"""`manage.py prune_outputs`: which outputs of a workspace are out of date, and deleting them."""

from dataclasses import asdict

from rich.text import Text

from jobs.console.asker import at_this_terminal, confirm, reason_of
from jobs.console.command import Refused, print_json
from jobs.log import escape
from jobs.results import terminal
from jobs.text import counted, size_in_words
from jobs.wire import moment
from runner.pruning import Busy, Outdated, outdated, prune
from runner.verifying import workspaces
from runner.workspaces.files import StorageUnavailable


def prune_outputs(
    workspace: str, *, action: str | None, dry_run: bool, reason: str | None, yes: bool, as_json: bool
) -> None:
    """Raises Refused, NoReason."""
    there = workspaces()
    if workspace not in there:
        raise Refused(f"There is no workspace {escape(workspace)} in storage. There are: {', '.join(there) or 'none'}.")
    try:
        found = [each for each in outdated(workspace) if action in (None, each.action)]
    except Busy as error:
        raise Refused(escape(str(error))) from error
    if not as_json:
        _print(workspace, found)
    if dry_run or not found:
        if as_json:
            print_json({"outputs": [_told(each, is_deleted=False) for each in found]})
        return
    confirm("Delete them for good, in both storages?", yes=yes)
    try:
        gone = prune(workspace, {each.path for each in found}, at_this_terminal(), reason_of(reason))
    except (Busy, StorageUnavailable) as error:
        raise Refused(str(error)) from error
    if as_json:
        print_json({"outputs": [_told(each, is_deleted=each in gone) for each in found]})
    else:
        size = size_in_words(sum(each.size for each in gone))
        terminal(stderr=True).print(f"{counted(len(gone), 'output')} deleted, {size} freed.", markup=False)


def _told(each: Outdated, *, is_deleted: bool) -> dict:
    return {**asdict(each), "at": moment(each.at), "is_deleted": is_deleted}


def _print(workspace: str, found: list[Outdated]) -> None:
    console = terminal()
    if not found:
        console.print(Text(escape(f"✓ {workspace} has no output that is out of date."), "green"), soft_wrap=True)
    for each in found:
        age = f", made at {each.at:%Y-%m-%d %H:%M} UTC" if each.at else ""
        line = f"{each.path}  {size_in_words(each.size)}  {each.level}, by {each.action}{age}"
        console.print(Text(escape(line)), soft_wrap=True)
