"""A whole installation for a test: a folder, a database and real `manage.py` processes with settings of their own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.databases import SERVER, PostgresqlDatabase, SqliteFile, migrated_file
from tests.forked_start import OPTIONS, Forked, may_fork

ROOT = Path(__file__).resolve().parent.parent
DEMO_STUDY = ROOT / "demo" / "study"


def wait_until(condition: Callable[[], object], seconds: float = 30, what: str = "the condition") -> object:
    """Look again and again until the condition holds; AssertionError after the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come true within {seconds} s")


class Site:
    """`with Site(tmp_path) as site:` makes the database; leaving kills what still runs of it."""

    def __init__(self, folder: Path, **settings: str):
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")},
            "DOTENV_FILE": "",
            "WORK_DIR": str(folder / "workdir"),
            "DOCKER_REGISTRY": "jobrunner-demo",
            "COLUMNS": "200",
            "CHORES": "false",  # their process would cost each of these tests a second; tests of chores switch it on
            **settings,
        }
        self._processes: list[subprocess.Popen | Forked] = []
        self.database: SqliteFile | PostgresqlDatabase = SqliteFile(folder / "workdir" / "db.sqlite3")

    def __enter__(self) -> "Site":
        if SERVER and "DATABASE_URL" not in self.environment:
            self.work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.database = PostgresqlDatabase()
            self.environment |= self.database.environment
        elif "DATABASE_URL" in self.environment or not may_fork(self.environment):
            self.manage("migrate", "--verbosity=0")
        else:
            self.work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy(migrated_file(), self.database.path)
        return self

    def __exit__(self, *error) -> None:
        for process in self._processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        self.database.drop()

    @property
    def work_dir(self) -> Path:
        return self.folder / "workdir"

    @property
    def high(self) -> Path:
        return self.work_dir / "high_privacy"

    @property
    def medium(self) -> Path:
        return self.work_dir / "medium_privacy"

    def manage(self, *arguments: str, expect: int = 0, seconds: float = 120) -> str:
        """Run a command to its end and return what it printed, stdout and stderr together."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=seconds)
        assert process.returncode == expect, f"manage.py {' '.join(arguments)} gave {process.returncode}:\n{output}"
        return output

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen | Forked:
        """Start a command in a process group of its own."""
        if may_fork(self.environment):
            process = Forked(list(arguments), self.environment, stdin)
        else:
            process = subprocess.Popen(
                [sys.executable, *OPTIONS, str(ROOT / "manage.py"), *arguments],
                env=self.environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def query(self, sql: str, *parameters) -> list[tuple]:
        return self.database.query(sql, *parameters)

    def change(self, sql: str, *parameters) -> None:
        self.database.change(sql, *parameters)

    def statuses(self) -> dict[str, str]:
        """Action -> status code of its newest job."""
        return dict(self.query("SELECT action, status_code FROM jobs_job ORDER BY id"))

    def manifest(self, base: Path, workspace: str) -> dict:
        return json.loads((base / "workspaces" / workspace / "metadata" / "manifest.json").read_text())


@contextlib.contextmanager
def watched_starts(instance_label: str, address: str = "") -> Iterator[list[str]]:
    """The names of all containers that an engine, the machine's or that at `address`, starts for an installation while
    the block runs, in order."""
    import threading

    import docker

    client = docker.DockerClient(base_url=address) if address else docker.from_env()
    names: list[str] = []
    events = client.events(decode=True, filters={"type": "container", "event": "start", "label": instance_label})

    def listen() -> None:
        for event in events:
            names.append(event["Actor"]["Attributes"]["name"])

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield names
    finally:
        events.close()
        thread.join(5)
        client.close()
