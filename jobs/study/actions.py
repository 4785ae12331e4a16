"""One entry of `actions` in project.yaml -> Action."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.levels import PRIVACY_LEVELS
from jobs.names import ACTION_NAME, MOST_NAME_BYTES
from jobs.study.errors import describe, shown
from jobs.study.findings import Place, unknown_entries
from jobs.study.generators import check_generator
from jobs.study.needs import read_needs
from jobs.study.patterns import check_pattern
from jobs.study.run_command import RunCommand, SeenCommands, config_as_json, is_database_command, read_run
from jobs.study.yaml_text import Mapping as YamlMapping
from jobs.text import UNSAFE_CHARACTERS

RUN_ALL = "run_all"
# Real studies name 2,500, of one each.
MOST_OUTPUTS = 50_000
_KEYS = ("run", "needs", "outputs", "config", "dummy_data_file")
_NO_RUN_ALL_FROM = 5
# Stands in the place of a run entry that was refused.
_NOTHING = RunCommand("", "", "", ())
_UNIQUE_PATHS_FROM = 2


@dataclass(frozen=True)
class Action:
    """One step of a study. `outputs`: level -> name -> path pattern, to be read only.

    `run` is the text as written, its config added; `args` are what follows the image, split as a shell would. The tag
    "latest" is kept as written. `line` is that of its name in project.yaml. `config` is what the file says: a
    dictionary, or in old versions a list or a single value.
    """

    name: str
    image: str
    tag: str
    args: tuple[str, ...]
    run: str
    needs: tuple[str, ...]
    outputs: dict[str, dict[str, str]]
    is_database_action: bool
    dummy_data_file: str | None
    config: Any
    line: int


@dataclass
class Seen:
    """What must not be there twice in a project."""

    commands: SeenCommands = field(default_factory=SeenCommands)
    # Pattern -> name and level of the output that promised it first.
    patterns: dict[str, tuple[str, str]] = field(default_factory=dict)
    outputs: int = 0


def name_from_yaml(key: object, place: Place) -> str:
    """The name of an action, fit to be a file's name and a command's argument, or a refusal."""
    name = str(key) if type(key) is int else key
    if not isinstance(name, str):
        place.refuse(f"the name of an action must be text: put {shown(key)} in quotes or choose another name.")
    if len(name.encode()) > MOST_NAME_BYTES or not ACTION_NAME.fullmatch(name):
        place.refuse(
            f"{shown(name)} is not a valid name of an action: use letters, digits, '-' and '_', "
            f"at most {MOST_NAME_BYTES}, beginning with a letter or digit."
        )
    if name == RUN_ALL and place.findings.is_from(_NO_RUN_ALL_FROM):
        place.newer("run_all is reserved, because it asks for all actions: choose another name.")
    elif name == RUN_ALL:
        place.warn("run_all is reserved, because it asks for all actions: it is left out of them.")
    return name


def read_action(name: str, entry: object, names: Mapping[str, object], seen: Seen, place: Place) -> Action:
    """The action of that name, as far as it can be read: each of its entries is looked at, whatever the others are.

    `names` are those of all actions. A refusal only if the entry is no dictionary.
    """
    if not isinstance(entry, YamlMapping):
        place.refuse(f"must be a dictionary with `run` and `outputs`, but is {describe(entry)}.")
    for key in unknown_entries(entry, _KEYS):
        place.at(entry.lines[key]).newer(f"has an unknown entry {shown(key)}: only {', '.join(_KEYS)} are known.")
    run, outputs, config_text = _NOTHING, None, None
    with place.findings.going_on():
        run = _read_run(name, entry, seen, place)
    with place.findings.going_on():
        outputs = _read_outputs(name, entry, seen, place)
    if run is not _NOTHING and outputs is not None:
        check_generator(run, outputs, len(entry["outputs"]), place.at(entry.lines["run"]))
    with place.findings.going_on():
        config_text = _read_config(entry, place)
    return _built(name, run, outputs or {}, config_text, entry, names, place)


def _read_run(name: str, entry: YamlMapping, seen: Seen, place: Place) -> RunCommand:
    if "run" not in entry:
        place.refuse("has no `run`.")
    here = place.at(entry.lines["run"])
    run = read_run(entry["run"], here)
    seen.commands.check(run, name, here)
    return run


def _built(
    name: str,
    run: RunCommand,
    outputs: dict[str, dict[str, str]],
    config_text: str | None,
    entry: YamlMapping,
    names: Mapping[str, object],
    place: Place,
) -> Action:
    return Action(
        name=name,
        image=run.image,
        tag=run.tag,
        args=run.args if config_text is None else (*run.args, "--config", config_text),
        run=run.text if config_text is None else f"{run.text} --config '{config_text}'",
        needs=read_needs(entry, names, place.at(entry.lines.get("needs", place.line))),
        outputs=outputs,
        is_database_action=is_database_command((f"{run.image}:{run.tag}", *run.args)),
        dummy_data_file=_read_dummy_data_file(entry, place),
        config=entry.get("config"),
        line=place.line,
    )


def _read_config(entry: YamlMapping, place: Place) -> str | None:
    """The config as JSON, if there is one."""
    config = entry.get("config")
    if config is None:
        return None
    here = place.at(entry.lines["config"])
    if not isinstance(config, dict):
        here.newer("`config` must be a dictionary.")
    return config_as_json(config, here)


def _read_dummy_data_file(entry: YamlMapping, place: Place) -> str | None:
    path = entry.get("dummy_data_file")
    if path is None:
        return None
    here = place.at(entry.lines["dummy_data_file"])
    if not isinstance(path, str):
        here.newer("`dummy_data_file` must be text; it is ignored.")
        return None
    with place.findings.going_on():
        if UNSAFE_CHARACTERS.search(path):
            here.refuse("`dummy_data_file` contains a control character: remove it.")
    return path


def _read_outputs(name: str, entry: YamlMapping, seen: Seen, place: Place) -> dict[str, dict[str, str]]:
    if "outputs" not in entry:
        place.refuse("has no `outputs`.")
    sections = entry["outputs"]
    here = place.at(entry.lines["outputs"])
    levels = ", ".join(PRIVACY_LEVELS)
    if not isinstance(sections, YamlMapping):
        here.refuse(f"`outputs` must be a dictionary of privacy levels ({levels}).")
    if all(section is None for section in sections.values()):
        here.newer(f"`outputs` must have at least one of {levels}.")
    outputs = {}
    for level, section in sections.items():
        level_place = place.at(sections.lines[level])
        with place.findings.going_on():
            if level not in PRIVACY_LEVELS:
                level_place.refuse(f"{shown(level)} is not a privacy level: it must be one of {levels}.")
            if section is None:
                level_place.older(f"`{level}` is empty: name an output or remove it.")
            else:
                outputs[level] = _read_level(name, level, section, seen, level_place)
    return outputs


def _read_level(name: str, level: str, section: object, seen: Seen, place: Place) -> dict[str, str]:
    if not isinstance(section, YamlMapping):
        place.refuse(f"`{level}` must be a dictionary of names and paths, like 'table: output/table.csv'.")
    if _has_too_many(section, seen, place):
        return {}
    patterns, lines = {}, {}
    for output, pattern in section.items():
        here = place.at(section.lines[output])
        with place.findings.going_on():
            _check_name(str(output), lines, here)
            if not isinstance(pattern, str):
                here.refuse(f"the path of output {shown(output)} must be text, but is {describe(pattern)}.")
            check_pattern(pattern, level, here)
            _check_unique(name, level, pattern, seen, here)
            patterns[str(output)] = pattern
    return patterns


def _has_too_many(section: YamlMapping, seen: Seen, place: Place) -> bool:
    """Each output costs time here, in planning and in storage. Told once; the rest is not looked at."""
    before, seen.outputs = seen.outputs, seen.outputs + len(section)
    if before <= MOST_OUTPUTS < seen.outputs:
        place.refuse(
            f"the study names more than {MOST_OUTPUTS:,} outputs: name many files by one path with *, like out/*.csv."
        )
    return seen.outputs > MOST_OUTPUTS


def _check_name(output: str, lines: dict[str, int], place: Place) -> None:
    """YAML tells 2020 from '2020' and ~ from 'None', but what they name has one name."""
    if output in lines:
        place.refuse(
            f"the output {shown(output)} is there twice, once not as text: it stands at line {lines[output]} too. "
            "Give one of them another name."
        )
    lines[output] = place.line


def _check_unique(name: str, level: str, pattern: str, seen: Seen, place: Place) -> None:
    if pattern not in seen.patterns:
        seen.patterns[pattern] = (name, level)
        return
    first_name, first_level = seen.patterns[pattern]
    if place.findings.is_from(_UNIQUE_PATHS_FROM):
        place.refuse(f"output path {shown(pattern)} is not unique: action {shown(first_name)} has it too.")
    elsewhere = "." if first_level == level else f" as {first_level}: the more sensitive level will be used."
    if first_name != name:
        elsewhere += " Whichever of the two runs last replaces the other's file."
    place.warn(f"output path {shown(pattern)} is promised twice, also by action {shown(first_name)}{elsewhere}")
