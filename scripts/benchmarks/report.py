"""The table that people read and the JSON that is kept: from results to text, nothing is measured here."""

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.noise import Load
from benchmarks.results import Result

# What `Result.samples` of these units look like below a second; other units are shown as they are.
_SECONDS = "s"


def show(console: Console, result: Result, load: Load) -> None:
    """One case, as soon as it is known: its line, what else it found, and whether the machine was quiet."""
    table = Table(box=box.SIMPLE_HEAD, show_header=True, pad_edge=False)
    for column in ("", "median", "min", "max", "n"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row(f"{result.id}  {result.what}", *_line(result.samples, result.median, result.unit))
    if result.floor is not None:
        table.add_row(f"floor: {result.floor_what}", *_line(result.floor_samples, result.floor, result.unit))
    console.print(table, end="")
    if result.also:
        console.print("  " + "; ".join(f"{name}: {figure:.4g}" for name, figure in result.also.items()), soft_wrap=True)
    if load.is_noisy:
        console.print(f"  noisy: others used {load.foreign_share:.0%} of the processors meanwhile", style="yellow")


def summary(console: Console, measured: list[tuple[Result, Load]]) -> None:
    """All cases with their ratios and targets."""
    table = Table(title="Summary", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("what", overflow="fold")
    for column in ("median", "floor", "ratio"):
        table.add_column(column, justify="right")
    table.add_column("targets")
    table.add_column("others' CPU", justify="right")
    for result, load in measured:
        floor = "-" if result.floor is None else shown(result.floor, result.unit)
        ratio = "-" if result.ratio is None else f"{result.ratio:.2f}"
        cells = (result.what, shown(result.median, result.unit), floor, ratio, _verdicts(result))
        table.add_row(result.id, *cells, f"{load.foreign_share:.0%}" + (" noisy" if load.is_noisy else ""))
    console.print(table)


def write(path: Path, results: list[Result]) -> None:
    """The file of OUT: a list with one object for each case."""
    path.write_text(json.dumps([result.as_json() for result in results], indent=2, ensure_ascii=False) + "\n")


def shown(figure: float, unit: str) -> str:
    """ "0.0123", "s" -> "12.3 ms"."""
    if unit == _SECONDS and figure < 1:
        return f"{figure * 1000:.3g} ms"
    return f"{figure:.3g} {unit}" if figure < 1000 else f"{figure:.0f} {unit}"


def _line(samples, median: float, unit: str) -> list[str]:
    return [shown(median, unit), shown(min(samples), unit), shown(max(samples), unit), str(len(samples))]


def _verdicts(result: Result) -> str:
    lines = [f"{target}: {'met' if result.meets(target) else 'missed'}" for target in result.targets]
    return "\n".join(lines) or "none"
