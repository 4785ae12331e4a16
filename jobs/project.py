"""project.yaml -> Project: what a study's actions run, need and promise. Pure: text in, frozen objects out.

Versions 1 to 5 of the format. A file is accepted if either of the two older validators accepts it (below version 4;
from there on the newer one alone), but never if paths leave the workspace or actions need themselves or each other in a
circle. The parts are in `jobs.study`; what a rule is, and whose, stands there. Knows nothing of Django, git, Docker or
files.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.levels import PRIVACY_LEVELS
from jobs.names import PROJECT_FILE
from jobs.study.actions import RUN_ALL, Action, Seen, name_from_yaml, read_action
from jobs.study.errors import MOST_SHOWN, ProjectError, UnknownAction, describe, shown
from jobs.study.findings import NEWER_ALONE_FROM, Findings, Place, unknown_entries
from jobs.study.generators import generator_command
from jobs.study.needs import check_no_cycle
from jobs.study.run_command import RunCommand
from jobs.study.yaml_text import Mapping, read_yaml

__all__ = ["PRIVACY_LEVELS", "RUN_ALL", "Action", "Project", "ProjectError", "UnknownAction", "load_project"]

LATEST_VERSION = 5
_EXPECTATIONS_FROM = 3
_POPULATION_SIZE = 1000
_KEYS = ("version", "actions", "expectations")


@dataclass(frozen=True)
class Project:
    """A study's actions by name, in the order of the file, and what its author should know about the file.

    `population_size` is that of the dummy data of old versions; None from version 4 on.
    """

    version: float
    actions: dict[str, Action]
    population_size: int | None
    warnings: tuple[str, ...]
    filename: str = PROJECT_FILE

    def action(self, name: str) -> Action:
        """The action of that name. Raises UnknownAction."""
        try:
            return self.actions[name]
        except (KeyError, TypeError):
            raise UnknownAction([name], self.all_actions(), self.filename) from None

    def check_names(self, names: Sequence[str]) -> None:
        """Raises UnknownAction, with all of the names that no action has."""
        if unknown := [name for name in names if name not in self.actions]:
            raise UnknownAction(unknown, self.all_actions(), self.filename)

    def all_actions(self) -> list[str]:
        """What run_all stands for: every action, but for one of that very name, which old versions may have."""
        return [name for name in self.actions if name != RUN_ALL]

    def run_command(self, name: str, *, using_dummy_data_backend: bool = False) -> str:
        """What is to be run for the action, its config added; for cohortextractor completed as job-runner did in 2021.

        Raises UnknownAction, and ProjectError where such a command cannot be completed.
        """
        action = self.action(name)
        if self.version >= NEWER_ALONE_FROM:
            return action.run
        try:
            return generator_command(
                RunCommand(action.run, action.image, action.tag, action.args),
                action.outputs,
                dummy_data_file=action.dummy_data_file,
                population_size=self.population_size or 0,
                is_dummy=using_dummy_data_backend,
            )
        except ValueError as error:
            raise ProjectError(f"{self.filename} line {action.line}, action '{name}': {error}") from None


def load_project(text: str | bytes, *, filename: str = PROJECT_FILE) -> Project:
    """The project that the text describes.

    Raises ProjectError, and nothing else, whatever the text is: its message names file, line and action.
    """
    document = read_yaml(text, filename=filename)
    if not isinstance(document, Mapping):
        raise ProjectError(
            f"{filename}: must be a dictionary with `version` and `actions`, but is {describe(document)}."
        )
    findings = Findings(filename)
    place = findings.place(document.line)
    population_size, actions = None, {}
    with findings.going_on():
        findings.version = _read_version(document, place)
    for key in unknown_entries(document, _KEYS):
        place.at(document.lines[key]).newer(f"unknown entry {shown(key)}: only {', '.join(_KEYS)} are known.")
    with findings.going_on():
        population_size = _read_population_size(document, place)
    with findings.going_on():
        actions = _read_actions(document, findings)
    findings.check()
    return Project(findings.version, actions, population_size, findings.warnings(), filename)


def _read_version(document: Mapping, place: Place) -> float:
    value = document.get("version")
    if value is None:
        place.refuse(f"`version` is missing: add \"version: '{LATEST_VERSION}.0'\" as the first line.")
    here = place.at(document.lines["version"])
    try:
        version = float(value)
    except (TypeError, ValueError, OverflowError):
        version = math.nan
    if math.isnan(version):
        here.refuse(f"`version` must be a number between 1 and {LATEST_VERSION}, but is {describe(value)}.")
    if version > LATEST_VERSION:
        here.refuse(f"`version` is {version:g}, but the newest is {LATEST_VERSION}.")
    if version < LATEST_VERSION:
        here.warn(f"version {version:g} of the format is an old one: consider updating to version {LATEST_VERSION}.")
    return version


def _read_population_size(document: Mapping, place: Place) -> int | None:
    findings = place.findings
    section = document.get("expectations")
    here = place.at(document.lines.get("expectations", place.line))
    if findings.is_from(NEWER_ALONE_FROM):
        if section is not None:
            here.newer("the `expectations` section is not supported from version 4 on: remove it.")
        return None
    if not findings.is_from(_EXPECTATIONS_FROM):
        return _POPULATION_SIZE
    size, problem = _population_size(section)
    if problem and findings.version == _EXPECTATIONS_FROM:
        here.refuse(problem)
    if problem:
        here.older(problem)
        return _POPULATION_SIZE
    for key in unknown_entries(section, ("population_size",)):
        here.at(section.lines[key]).newer(f"unknown entry {shown(key)} in the `expectations` section.")
    return size


def _population_size(section: object) -> tuple[int, str]:
    """The size, or what is wrong with the section."""
    if section is None:
        return 0, "an `expectations` section is missing: add one with `population_size: 1000`."
    if not isinstance(section, Mapping):
        return 0, "the `expectations` section must be a dictionary with `population_size`."
    if "population_size" not in section:
        return 0, "the `expectations` section has no `population_size`."
    try:
        return int(section["population_size"]), ""
    except (TypeError, ValueError, OverflowError):
        return 0, f"`population_size` must be a number, but is {describe(section['population_size'])}."


def _read_actions(document: Mapping, findings: Findings) -> dict[str, Action]:
    entries = document.get("actions")
    if not isinstance(entries, Mapping):
        line = document.lines.get("actions", document.line)
        findings.place(line).refuse("`actions` must be a dictionary with the study's actions.")
    by_name, places = _named(entries, findings)
    seen, actions = Seen(), {}
    for name, entry in by_name.items():
        with findings.going_on():
            actions[name] = read_action(name, entry, by_name, seen, places[name])
    check_no_cycle({name: actions[name].needs if name in actions else () for name in by_name}, places)
    return actions


def _named(entries: Mapping, findings: Findings) -> tuple[dict[str, object], dict[str, Place]]:
    """The entries by the names of their actions, and where each stands; a name that is refused is kept if it can be.

    Else those who need the action would be told that there is none.
    """
    by_name: dict[str, object] = {}
    places: dict[str, Place] = {}
    for key, entry in entries.items():
        line, name = entries.lines[key], str(key)
        with findings.going_on():
            name = name_from_yaml(key, findings.place(line))
            if name in by_name:
                findings.place(line, name).refuse("the name is there twice, once as a number.")
        if name not in by_name:
            by_name[name], places[name] = entry, findings.place(line, name[:MOST_SHOWN])
    return by_name, places
