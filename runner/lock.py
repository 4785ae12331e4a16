"""Only one `manage.py run` may drive a work directory or a database, and always with the same executor."""

import contextlib

from django.conf import settings

from jobs.lock import AlreadyRunning, only_one
from jobs.schema import USED_MARK

__all__ = ["AlreadyRunning", "OtherExecutor", "keep_to_one_executor", "only_runner"]


class OtherExecutor(Exception):
    """The work directory's jobs are run by the other executor; the message says what to do."""


def only_runner() -> contextlib.AbstractContextManager[None]:
    """Hold the locks while the block runs. Raises AlreadyRunning at once if another process has one of them."""
    return only_one("run", "two runners would disturb each other's jobs")


def keep_to_one_executor() -> None:
    """Remember by which executor the work directory's jobs are run. Raises OtherExecutor if it was the other one.

    The fake executor would take over real jobs, find their containers missing, and invent their outputs.
    """
    mark = settings.WORK_DIR / USED_MARK
    used = mark.read_text().strip() if mark.exists() else ""
    if not used:
        with contextlib.suppress(OSError):  # a full disk: the next start will write it
            mark.write_text(f"{settings.EXECUTOR}\n")
    elif used != settings.EXECUTOR:
        raise OtherExecutor(
            f"The jobs of {settings.WORK_DIR} are run by the {used} executor, but EXECUTOR is {settings.EXECUTOR}. "
            f"Give it a work directory of its own, for add_job as well: WORK_DIR=workdir-{settings.EXECUTOR}."
        )
