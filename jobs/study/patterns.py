"""Output paths: what may be promised, as text. What is found on disk is looked at again by the runner.

A path is relative to the workspace, in standard form, with `*` as its only wildcard, which stands for any characters
within one part of the path. Folders of ours and of git can be named neither outright nor by a wildcard.
"""

import posixpath
import re

from jobs.levels import MODERATELY_SENSITIVE
from jobs.study.errors import shown
from jobs.study.findings import Place
from jobs.text import UNSAFE_CHARACTERS

RESERVED_FOLDERS = ("metadata", ".git", ".publishing")
MOST_PATTERN_CHARACTERS = 300
# What people may look at; other types cannot be checked for disclosure.
MODERATELY_SENSITIVE_TYPES = frozenset(
    (".csv", ".jpg", ".jpeg", ".png", ".svg", ".svgz", ".html", ".txt", ".log", ".json", ".md")
)
# On this system or, since studies are written there too, on Windows.
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


def check_pattern(pattern: str, level: str, place: Place) -> None:
    """Refuse what no validator and no storage may accept; find what only one of the validators refuses."""
    if problem := _always_wrong(pattern) or _leaves_its_place(pattern):
        place.refuse(f"output path {shown(pattern)} {problem}.")
    if problem := _wrong_for_newer(pattern, level):
        place.newer(f"output path {shown(pattern)} {problem}.")


def _always_wrong(pattern: str) -> str:
    """Refused by both validators (or, at the first two, by us)."""
    if len(pattern) > MOST_PATTERN_CHARACTERS:
        return f"is too long: at most {MOST_PATTERN_CHARACTERS} characters"
    if UNSAFE_CHARACTERS.search(pattern):
        return "contains a control character or a mark that reverses the direction of text: remove it"
    if "\\" in pattern:
        return "contains back slashes: use forward slashes only"
    for wildcard in ("**", "?", "["):
        if wildcard in pattern:
            return f"contains '{wildcard}': only the * wildcard is supported"
    if _ABSOLUTE.match(pattern):
        return "is an absolute path: write it relative to the study's folder"
    if pattern.endswith("/"):
        return "looks like a directory: name the files in it, for example with *.csv"
    if posixpath.normpath(pattern) != pattern or pattern == ".":
        return "is not in standard form: remove double slashes, './' and '..'"
    return ""


def _leaves_its_place(pattern: str) -> str:
    """Our own rules: nothing outside the workspace, nothing in the folders that storage and git need."""
    first, slash, _ = pattern.partition("/")
    if first == "..":
        return "leaves the workspace: write it relative to the study's folder"
    for folder in RESERVED_FOLDERS:
        if first == folder:
            return f"should not include the {folder} directory: it is reserved"
        if slash and _matches(first, folder):
            return f"could match the reserved directory {folder}: begin with the name of a directory"
    return ""


def _matches(pattern: str, name: str) -> bool:
    """Whether a pattern with `*` alone matches the name. No regular expression, which each pattern would need anew."""
    if "*" not in pattern:
        return pattern == name
    begin, *middle, end = pattern.split("*")
    if len(begin) + len(end) > len(name) or not (name.startswith(begin) and name.endswith(end)):
        return False
    at, last = len(begin), len(name) - len(end)
    for piece in middle:
        found = name.find(piece, at, last)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _wrong_for_newer(pattern: str, level: str) -> str:
    suffix = _suffix(pattern)
    if not suffix or suffix.endswith("*"):
        return "must end with a file type extension, like .csv"
    if level == MODERATELY_SENSITIVE and suffix not in MODERATELY_SENSITIVE_TYPES:
        types = " ".join(sorted(MODERATELY_SENSITIVE_TYPES))
        return f"is not of a file type that is allowed for moderately_sensitive outputs ({types})"
    return ""


def _suffix(pattern: str) -> str:
    """The file type with its dot, or an empty string; as pathlib has it, but without its cost for each of thousands."""
    name = pattern.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""
