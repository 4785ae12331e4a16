"""What lies in a local repository's folder but not in its commit: only commits are run, and newcomers forget that.

A look as a favour: it never fails and never takes long. git runs here *in* somebody's repository, whose own
configuration may name programs, so it is left to git's rule to refuse the repositories of other users of the machine.
"""

import logging

from jobs.git.deadline import Deadline
from jobs.git.errors import GitError, GitFailed, GitUnavailable
from jobs.git.names import check_repo
from jobs.git.process import run

log = logging.getLogger(__name__)

_LONGEST_SECONDS = 5
_MOST_BYTES = 1024 * 1024
_HEAD = "# branch.head "
_STATUS = ("status", "--porcelain=v2", "--branch", "-z", "--no-renames", "--ignore-submodules=all")
_SETTINGS = ("config", "--list", "--name-only", "-z")
# How many words stand before the path, by the kind of entry.
_WORDS_BEFORE_PATH = {"1": 8, "u": 10, "?": 1}


def uncommitted(repo: str, revision: str) -> list[str]:
    """Paths of changed files, then of new ones, if `revision` ("HEAD" or a branch) is what is checked out in `repo`.

    Empty where there is nothing to tell: a URL, a bare repository, another revision, a git that cannot say.
    """
    try:
        remote = check_repo(repo)
        if not remote.is_local:
            return []
        if _has_filters(remote.name):
            return []
        entries = _entries(remote.name)
    except (GitError, GitUnavailable, GitFailed) as error:
        log.debug("%s: not looked at for uncommitted changes: %s", repo, error)
        return []
    checked_out = [entry.removeprefix(_HEAD) for entry in entries if entry.startswith(_HEAD)]
    if revision.removeprefix("refs/heads/") not in ("HEAD", *checked_out):
        return []
    kinds = {kind: [path for entry in entries if (path := _path(entry, kind))] for kind in _WORDS_BEFORE_PATH}
    return kinds["1"] + kinds["u"] + kinds["?"]


def _has_filters(folder: str) -> bool:
    """Whether the repository's own configuration names programs that `git status` would pass changed files through."""
    names = run(["-C", folder, *_SETTINGS], Deadline(_LONGEST_SECONDS), most_bytes=_MOST_BYTES).split(b"\0")
    return any(name.startswith(b"filter.") for name in names)


def _entries(folder: str) -> list[str]:
    answer = run(["-C", folder, *_STATUS], Deadline(_LONGEST_SECONDS), most_bytes=_MOST_BYTES)
    return answer.decode("utf-8", "backslashreplace").split("\0")


def _path(entry: str, kind: str) -> str:
    if not entry.startswith(f"{kind} "):
        return ""
    return entry.split(" ", _WORDS_BEFORE_PATH[kind])[-1]
