"""What tests need to see and end the processes of git, and to be another process that uses git."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def start_resolve(settings, repo: str, revision: str) -> subprocess.Popen:
    """A process of its own that resolves a revision, and so fetches it into the copies of `settings`."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(settings.BASE_DIR),
        "DJANGO_SETTINGS_MODULE": "jobrunner_site.settings",
        "DOTENV_FILE": "",
        "WORK_DIR": str(settings.WORK_DIR),
        "GIT_REPO_DIR": str(settings.GIT_REPO_DIR),
        "GIT_ALLOW_HTTP": "true",
        "ALLOWED_GIT_HOSTS": ",".join(settings.ALLOWED_GIT_HOSTS),
        "ALLOWED_GITHUB_ORGS": ",".join(settings.ALLOWED_GITHUB_ORGS),
    }
    program = "import sys; from jobs import git; git.resolve(sys.argv[1], sys.argv[2])"
    return subprocess.Popen(
        [sys.executable, "-c", program, repo, revision],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def processes_that_mention(text: str) -> dict[int, str]:
    """Number -> command line of all processes of this machine that have `text` in theirs."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line:
            found[int(process.name)] = line
    return found


def kill_all_that_mention(text: str) -> None:
    """SIGKILL; `text` must be a path or an address that only this test has."""
    for pid in processes_that_mention(text):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.002)
