"""Which version of the job runner this is: the commit of its working copy, read without git, or the package's.

An image has no working copy; the commit that it was made from stands in a file REVISION beside manage.py.
"""

import contextlib
import functools
import re
from importlib import metadata
from pathlib import Path

from django.conf import settings

_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


@functools.cache
def version() -> str:
    """Twelve characters of the commit, or the package's version, or "unknown". Of the code as this process began.

    "+changes" follows where an image was made from more than that commit.
    """
    for read, place in ((_of_image, settings.BASE_DIR / "REVISION"), (_commit, settings.BASE_DIR / ".git")):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if commit := read(place):
                return commit[:12] + commit[40:]
    try:
        return metadata.version("jobrunner")
    except metadata.PackageNotFoundError:
        return "unknown"


def _of_image(file: Path) -> str:
    found = file.read_text().strip()
    return found if re.fullmatch(r"[0-9a-f]{40}(\+changes)?", found) else ""


def _commit(git: Path) -> str:
    head = (git / "HEAD").read_text().strip()
    reference = head.removeprefix("ref: ")
    if reference == head:
        return head if _COMMIT.match(head) else ""
    loose = git / reference
    if loose.is_file():
        found = loose.read_text().strip()
        return found if _COMMIT.match(found) else ""
    lines = (git / "packed-refs").read_text().splitlines()
    packed = (line.partition(" ") for line in lines if not line.startswith(("#", "^")))
    return next((commit for commit, _, name in packed if name == reference and _COMMIT.match(commit)), "")
