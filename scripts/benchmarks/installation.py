"""A job runner of the benchmark's own: folder, database and a real `manage.py run`, all removed at the end.

It never sees the settings of the installation it lies in: a few variables of the environment are kept, all others are
set here, so that no measurement can touch real jobs.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
from ask_engine import engine_address

from benchmarks.floor import BareEngine
from benchmarks.studies import Study, small_study
from benchmarks.watching import Containers, Database, WentWrong, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
REGISTRY = "jobrunner-demo"
IMAGE = f"{REGISTRY}/python:v2"
WORKERS = 2
STOP_SECONDS = 15
LATE_CONTAINER_SECONDS = 1.0
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


class Installation:
    """`with Installation() as site:`; afterwards nothing of it is left, also after Ctrl-C.

    Django is set up in this process for the same database, so that a case can submit and cancel jobs without the
    start of another process in its figures.
    """

    def __enter__(self) -> "Installation":
        base = Path(os.environ.get("TMPDIR") or ROOT / "workdir")
        base.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="bench-", dir=base))
        self.name = self.folder.name
        self.label = f"org.jobrunner.instance={self.name}"
        self.peaks_megabytes: list[float] = []
        self._process: subprocess.Popen | None = None
        self._containers: Containers | None = None
        self._bare: BareEngine | None = None
        self._study: Study | None = None
        try:
            self._set_up_django()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error) -> None:
        # A second Ctrl-C must not leave half of it behind.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.stop_runner()
            if self._containers:
                self._containers.close()
            if self._bare:
                self._bare.remove_leftovers(self.label)
                if any(error):
                    # What the engine had just been asked for it may make only now, although nobody waits any more.
                    time.sleep(LATE_CONTAINER_SECONDS)
                    self._bare.remove_leftovers(self.label)
                self._bare.close()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            signal.signal(signal.SIGINT, previous)

    def _set_up_django(self) -> None:
        address = engine_address()
        kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}
        os.environ.clear()
        os.environ.update(kept)
        os.environ.update(
            DJANGO_SETTINGS_MODULE="jobrunner_site.settings",
            DOTENV_FILE="",
            WORK_DIR=str(self.folder),
            INSTANCE=self.name,
            DOCKER_HOST=address,
            DOCKER_REGISTRY=REGISTRY,
            MAX_WORKERS=str(WORKERS),
            LOG_LEVEL="WARNING",
            CHORES="false",
        )
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        self._let_the_audit_be_emptied()
        os.environ["LOG_LEVEL"] = "INFO"  # for `run`: it logs as it does on a site

    def _let_the_audit_be_emptied(self) -> None:
        """Between cases all tables are; on a site the database refuses it."""
        from django.db import connection

        with connection.cursor() as cursor:
            for verb in ("update", "delete"):
                cursor.execute(f"DROP TRIGGER IF EXISTS audit_refuses_{verb}")

    # --- what cases use

    @property
    def bare(self) -> BareEngine:
        """The engine without the job runner. Raises WentWrong if none answers or the image is missing."""
        if self._bare is None:
            try:
                self._bare = BareEngine(os.environ["DOCKER_HOST"], self.name, IMAGE)
                self._bare.job(["true"])
            except docker.errors.DockerException as error:
                raise WentWrong(f"The engine cannot run {IMAGE}: {error}. `make bench` sees to both.") from error
        return self._bare

    @property
    def containers(self) -> Containers:
        """What the engine tells of this installation's containers, from the first use on."""
        if self._containers is None:
            self._containers = Containers(os.environ["DOCKER_HOST"], self.label)
        return self._containers

    @property
    def high_privacy(self) -> Path:
        return self.folder / "high_privacy" / "workspaces"

    @property
    def log_file(self) -> Path:
        return self.folder / "run.log"

    def database(self) -> Database:
        return Database(self.folder / "db.sqlite3")

    @property
    def study(self) -> Study:
        """The study of all jobs that really run."""
        if self._study is None:
            self._study = Study(self.folder / "study", small_study())
        return self._study

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """No runner, no container and no job when the block begins, nor after it."""
        self._empty()
        try:
            yield
        finally:
            self._empty()

    def _empty(self) -> None:
        from django.core.management import call_command

        self.stop_runner()
        self.bare.remove_leftovers(self.label)
        call_command("flush", interactive=False, verbosity=0)

    # --- the real runner

    def start_runner(self) -> bool:
        """Make sure that a `manage.py run` is there and has made its first turn; whether it is a new one."""
        if self._process is not None and self._process.poll() is None:
            return False
        from jobs.models import Heartbeat

        self.bare.remove_leftovers(
            self.label
        )  # and at the end: whoever starts containers needs somebody to remove them
        Heartbeat.objects.all().delete()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C is ours to answer: the runner is ended by `__exit__`
            )
        wait_until(lambda: self._process.poll() is not None or Heartbeat.objects.exists(), 30, "the runner's start")
        if self._process.poll() is not None:
            raise WentWrong(f"`manage.py run` ended at once: {self.log_file.read_text()[-2000:]}")
        return True

    def stop_runner(self) -> None:
        """End it as a service manager does, after its peak of memory has been read. Its containers run on."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.peaks_megabytes.append(self.runner_peak_megabytes())
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill()
        self._process = None

    def runner_peak_megabytes(self) -> float:
        """Most resident memory that the running runner ever had (VmHWM)."""
        return peak_megabytes(self._process.pid)

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def peak_megabytes(pid: int) -> float:
    """Peak resident memory of a process in MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 10**6
    raise WentWrong(f"process {pid} has no memory any more: it has ended")


def idle_megabytes(library: str) -> float:
    """Of a process that sets up Django, imports the library and does nothing."""
    program = f"import django, {library}; django.setup(); print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    with process:
        process.stdout.readline()
        megabytes = peak_megabytes(process.pid)
        process.communicate(b"\n")
    return megabytes
