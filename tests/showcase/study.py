"""The study that the showcase's workspaces run: its actions, its project.yaml and what its scripts say."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """`minutes` is how long it usually takes; `outputs` are path, level and rows."""

    name: str
    run: str
    needs: tuple[str, ...] = ()
    minutes: float = 5
    outputs: tuple[tuple[str, str, int | None], ...] = ()
    requires_db: bool = False


HIGH, MODERATE = "highly_sensitive", "moderately_sensitive"
ACTIONS = (
    Action(
        "generate_dataset",
        "ehrql:v1 generate-dataset analysis/dataset_definition.py --output output/dataset.csv.gz",
        minutes=41,
        outputs=(("output/dataset.csv.gz", HIGH, 1_204_318),),
        requires_db=True,
    ),
    Action(
        "generate_measures",
        "ehrql:v1 generate-measures analysis/measures.py --output output/measures.csv.gz",
        minutes=27,
        outputs=(("output/measures.csv.gz", HIGH, 48_112),),
        requires_db=True,
    ),
    Action(
        "clean_data",
        "python:v2 python analysis/clean.py",
        ("generate_dataset",),
        6,
        (("output/clean.feather", HIGH, None), ("output/flow.csv", MODERATE, 14)),
    ),
    Action(
        "describe_cohort",
        "r:v2 analysis/describe.R",
        ("clean_data",),
        4,
        (("output/table_1.csv", MODERATE, 62), ("output/table_1.html", MODERATE, None)),
    ),
    Action(
        "model_unadjusted",
        "r:v2 analysis/model.R unadjusted",
        ("clean_data",),
        13,
        (("output/models/unadjusted.csv", MODERATE, 36),),
    ),
    Action(
        "model_adjusted",
        "r:v2 analysis/model.R adjusted",
        ("clean_data",),
        38,
        (("output/models/adjusted.csv", MODERATE, 84),),
    ),
    Action(
        "plot_measures",
        "python:v2 python analysis/plot.py",
        ("generate_measures",),
        2,
        (("output/figures/trend_by_region.png", MODERATE, None), ("output/figures/trend_by_age.png", MODERATE, None)),
    ),
    Action(
        "round_tables",
        "python:v2 python analysis/round.py",
        ("describe_cohort", "model_unadjusted", "model_adjusted"),
        1,
        (("output/released/table_1.csv", MODERATE, 62), ("output/released/models.csv", MODERATE, 120)),
    ),
    Action(
        "write_report",
        "jupyter:v2 jupyter nbconvert --to html --execute notebooks/report.ipynb",
        ("round_tables", "plot_measures"),
        3,
        (("output/report.html", MODERATE, None),),
    ),
)
BY_NAME = {action.name: action for action in ACTIONS}


def project_yaml() -> str:
    lines = ["version: '4.0'", "", "expectations:", "  population_size: 1000", "", "actions:"]
    for action in ACTIONS:
        lines += [f"  {action.name}:", f"    run: {action.run}"]
        lines += [f"    needs: [{', '.join(action.needs)}]"] if action.needs else []
        lines += ["    outputs:"]
        for level in (HIGH, MODERATE):
            paths = [path for path, its_level, _ in action.outputs if its_level == level]
            lines += [f"      {level}:"] if paths else []
            lines += [f"        {path.rsplit('/', 1)[1].split('.')[0]}: {path}" for path in paths]
        lines.append("")
    return "\n".join(lines)


GREEN, YELLOW, RED, DIM, BOLD, PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


def log_lines(action: str, *, lines: int = 160, error: bool = False) -> list[str]:
    """What the action's script prints, with colours, a progress bar and, for one that fails, a traceback."""
    dice = random.Random(action)
    said = [f"{BOLD}Starting {action}{PLAIN}", f"{DIM}Python 3.12.4, pandas 2.2.2{PLAIN}", "Reading inputs …"]
    steps = ("loaded", "joined", "checked", "derived", "grouped", "counted")
    for number in range(lines):
        colour = f"{YELLOW}WARNING{PLAIN}" if dice.random() < 0.03 else f"{GREEN}INFO{PLAIN}"
        said.append(f"{colour}  {dice.choice(steps)} chunk {number + 1}/{lines}: {dice.randrange(2000, 9000):,} rows")
    said.append("".join(f"\rProgress {percent:3d} %" for percent in range(0, 101, 10)))
    if not error:
        return [*said, f"{GREEN}Done{PLAIN}"]
    return [
        *said,
        "Traceback (most recent call last):",
        '  File "/workspace/analysis/model.py", line 118, in <module>',
        "    fitted = fit(frame[COLUMNS], frame.outcome)",
        '  File "/workspace/analysis/model.py", line 64, in fit',
        "    return solver.solve(design, outcome)",
        f"{RED}ValueError: Input contains NaN in column 'bmi' (412 of 1,204,318 rows){PLAIN}",
    ]
