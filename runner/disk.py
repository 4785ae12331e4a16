"""Is there room for another job? New jobs wait while a disk is nearly full; those that run can still be finished.

Why it exists: a full disk is cheapest before a job begins. What is asked is the free space of the disks of the job's
folders and of both storages, by a thread of its own, because a storage that has gone away (a dead network mount)
answers no question and would hold up the loop. Requirement 20. It knows nothing of jobs.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from jobs.text import listed, size_in_words
from jobs.wire import moment
from runner.disk_history import EVERY, DiskHistory, size_of_copies

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 5.0
# A disk under heavy load may take seconds to answer; after this it is called silent.
LONGEST_LOOK_SECONDS = 30.0
# Of a small disk the setting's default may be all there is: then a twentieth of it is kept free.
_PART_OF_A_SMALL_DISK = 20


class DiskWatch:
    """Looks now and then until it is closed. `folders`: what people call it -> a folder on that disk."""

    def __init__(self, folders: Mapping[str, Path], least_free_bytes: int, git_folder: Path | None = None):
        self._folders, self._least_free_bytes, self._git_folder = folders, least_free_bytes, git_folder
        self._history = DiskHistory()
        self._copies: dict | None = None
        self._copies_at = 0.0
        self._measuring: threading.Thread | None = None
        self._why = ""
        self._found: dict[str, dict] = {}
        self._unknown: dict[str, str] = {}  # disk -> why its free space is not known
        self._look_began: float | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk-watch", daemon=True)
        self._thread.start()

    def why_no_job_may_start(self) -> str:
        """Empty, or a sentence for operators and authors; it holds no figure that changes from look to look."""
        began = self._look_began
        if began is not None and time.monotonic() - began > LONGEST_LOOK_SECONDS:
            return (
                f"Waiting for storage: one of {listed(list(self._folders))} does not answer. "
                "An operator needs to check the mounts; the job then starts by itself."
            )
        return self._why

    def report(self) -> list[dict]:
        """For the pages, what the last look at each disk has found: `name`, `at`, and `free`, `total`, `least` in bytes
        or the `error`."""
        return [{"name": name, **self._found[name]} for name in self._folders if name in self._found]

    def git_copies(self) -> dict | None:
        """For the pages: `at`, `copies` and `bytes` of the repositories' copies, looked at once an hour."""
        return self._copies

    def close(self) -> None:
        """A look that hangs is left to itself: its thread is a daemon."""
        self._end.set()
        self._thread.join(0.1)

    def _run(self) -> None:
        while not self._end.is_set():
            self._look_began = time.monotonic()
            why = self._look()
            self._look_began = None
            if why != self._why:
                log.log(
                    logging.WARNING if why else logging.INFO, "%s", why or "there is enough room on all disks again"
                )
            self._why = why
            self._measure_copies()
            self._end.wait(LOOK_EVERY_SECONDS)

    def _look(self) -> str:
        """Why no job may start; all disks are looked at, for the pages, and the first one that is full is told."""
        full = ""
        for name, folder in self._folders.items():
            now = timezone.now()
            at = moment(now)
            try:
                disk = os.statvfs(_existing(folder))
            except OSError as error:
                self._note(name, str(error))
                self._found[name] = {"at": at, "error": error.strerror or "cannot be asked"}
                continue  # the job's own step says what is wrong there, and waits
            self._note(name, "")
            total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
            least = min(self._least_free_bytes, total // _PART_OF_A_SMALL_DISK)
            self._found[name] = {"at": at, "free": free, "total": total, "least": least} | self._since(name, now, free)
            if free < least and not full:
                full = (
                    f"Waiting for disk space: less than {size_in_words(least)} is free for {name}. "
                    "An operator has to free space; the job then starts by itself."
                )
        return full

    def _since(self, name: str, now: datetime, free: int) -> dict:
        self._history.note(name, now, free)
        earlier = self._history.earlier(name, now)
        return {"then_at": moment(earlier[0]), "then_free": earlier[1]} if earlier else {}

    def _measure_copies(self) -> None:
        """Once an hour, in a thread of its own: a folder that does not answer must keep no disk from being seen."""
        if self._git_folder is None or (self._measuring is not None and self._measuring.is_alive()):
            return
        if self._copies_at and time.monotonic() - self._copies_at < EVERY.total_seconds():
            return
        self._copies_at = time.monotonic()
        self._measuring = threading.Thread(target=self._look_at_copies, name="git-copies", daemon=True)
        self._measuring.start()

    def _look_at_copies(self) -> None:
        found = size_of_copies(self._git_folder)
        self._copies = {"at": moment(timezone.now()), **found} if found else None

    def _note(self, name: str, unknown: str) -> None:
        """Log when it changes whether the free space of a disk is known, not at each look."""
        if unknown == self._unknown.get(name, ""):
            return
        self._unknown[name] = unknown
        if unknown:
            log.warning("the free space for %s (%s) is not known: %s", name, self._folders[name], unknown)
        else:
            log.info("the free space for %s is known again", name)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it: storage is made when it is first needed."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
