"""`manage.py update_images`: fetch images anew, with the progress of each layer on a terminal."""

import sys
from dataclasses import asdict

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.text import Text

from jobs.console.asker import at_this_terminal, reason_of
from jobs.console.command import Refused, print_json
from jobs.log import escape
from jobs.results import terminal
from runner import images
from runner.executors import engine_of_site
from runner.executors.base import ExecutorUnavailable
from runner.executors.docker.pulling import Progress as LayerProgress

_SIGNS = {images.UPDATED: ("✓", "green"), images.CURRENT: ("✓", "dim"), images.FAILED: ("✗", "bold red")}
_SHORT = 19  # of "sha256:…" as people know it


def update_images(names: list[str], *, dry_run: bool, reason: str | None, as_json: bool) -> int:
    """1 if one could not be fetched. Raises Refused, NoReason."""
    engine = engine_of_site()
    try:
        wanted = images.wanted_images(engine, names)
        if dry_run or not wanted:
            return _tell_wanted(wanted, as_json=as_json)
        found = _update(engine, wanted, reason_of(reason))
    except (images.NoSuchImages, ExecutorUnavailable) as error:
        raise Refused(escape(str(error))) from error
    if as_json:
        print_json({"images": [asdict(each) for each in found]})
    else:
        for each in found:
            terminal().print(_in_words(each), soft_wrap=True)
    return 1 if any(each.outcome == images.FAILED for each in found) else 0


def _tell_wanted(wanted: list[str], *, as_json: bool) -> int:
    if as_json:
        print_json({"images": wanted})
    elif wanted:
        terminal().print("\n".join(f"would be fetched: {name}" for name in wanted), markup=False, soft_wrap=True)
    else:
        terminal().print("No image of this backend is here yet: name those that studies use, such as python:v2.")
    return 0


def _update(engine, wanted: list[str], reason: str) -> list[images.Update]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = terminal(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        tasks: dict[tuple[str, str], int] = {}

        def told(name: str, layer: LayerProgress) -> None:
            if not layer.total:
                return
            key = (name, layer.layer)
            if key not in tasks:
                tasks[key] = progress.add_task(escape(f"{name} {layer.layer}"), total=layer.total)
            progress.update(tasks[key], completed=layer.done, total=layer.total)

        return list(images.update(engine, wanted, at_this_terminal(), reason, told))


def _in_words(update: images.Update) -> Text:
    sign, style = _SIGNS[update.outcome]
    text = Text(f"{sign} {escape(update.name)}: {update.outcome}", style)
    if update.outcome == images.UPDATED:
        text.append(f", {update.before[:_SHORT] or 'none'} → {update.after[:_SHORT]}")
    if update.said:
        text.append(f": {escape(update.said)}")
    return text
