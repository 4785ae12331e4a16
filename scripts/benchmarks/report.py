"""The lines and the table that people read, and the JSON that is kept: from results to text, nothing is measured."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.noise import Load
from benchmarks.results import Result

# For a file or a pipe, of which nobody knows how wide it is.
PLAIN_WIDTH = 132


def console() -> Console:
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def show(console: Console, result: Result, load: Load) -> None:
    """One case as soon as it is known: what was found, what else, and whether the machine was quiet."""
    lines = [f"[bold]{result.id}[/]  {result.what}", _spread("job runner", result.samples, result.median, result.unit)]
    if result.floor is not None:
        lines.append(_spread("floor", result.floor_samples, result.floor, result.unit) + f"  {result.floor_what}")
    if result.also:
        lines.append("     " + "; ".join(f"{name}: {figure:.4g}" for name, figure in result.also.items()))
    if load.is_noisy:
        lines.append(f"     [yellow]noisy: others used {load.foreign_share:.0%} of the processors meanwhile[/]")
    console.print("\n".join(lines), soft_wrap=True)


def summary(console: Console, measured: Sequence[tuple[Result, Load]]) -> None:
    """All cases with their ratios and targets."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, justify in (
        ("", "left"),
        ("what", "left"),
        *((name, "right") for name in ("median", "floor", "ratio")),
    ):
        table.add_column(column, justify=justify)
    table.add_column("targets", no_wrap=True)
    table.add_column("others' CPU", justify="right", no_wrap=True)
    for result, load in measured:
        floor = "-" if result.floor is None else shown(result.floor, result.unit)
        ratio = "-" if result.ratio is None else f"{result.ratio:.2f}"
        cells = (result.what, shown(result.median, result.unit), floor, ratio, _verdicts(result))
        table.add_row(result.id, *cells, f"{load.foreign_share:.0%}" + (" noisy" if load.is_noisy else ""))
    console.print(table)


def write(path: Path, results: Sequence[Result]) -> None:
    """The file of OUT: a list with one object for each case."""
    path.write_text(json.dumps([result.as_json() for result in results], indent=2, ensure_ascii=False) + "\n")


def shown(figure: float, unit: str) -> str:
    """For people: (0.0123, "s") -> "12.3 ms"."""
    if unit == "s" and figure < 1:
        return f"{figure * 1000:.3g} ms"
    return f"{figure:.3g} {unit}" if figure < 1000 else f"{figure:.0f} {unit}"


def _spread(name: str, samples: Sequence[float], median: float, unit: str) -> str:
    spread = f"{shown(min(samples), unit)} to {shown(max(samples), unit)}, n = {len(samples)}"
    return f"     {name:<10}  {shown(median, unit):>8}  ({spread})"


def _verdicts(result: Result) -> str:
    return "\n".join(f"{target}: {'met' if result.meets(target) else 'MISSED'}" for target in result.targets) or "none"
