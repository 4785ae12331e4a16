"""The actions that read the database: where their command writes must be what they promise as outputs.

Three families, each with rules of its own: `cohortextractor generate_cohort`, its successors of 2021 and 2022
(`cohortextractor-v2`, `databuilder generate_dataset`), and `ehrql generate-dataset`.
"""

import fnmatch
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from jobs.levels import HIGHLY_SENSITIVE
from jobs.study.errors import shown
from jobs.study.findings import Place
from jobs.study.run_command import RunCommand

_OLDER_COMMANDS = ("generate_cohort", "generate_dataset")
_OLDER_IMAGES = ("cohortextractor", "cohortextractor-v2", "databuilder")
# The newer validator looks at the text: a second blank or a line end between the words escapes it.
_COHORT_TEXT = re.compile(r"cohortextractor:\S+ generate_cohort")
_DATASET_TEXT = re.compile(r"(?:ehrql|databuilder):\S+ generate[-_]dataset")
_DATASET_IMAGES = ("ehrql", "databuilder")
_DATASET_COMMANDS = ("generate-dataset", "generate_dataset")

_LONGEST_DESTINATION = 1000

Outputs = Mapping[str, Mapping[str, str]]


def check_generator(run: RunCommand, outputs: Outputs, listed_levels: int, place: Place) -> None:
    """The rules of all families; `listed_levels` counts empty levels too, as the older validator does."""
    if _is_older_generator(run) and listed_levels != 1:
        place.older(f"a `{run.args[0]}` action must have exactly one privacy level of outputs, not {listed_levels}.")
    if _COHORT_TEXT.match(run.text):
        _check_cohort(run, outputs, place)
    if run.image in _DATASET_IMAGES and run.args[:1] and run.args[0] in _DATASET_COMMANDS:
        _check_dataset(run, outputs, place)


def _is_older_generator(run: RunCommand) -> bool:
    return run.image in _OLDER_IMAGES and bool(run.args) and run.args[0] in _OLDER_COMMANDS


def _check_cohort(run: RunCommand, outputs: Outputs, place: Place) -> None:
    if len(outputs) != 1:
        place.newer(f"a `generate_cohort` action must have exactly one privacy level of outputs, not {len(outputs)}.")
    elif problem := _spread_over_folders(run.args, outputs):
        place.newer(problem)


def _spread_over_folders(args: Sequence[str], outputs: Outputs) -> str:
    folders = output_folders(outputs)
    if len(folders) == 1 or any(arg == "--output-dir" or arg.startswith("--output-dir=") for arg in args):
        return ""
    names = ", ".join(f"{folder}/" for folder in folders[:5]) or "none"
    return f"generate_cohort should write its outputs to one directory, not {len(folders)} ({names}): add --output-dir."


def output_folders(outputs: Outputs) -> list[str]:
    """The directories of all output paths, in the order of the file."""
    return list(dict.fromkeys(str(PurePosixPath(pattern).parent) for pattern in _patterns(outputs)))


def _patterns(outputs: Outputs) -> Iterable[str]:
    return (pattern for level in outputs.values() for pattern in level.values())


def _check_dataset(run: RunCommand, outputs: Outputs, place: Place) -> None:
    problem = _dataset_problem(run.args, outputs)
    if problem and _DATASET_TEXT.match(run.text):
        place.newer(problem)
    elif problem:
        place.warn(problem)


def _dataset_problem(args: Sequence[str], outputs: Outputs) -> str:
    if any(patterns for level, patterns in outputs.items() if level != HIGHLY_SENSITIVE):
        return "uses `generate-dataset`, so all its outputs must be labelled highly_sensitive."
    destination = _output_option(args)
    if not destination:
        return "does not provide an `--output` argument, which says where `generate-dataset` stores its results."
    patterns = list(_patterns(outputs))
    if matches_destination(destination, patterns):
        return ""
    promised = ", ".join(shown(pattern) for pattern in patterns[:5])
    return (
        f"`outputs` must match the `--output` argument in `run`: they are {promised}, but it is {shown(destination)}."
    )


def _output_option(args: Sequence[str]) -> str | None:
    for position, arg in enumerate(args):
        if arg == "--output":
            return args[position + 1] if position + 1 < len(args) else None
        if arg.startswith("--output="):
            return arg.removeprefix("--output=")
    return None


def matches_destination(destination: str, patterns: Sequence[str]) -> bool:
    """Whether outputs lie where `--output` says: a file among them, or `folder:type`, for all of them in the folder."""
    folder, colon, extension = destination.rpartition(":")
    # Matching takes time by the square of the length, and no pattern of `outputs` may be nearly as long.
    if len(destination) <= _LONGEST_DESTINATION and colon and re.fullmatch(r"[A-Za-z0-9.]+", extension):
        wanted = f"{folder.rstrip('/')}/*.{extension}"
        return all(fnmatch.fnmatchcase(pattern, wanted) for pattern in patterns)
    return destination in patterns


def generator_command(
    run: RunCommand, outputs: Outputs, *, dummy_data_file: str | None, population_size: int, is_dummy: bool
) -> str:
    """The command as job-runner started it in 2021: dummy data and output directory are added for cohortextractor.

    `run.text` and `run.args` hold the config already. `is_dummy` says that this backend has no real data. Other
    commands are returned as they are. Raises ValueError, with a sentence for the author, where such a job could not be
    created.
    """
    text = run.text
    if not _is_older_generator(run):
        return text
    if run.image == "cohortextractor":
        return text + _dummy_data(dummy_data_file, population_size, is_dummy) + _output_dir(run, outputs)
    if is_dummy and "--dummy-data-file" not in text:
        raise ValueError("`run` needs --dummy-data-file, because this backend has dummy data only.")
    patterns = list(_patterns(outputs))
    if not patterns or not (patterns[0] in text or matches_destination(_output_option(run.args) or "", patterns)):
        raise ValueError("`outputs` must match the `--output` argument in `run`.")
    return text


def _dummy_data(dummy_data_file: str | None, population_size: int, is_dummy: bool) -> str:
    if not is_dummy:
        return ""
    if dummy_data_file is not None:
        return f" --dummy-data-file={shlex.quote(dummy_data_file)}"
    return f" --expectations-population={population_size}"


def _output_dir(run: RunCommand, outputs: Outputs) -> str:
    if problem := _spread_over_folders(run.args, outputs):
        raise ValueError(problem)
    folders = output_folders(outputs)
    return f" --output-dir={shlex.quote(folders[0])}" if len(folders) == 1 else ""
