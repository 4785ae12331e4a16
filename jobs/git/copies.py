"""The runner's own copy of each repository: single commits, fetched once, shared by all processes.

A commit counts as present only if its mark stands: a ref of our own, written after git has received all of it. A fetch
that was killed at any point leaves no mark and is done again. A copy that turns out to be damaged is thrown away. What
is read from a copy, and why, is not known here.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from django.conf import settings

from jobs.git.asking import contact
from jobs.git.deadline import Deadline
from jobs.git.errors import (
    CommitNotOffered,
    GitFailed,
    GitUnavailable,
    UnexplainedFailure,
    UnknownRevision,
    explain,
)
from jobs.git.names import Remote
from jobs.git.process import own_files, own_folder, run

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_MOST_PACKS = 20
_LEFT_SECONDS = 3600
_MOST_CHATTER_BYTES = 1024 * 1024
COMMITS = "commits"
HISTORY = "history"
_MARKS = "refs/jobrunner/commits"
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
# Highest in git's order, so that a study's own .gitattributes can neither hide a file from an export nor change one:
# what runs is what was committed, byte by byte.
_ATTRIBUTES = "* -export-ignore -export-subst -text !eol -ident !filter !working-tree-encoding\n"


class Copy:
    """The shared bare repository of one remote: of single COMMITS with their files, or of its HISTORY without files."""

    def __init__(self, remote: Remote, kind: str = COMMITS):
        self.remote = remote
        self.kind = kind
        self.path = settings.GIT_REPO_DIR / f"{remote.folder_name}.{kind}"

    def git(self, *arguments: str) -> list[str]:
        """The arguments for git to work in this copy."""
        return [f"--git-dir={self.path}", *arguments]

    def fetch_of(self, *wanted_and_options: str) -> list[str]:
        """The arguments for a fetch into this copy: what is wanted, and options that begin with `--`."""
        options = [word for word in wanted_and_options if word.startswith("--")]
        wanted = [word for word in wanted_and_options if not word.startswith("--")]
        return self.git(*_FETCH, *options, "--end-of-options", self.remote.address, *wanted)

    def has(self, commit: str) -> bool:
        """Whether all of this commit is here. Raises GitUnavailable if the disk cannot say."""
        with own_files():
            try:
                return (self.path / _MARKS / commit).read_text(errors="replace").strip() == commit
            except (FileNotFoundError, NotADirectoryError):
                return False

    def ensure(self, commit: str, deadline: Deadline) -> None:
        """Fetch the commit unless it is here. Raises UnknownRevision, GitError and GitUnavailable."""
        if not self.has(commit):
            self.update(lambda lock: self._fetch_commit(commit, lock, deadline), deadline)

    def update(self, work: Callable[[int], Result], deadline: Deadline) -> Result:
        """The result of `work`, called with the descriptor of this copy's lock, which is held meanwhile.

        If the copy proves damaged, `work` is done once more with a new one. Raises what `work` raises.
        """
        with own_files(), self._locked(deadline) as lock:
            self._make_ready(deadline)
            try:
                result = work(lock)
            except (UnexplainedFailure, GitUnavailable) as error:
                if not self._is_damaged(deadline):
                    raise
                self._throw_away(str(error))
                self._make_ready(deadline)
                result = work(lock)
            self._tidy(deadline)
        return result

    def read(self, commit: str, reading: Callable[[], Result], deadline: Deadline) -> Result:
        """The result of `reading`, which uses the commit; if the copy proves damaged, from a new one."""
        for last_try in (False, True):
            self.ensure(commit, deadline)
            generation = self.generation()
            try:
                return reading()
            except GitFailed as failed:
                if last_try or failed.is_passing or failed.too_long:
                    raise explain(failed, self.remote.name) from None
                self.throw_away(generation, failed.stderr, deadline)
        raise AssertionError("the second try returns or raises")

    def generation(self) -> tuple[int, int] | None:
        """Differs between a copy and the one that was fetched in its place."""
        with own_files():
            try:
                found = (self.path / "info" / "attributes").stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return found.st_ino, found.st_mtime_ns

    def throw_away(self, generation: tuple[int, int] | None, why: str, deadline: Deadline) -> None:
        """Forget the copy of that generation, since reading what is marked as complete failed in it.

        The next use fetches anew. If somebody else has already done so, theirs is kept.
        """
        with own_files(), self._locked(deadline):
            if self.generation() == generation:
                self._throw_away(why)

    def _throw_away(self, why: str) -> None:
        log.warning("The copy of %s is damaged and is fetched anew: %s", self.remote.name, why)
        doomed = self.path.with_name(f"{self.path.name}.damaged-{time.monotonic_ns()}")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _fetch_commit(self, commit: str, lock: int, deadline: Deadline) -> None:
        if self.has(commit):  # another process has fetched it while this one waited for the lock
            return
        started = time.monotonic()
        try:
            contact(self.remote, self.fetch_of(commit, "--depth=1"), deadline, lock)
        except CommitNotOffered:
            self._fetch_all(lock, deadline)
        except UnknownRevision:
            raise self._has_no(commit) from None
        self._mark(commit, deadline)
        log.info("Fetched %s of %s in %.1f s.", commit, self.remote.name, time.monotonic() - started)

    def _fetch_all(self, lock: int, deadline: Deadline) -> None:
        """For servers that give no single commit: everything that its branches and tags reach."""
        everything = ("+refs/heads/*:refs/jobrunner/heads/*", "+refs/tags/*:refs/jobrunner/tags/*", "--prune")
        whole = ["--depth=2147483647"] if (self.path / "shallow").exists() else []
        contact(self.remote, self.fetch_of(*everything, *whole), deadline, lock)

    def _mark(self, commit: str, deadline: Deadline) -> None:
        try:
            kind = run(self.git("cat-file", "-t", commit), deadline, most_bytes=100).strip()
        except GitFailed as failed:
            if failed.is_passing:
                raise explain(failed, self.remote.name) from None
            raise self._has_no(commit) from None
        if kind != b"commit":
            raise UnknownRevision(f"{commit} in {self.remote.name} is a {kind.decode()}, not a commit.")
        try:
            run(self.git("update-ref", f"{_MARKS}/{commit}", commit), deadline, most_bytes=100)
        except GitFailed as failed:
            raise explain(failed, self.remote.name) from None

    def _has_no(self, commit: str) -> UnknownRevision:
        return UnknownRevision(
            f"{self.remote.name} has no commit {commit}: it was never pushed there, or a force-push has removed it."
        )

    @contextlib.contextmanager
    def _locked(self, deadline: Deadline) -> Iterator[int]:
        """Hold this copy against all other threads and processes; yields the lock's file descriptor.

        The kernel lets go of the lock when the last holder of the descriptor ends, and each git that writes is one.
        """
        with (own_folder() / f"{self.path.name}.lock").open("a") as file:
            while not _try_lock(file.fileno()):
                if not deadline.seconds_left():
                    raise GitUnavailable(
                        f"Another process has been busy with the copy of {self.remote.name} for longer than "
                        f"{settings.GIT_TIMEOUT_SECONDS} seconds."
                    )
                time.sleep(0.02)
            yield file.fileno()

    def _make_ready(self, deadline: Deadline) -> None:
        """The copy exists and nothing of a killed git stands in the way. Only with the lock held."""
        _sweep()
        if self._is_repository():
            self._remove_leftovers()
            return
        new = self.path.with_name(f"{self.path.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)
        try:
            run(
                ["init", "--quiet", "--bare", "--template=", "--object-format=sha1", str(new)],
                deadline,
                most_bytes=1000,
            )
        except GitFailed as failed:
            raise explain(failed, self.remote.name) from None
        (new / "info").mkdir(exist_ok=True)
        (new / "info" / "attributes").write_text(_ATTRIBUTES)
        new.rename(self.path)

    def _is_repository(self) -> bool:
        """Whether git will take the folder for a repository at all; whole it may still not be."""
        head = self.path / "HEAD"
        return (self.path / "objects").is_dir() and head.is_file() and head.read_text().startswith("ref: ")

    def _remove_leftovers(self) -> None:
        """The locks, half packs and keep marks of a killed git: nobody else writes here while we hold the lock."""
        for folder, _, names in os.walk(self.path):
            for name in names:
                if name.endswith((".lock", ".keep")) or name.startswith(("tmp_", "shallow_")):
                    Path(folder, name).unlink(missing_ok=True)

    def _is_damaged(self, deadline: Deadline) -> bool:
        """Whether what is marked as complete is not. Slow, and only asked after a failure."""
        # A history has no files: looking for them would find all missing.
        depth = ["--objects"] if self.kind == COMMITS else []
        try:
            run(self.git("rev-list", *depth, "--quiet", "--all"), deadline, most_bytes=_MOST_CHATTER_BYTES)
        except GitFailed as failed:
            return not failed.is_passing
        return False

    def _tidy(self, deadline: Deadline) -> None:
        """Join the packs once there are many; geometrically, so that it costs little however large the copy is."""
        packs = list((self.path / "objects" / "pack").glob("*.pack"))
        if len(packs) <= _MOST_PACKS:
            return
        try:
            run(self.git("repack", "--geometric=2", "-d", "--quiet"), deadline, most_bytes=_MOST_CHATTER_BYTES)
        except GitFailed as failed:
            log.warning("The copy of %s could not be repacked: %s", self.remote.name, failed.stderr)


def _sweep() -> None:
    """What killed processes left beside the copies: those that were being thrown away, and configurations half written.

    A configuration is written in a moment; one that is young may be just being written.
    """
    for doomed in settings.GIT_REPO_DIR.glob("*.damaged-*"):
        shutil.rmtree(doomed, ignore_errors=True)
    for half in settings.GIT_REPO_DIR.glob(".local-gitconfig.*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - half.stat().st_mtime > _LEFT_SECONDS:
                half.unlink()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
