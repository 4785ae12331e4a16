""" "Did you mean …?": files that a job made and whose paths resemble a pattern that matched nothing.

A hint for the study's author, so everything about it is bounded: folders, depth, candidates, patterns.
"""

import difflib
import itertools
import os
from collections.abc import Container, Iterator
from pathlib import Path

from runner.matching import RESERVED, shown
from runner.workspaces.files import open_beneath, opened_folder

_MOST_ENTRIES = 10_000
_MOST_CANDIDATES = 2_000
_MOST_PATTERNS = 20
_DEEPEST = 12
_MOST_HINTS = 5
_LEAST_LIKENESS = 0.5


def near_files(
    workspace_folder: Path, patterns: list[str], made_after_ns: int, refused: Container[str] = ()
) -> dict[str, list[str]]:
    """Pattern -> up to five paths, the likeliest first, of files that changed after a time (nanoseconds since 1970).

    The time is that of the folder's preparation: code and inputs are no candidates. Neither are those that a pattern
    did match and that are `refused` for another reason. Patterns without a candidate are left out.
    """
    if not patterns:
        return {}
    with opened_folder(workspace_folder) as root_fd:
        candidates = [path for path in _candidates(root_fd, made_after_ns) if path not in refused]
    return hints(patterns, candidates)


def hints(patterns: list[str], candidates: list[str]) -> dict[str, list[str]]:
    """Pattern -> up to five of the candidates that resemble it, the likeliest first; none, and it is left out."""
    found = {}
    for pattern in patterns[:_MOST_PATTERNS]:
        alike = difflib.get_close_matches(pattern, candidates[:_MOST_CANDIDATES], n=_MOST_HINTS, cutoff=_LEAST_LIKENESS)
        if alike:
            found[pattern] = alike
    return found


def _candidates(root_fd: int, made_after_ns: int) -> list[str]:
    candidates: list[str] = []
    seen = 0
    waiting = [(b"", 0)]
    while waiting and seen < _MOST_ENTRIES and len(candidates) < _MOST_CANDIDATES:
        folder, depth = waiting.pop()
        for entry in _entries(root_fd, folder, _MOST_ENTRIES - seen):
            seen += 1
            path = folder + b"/" + os.fsencode(entry.name) if folder else os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEEPEST and path not in RESERVED:
                    waiting.append((path, depth + 1))
            elif _was_made_by_job(entry, made_after_ns):
                candidates.append(shown(path))
    return sorted(candidates)


def _entries(root_fd: int, folder: bytes, most: int) -> Iterator[os.DirEntry]:
    try:
        folder_fd = open_beneath(root_fd, folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        with os.scandir(folder_fd) as entries:
            yield from itertools.islice(entries, most)
    finally:
        os.close(folder_fd)


def _was_made_by_job(entry: os.DirEntry, made_after_ns: int) -> bool:
    """By the time of the inode's last change: unlike the time of modification no job can set it."""
    return entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_ctime_ns > made_after_ns
