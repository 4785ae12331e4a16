"""The run text of an action: image, tag, arguments, config; which commands read the database; duplicates."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.study.errors import shown
from jobs.study.findings import NEWER_ALONE_FROM, Place

# One argument of a program may have 128 KiB on Linux.
MOST_RUN_CHARACTERS = 100_000
# Ordinary blanks and line ends separate arguments; other control characters cannot be seen and are never meant.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NEEDS_A_SHELL = re.compile(r"['\"\\]")
_BLANKS = re.compile(r"[ \t\r\n]+")
_TAG_OF_NEWER = re.compile(r"v[0-9][0-9.]*(-[A-Za-z0-9_.-]+)?|dev|latest")
_NO_LATEST_FROM = 5
# Image -> commands that get the database; None stands for all of them, even none.
_DATABASE_COMMANDS: dict[str, frozenset[str] | None] = {
    "ehrql": frozenset(("generate-dataset", "generate-measures")),
    "sqlrunner": None,
    "cohortextractor": frozenset(("generate_cohort", "generate_codelist_report")),
    "databuilder": frozenset(("generate-dataset",)),
}


@dataclass(frozen=True)
class RunCommand:
    """`text` as it was written; `image` and `tag` of its first word, the other words in `args`."""

    text: str
    image: str
    tag: str
    args: tuple[str, ...]


def split_command(text: str) -> list[str]:
    """Split as a shell would, without running anything. Raises ValueError on an unbalanced quote."""
    if _NEEDS_A_SHELL.search(text):
        return shlex.split(text)
    # What shlex does for a text without quotes, thirty times faster.
    return [word for word in _BLANKS.split(text) if word]


def read_run(value: object, place: Place) -> RunCommand:
    """The run entry of an action, or a refusal."""
    words = _words(value, place)
    image, _, tag = words[0].partition(":")
    if not tag:
        place.refuse(f"{shown(words[0])} in `run` must have a version, like '{image or 'python'}:v2'.")
    if not _TAG_OF_NEWER.fullmatch(tag):
        place.newer(f"the version of {shown(words[0])} in `run` must be of the form :vN, like '{image}:v2'.")
    if tag == "latest" and place.findings.is_from(_NO_LATEST_FROM):
        place.newer(f"`run` uses {shown(words[0])}, which is not supported: give a version, like '{image}:v2'.")
    if place.findings.is_from(NEWER_ALONE_FROM) and words[0].startswith("cohortextractor"):
        place.newer("`run` uses cohortextractor, which is not supported from version 4 on: use ehrql.")
    return RunCommand(value, image, tag, tuple(words[1:]))


def _words(value: object, place: Place) -> list[str]:
    if not isinstance(value, str):
        place.refuse("`run` must be text, like 'python:v2 python analysis/report.py'.")
    if len(value) > MOST_RUN_CHARACTERS:
        place.refuse(f"`run` is too long: at most {MOST_RUN_CHARACTERS:,} characters.")
    if found := _UNSEEN.search(value):
        place.refuse(f"`run` contains the control character U+{ord(found[0]):04X}: remove it.")
    try:
        words = split_command(value)
    except ValueError as error:
        place.refuse(f"`run` cannot be split into words: {str(error).lower()}. Check its quotes and back slashes.")
    if not words:
        place.refuse("`run` must have a value, but it is empty.")
    return words


def config_as_json(config: object, place: Place) -> str:
    """The config as the program gets it: JSON free of single quotes, so that it can stand between them."""
    try:
        text = json.dumps(config).replace("'", r"\u0027")
    except TypeError:
        place.refuse("`config` holds a value that JSON does not have (a date, perhaps): put it in quotes.")
    if len(text) > MOST_RUN_CHARACTERS:
        place.refuse(f"`config` is too long: at most {MOST_RUN_CHARACTERS:,} characters of JSON.")
    return text


def is_database_command(words: Sequence[str]) -> bool:
    """Whether this command, image first, may read the database. Few trusted ones may."""
    image = words[0].partition(":")[0]
    commands = _DATABASE_COMMANDS.get(image, frozenset())
    return commands is None or (len(words) > 1 and words[1] in commands)


@dataclass
class SeenCommands:
    """Two actions must not run the same: the older validator compares image and arguments, the newer one the text."""

    _by_words: dict[tuple[str, ...], str] = field(default_factory=dict)
    _by_text: dict[str, str] = field(default_factory=dict)

    def check(self, run: RunCommand, name: str, place: Place) -> None:
        other = self._by_words.setdefault((run.image, *run.args), name)
        if other != name:
            place.older(f"`run` has the same image and arguments as action {shown(other)}: remove one of the two.")
        other = self._by_text.setdefault(run.text, name)
        if other != name:
            place.newer(f"`run` is the same as that of action {shown(other)}: remove one of the two.")
