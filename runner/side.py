"""One of the two storages while a job's outputs are published: its folder, what is staged beside it, its manifest.

It does what `runner.publishing` says, and decides nothing.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from jobs.models import Job
from runner import manifest
from runner.plan import Entry, make_staging
from runner.stored_folder import StoredFolder
from runner.workspaces.files import opened_folder, write_atomically

_MANIFEST = "metadata/manifest.json"


class Side:
    """`before` and `after` are what the manifest says; `displaced` what it names and what has no place any more."""

    def __init__(self, job: Job, staging_path: Path, path: Path):
        self.job, self.staging_path, self.path = job, staging_path, path
        self.before: dict = {}
        self.after: dict = {}
        self.displaced: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = stack.enter_context(StoredFolder(self.path))
            make_staging(self.staging_path)
            self.staging_fd = stack.enter_context(opened_folder(self.staging_path))
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *exception) -> None:
        self._opened.close()

    def has_staged(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.staging_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def load_manifest(self, live: list[tuple[int, Entry]], *, levels) -> None:
        """Read what the manifest says now, and which of its outputs the live entries leave no place for."""
        self.folder.make_room(_MANIFEST)
        self.before = manifest.load(self.job.workspace, self.path, levels=levels)
        self.displaced = manifest.displaced(self.before, [entry.path for _, entry in live])

    def write_manifest(self, entries: list[Entry], *, dropped, completed_at) -> None:
        """Write the next manifest beside the staged files, where it waits for its name."""
        gone = [*dropped, *self.displaced]
        self.after = manifest.updated(self.before, self.job, entries, dropped=gone, completed_at=completed_at)
        write_atomically(self.staging_path / "manifest.json", manifest.as_json(self.after))

    def make_room(self, entries: list[Entry]) -> None:
        """Make the folders that the entries go to."""
        for path in {entry.path.rpartition("/")[0]: entry.path for entry in entries}.values():
            self.folder.make_room(path)

    def take(self, name: str, path: str) -> None:
        """Give a staged file its final name, unless an earlier try has done it already."""
        try:
            self.folder.take(self.staging_fd, name, path)
        except FileNotFoundError:
            if self.has_staged(name):
                raise

    def finish(self) -> None:
        """The manifest gets its name last; then everything is made durable."""
        self.take("manifest.json", _MANIFEST)
        self.folder.sync()
