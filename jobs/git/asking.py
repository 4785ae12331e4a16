"""Talks to a remote repository: trouble on the way is tried again, a plain answer never.

A local folder is a remote like any other, but for being looked at first: git would take a parent folder's repository,
or say in ten words what can be said in one. Where fetched commits are kept is not known here.
"""

import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jobs.git.deadline import Deadline
from jobs.git.errors import GitError, GitFailed, GitUnavailable, explain, shown
from jobs.git.names import Remote, is_full_id
from jobs.git.process import run

log = logging.getLogger(__name__)

_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.5
_MOST_CHATTER_BYTES = 1024 * 1024
_MOST_REFS_BYTES = 64 * 1024 * 1024
_SHA_256_CHARACTERS = 64


class Refs(NamedTuple):
    """`commits`: full name of each branch and tag, and HEAD -> commit id; a tag that has an object of its own gives its
    commit. `default_branch`: the short name of the branch that HEAD stands for, "" if it stands for none.
    """

    commits: dict[str, str]
    default_branch: str


def contact(
    remote: Remote,
    arguments: Sequence[str],
    deadline: Deadline,
    lock: int | None = None,
    most_bytes: int = _MOST_CHATTER_BYTES,
) -> bytes:
    """What git writes when it is run with these arguments about this remote.

    `lock` is the descriptor of a lock that must be held as long as this git lives. Raises GitError and its kinds,
    GitUnavailable after several tries, and Stopped.
    """
    if remote.is_local:
        git_folder(remote.name)
    keep_open = () if lock is None else (lock,)
    for attempt in range(1, _TRIES + 1):
        try:
            return run(arguments, deadline, most_bytes=most_bytes, remote=remote, keep_open=keep_open)
        except GitFailed as failed:
            error = explain(failed, remote.name)
            pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            is_last = failed.is_passing or attempt == _TRIES or pause >= deadline.seconds_left()
            if is_last or not isinstance(error, GitUnavailable):
                raise error from None
        log.debug("Attempt %d of %d: %s", attempt, _TRIES, error)
        deadline.pause(pause)
    raise AssertionError("the last try returns or raises")


def list_refs(remote: Remote, deadline: Deadline) -> Refs:
    """What the repository has now. Raises GitError, GitUnavailable and Stopped."""
    answer = contact(
        remote,
        ["ls-remote", "--quiet", "--symref", "--end-of-options", remote.address, "HEAD", "refs/heads/*", "refs/tags/*"],
        deadline,
        most_bytes=_MOST_REFS_BYTES,
    )
    commits, default_branch = {}, ""
    for line in answer.decode("utf-8", "replace").splitlines():
        commit, _, name = line.partition("\t")
        if len(commit) == _SHA_256_CHARACTERS:
            raise GitError(f"{remote.name} is a repository with SHA-256 ids, which are not supported: use SHA-1.")
        if is_full_id(commit) and (name == "HEAD" or name.startswith(("refs/heads/", "refs/tags/"))):
            # "refs/tags/v1^{}", the commit of an annotated tag, comes after the tag itself and replaces it.
            commits[name.removesuffix("^{}")] = commit
        elif name == "HEAD" and commit.startswith("ref: refs/heads/"):
            default_branch = commit.removeprefix("ref: refs/heads/")
    return Refs(commits, default_branch)


def complete_id(remote: Remote, start: str, deadline: Deadline) -> str | None:
    """The full id of the one commit of a local repository that begins so; None if there is none, or not only one."""
    try:
        answer = run(
            [
                f"--git-dir={git_folder(remote.name)}",
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                start + "^{commit}",
            ],
            deadline,
            most_bytes=_MOST_CHATTER_BYTES,
        )
    except GitFailed as failed:
        if failed.is_passing:
            raise explain(failed, remote.name) from None
        return None
    commit = answer.decode("ascii", "replace").strip()
    return commit if is_full_id(commit) and commit.startswith(start) else None


def git_folder(path: str) -> Path:
    """Where the local repository at `path` keeps git's own files. Raises GitError if `path` itself is none."""
    folder = Path(path)
    try:
        return _git_folder(folder)
    except OSError as error:
        raise GitError(f"The folder {shown(path)} cannot be read: {error.strerror}.") from error


def _git_folder(folder: Path) -> Path:
    if folder.is_file():
        raise GitError(f"{shown(str(folder))} is a file: give the folder of the repository.")
    if not folder.is_dir():
        raise GitError(f"There is no folder {shown(str(folder))}: check the path of the repository.")
    inner = folder / ".git"
    if inner.is_file():  # a further work tree, or a submodule: the file says where the rest is
        return inner
    for candidate in (inner, folder):
        if (candidate / "HEAD").exists() and (candidate / "objects").is_dir():
            return candidate
    for parent in folder.parents:
        if (parent / ".git").exists():
            raise GitError(
                f"The folder {shown(str(folder))} is not a git repository of its own: it lies inside the repository "
                f"{shown(str(parent))}. Give that path, or make this folder a repository with `git init` and commit."
            )
    raise GitError(
        f"The folder {shown(str(folder))} is not a git repository. Make it one: git init, git add, git commit."
    )
