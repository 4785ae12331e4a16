"""`manage.py verify_workspace`: which files are not as they were stored. Only reads."""

import sys
from collections.abc import Iterable

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.text import Text

from jobs.console.command import Refused, print_json
from jobs.log import escape
from jobs.results import terminal
from jobs.text import counted, size_in_words
from runner.verifying import LEAK, UNKNOWN, Verified, strangers, verify, workspaces

MOST_TOLD = 200
_WORDS = {LEAK: "may be a leak", UNKNOWN: "not ours"}
_STYLES = {LEAK: "bold red", UNKNOWN: "dim"}


def verify_workspaces(names: list[str], *, all_of_them: bool, quick: bool, as_json: bool) -> int:
    """0 if all is as it was stored, else 1. Raises Refused."""
    there = workspaces()
    if all_of_them == bool(names):
        raise Refused("Say which workspaces, or --all.")
    for name in names:
        if name not in there:
            raise Refused(f"There is no workspace {escape(name)} in storage. There are: {', '.join(there) or 'none'}.")
    found = [_verify(name, reads_contents=not quick) for name in (there if all_of_them else names)]
    beside = strangers() if all_of_them else []
    if as_json:
        print_json({"workspaces": [_told(each) for each in found], "beside": [vars(finding) for finding in beside]})
    else:
        _print(found, quick=quick)
        for finding in beside[:MOST_TOLD]:
            line = f"✗ {_WORDS[LEAK]}: medium privacy storage holds {finding.path}, which {finding.text}"
            terminal().print(Text(escape(line), _STYLES[LEAK]), soft_wrap=True)
    return 0 if not beside and all(each.is_sound for each in found) else 1


def _verify(name: str, *, reads_contents: bool) -> Verified:
    console = terminal(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(escape(name), total=None)
        return verify(name, reads_contents=reads_contents, seen=lambda size: progress.advance(task, size))


def _told(found: Verified) -> dict:
    return {
        "workspace": found.workspace,
        "is_sound": found.is_sound,
        "files": found.files,
        "bytes": found.size,
        "is_publishing": found.is_publishing,
        "findings": [vars(finding) for finding in found.findings],
    }


def _print(all_found: Iterable[Verified], *, quick: bool) -> None:
    console = terminal()
    for found in all_found:
        sign, style = ("✓", "green") if found.is_sound else ("✗", "bold red")
        how = "sizes only" if quick else f"{size_in_words(found.size)} read"
        said = "all as stored" if found.is_sound else "not as stored"
        console.print(
            Text(escape(f"{sign} {found.workspace}: {counted(found.files, 'file')}, {how}: {said}"), style),
            soft_wrap=True,
        )
        for finding in found.findings[:MOST_TOLD]:
            word = _WORDS.get(finding.kind, finding.kind)
            line = f"  {word}  {finding.storage}  {finding.path} {finding.text}"
            console.print(Text(escape(line), _STYLES.get(finding.kind, "yellow")), soft_wrap=True)
        if (more := len(found.findings) - MOST_TOLD) > 0:
            console.print(f"  and {more:,} more: --json tells all")
        if found.is_publishing:
            console.print("  Outputs are being stored there now, or a killed runner's next start will: ask again then.")
