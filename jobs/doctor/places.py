"""Folders and disks: are they there, may we write, is there room, and may nobody else read?"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from jobs.doctor import BAD, OK, WARN, Finding
from jobs.text import size_in_words


def examine_places() -> Iterator[Finding]:
    places = {
        "Work directory": settings.WORK_DIR,
        "High privacy storage": settings.HIGH_PRIVACY_STORAGE_BASE,
        "Medium privacy storage": settings.MEDIUM_PRIVACY_STORAGE_BASE,
    }
    devices = {}
    for name, folder in places.items():
        yield from _place(name, folder)
        if folder.is_dir():
            devices[name] = folder.stat().st_dev
    if len(set(list(devices.values())[:2])) > 1:
        yield Finding(
            "Moving outputs", WARN, "the work directory and high privacy storage are on different file systems",
            "Outputs are copied instead of renamed: it works, and takes time and space for each.",
        )  # fmt: skip


def _place(name: str, folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield Finding(name, WARN, f"{folder} is not there yet", "The first job makes it. If it is a mount: mount it.")
        return
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        what = f"Let the user {_user()} write to {folder}, or see to that disk."
        yield Finding(name, BAD, f"{folder} cannot be written: {error.strerror}", what)
        return
    yield from _room(name, folder)
    if _is_open_to_all(folder):
        what = f"chmod o-rwx {folder}: whoever has an account on this machine can look into it."
        yield Finding(name, WARN, f"{folder} can be read by every user of this machine", what)


def _room(name: str, folder: Path) -> Iterator[Finding]:
    usage, least = shutil.disk_usage(folder), settings.MIN_FREE_DISK_BYTES
    said = f"{size_in_words(usage.free)} of {size_in_words(usage.total)} free in {folder}"
    if usage.free < least:
        yield Finding(name, BAD, said, f"Free space: below {size_in_words(least)} no job starts.")
    elif usage.free < 2 * least:
        yield Finding(name, WARN, said, f"Free space soon: below {size_in_words(least)} no job starts.")
    else:
        yield Finding(name, OK, said)
    inodes = os.statvfs(folder)
    if inodes.f_files and inodes.f_favail < inodes.f_files // 100:
        yield Finding(name, BAD, "nearly no inode is free", f"Remove files: {folder} can hold no more of them.")


def _is_open_to_all(folder: Path) -> bool:
    """Whether others may read it, and get there: each folder above has to let them through."""
    may_pass = all(above.stat().st_mode & stat.S_IXOTH for above in folder.resolve().parents)
    return may_pass and bool(folder.stat().st_mode & stat.S_IROTH)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
