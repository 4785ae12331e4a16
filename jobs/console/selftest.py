"""`manage.py selftest`: a canary study through every phase, on this site's engine, beside whatever else runs.

Everything of it is private: a folder with a database, storages, a study and a runner of its own, and a label of its own
on the containers. So it proves that this version works on this machine, and touches nothing of the site. On wish the
runner is killed in the middle of a job, and the next one has to finish what it finds.
"""

import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from rich.text import Text

from jobs.console.command import print_json
from jobs.log import escape
from jobs.results import terminal

WORKSPACE = "selftest"
LONGEST_SECONDS = 300.0
_LOOK_SECONDS = 0.1
_STOP_SECONDS = 15.0
_ROWS, _TABLE = "canary,1\n", "group,n\nall,10\n"
# What the canary does, in the languages of the images that a site may have; it waits a moment, to be met in the middle.
_SCRIPTS = {
    "canary.sh": "mkdir -p output tables\nsleep {pause}\n"
    "printf 'canary,1\\n' > output/rows.csv\nprintf 'group,n\\nall,10\\n' > tables/table.csv\n",
    "canary.py": "import os, time\nfor folder in ('output', 'tables'):\n    os.makedirs(folder, exist_ok=True)\n"
    "time.sleep({pause})\nopen('output/rows.csv', 'w').write('canary,1\\n')\n"
    "open('tables/table.csv', 'w').write('group,n\\nall,10\\n')\n",
}
_PROJECT = """version: '4.0'
actions:
  canary:
    run: {run}
    outputs:
      highly_sensitive:
        rows: output/*.csv
      moderately_sensitive:
        table: tables/*.csv
"""


class Failed(Exception):
    """A phase did not do what it has to; the message says what was found."""


@dataclass(frozen=True)
class Phase:
    name: str
    seconds: float
    trouble: str = ""


class SelfTest:
    """One canary. `run` is the action's whole command: image first."""

    def __init__(self, folder: Path, run: str, *, kills: bool):
        self._folder, self._run, self._kills = folder, run, kills
        self._work_dir, self.instance = folder / "workdir", f"selftest-{secrets.token_hex(4)}"
        self._high, self._medium = self._work_dir / "high_privacy", self._work_dir / "medium_privacy"
        changed = {
            "WORK_DIR": str(self._work_dir),
            "HOST_WORK_DIR": _on_the_engines_host(self._work_dir),
            "HIGH_PRIVACY_STORAGE_BASE": str(self._high),
            "MEDIUM_PRIVACY_STORAGE_BASE": str(self._medium),
            "GIT_REPO_DIR": str(folder / "repos"),
            "SNAPSHOT_DIR": str(folder / "snapshots"),
            "DATABASE_URL": f"sqlite:///{self._work_dir / 'db.sqlite3'}",
            "INSTANCE": self.instance,
            "ALLOW_LOCAL_REPOS": "true",
            "DATABASE_STATUS_IMAGE": "",
            "DEBUG_LOG_DIR": "",
            "LOG_FORMAT": "text",
            "CHORES": "false",  # a canary tells nobody anything
            # Set to nothing, so that .env does not set them either.
            **dict.fromkeys(("DATABASE_URL_FILE", "RAP_API_TOKENS", "RAP_API_TOKENS_FILE"), ""),
            **dict.fromkeys(("JOB_SERVER_ENDPOINT", "JOB_SERVER_TOKEN", "JOB_SERVER_TOKEN_FILE"), ""),
        }
        # None of these is a secret; all that the site has set besides is inherited.
        self._command = ["env", *(f"{name}={value}" for name, value in changed.items()), sys.executable, sys.argv[0]]

    def phases(self) -> Iterator[Phase]:
        """Each when it is over; the first that fails is the last."""
        steps = [("a database of its own", self._migrate), ("a study in git", self._make_study)]
        steps += [("its jobs are planned", self._plan)]
        steps += [("the runner is killed in the middle of the job", self._kill)] if self._kills else []
        steps += [
            ("the job runs to its end", self._drive),
            ("outputs are stored by privacy level", self._see_outputs),
            ("storage is what manifests and database say", self._verify),
            ("nothing is left over", self._see_nothing_left),
        ]
        for name, step in steps:
            began = time.monotonic()
            try:
                step()
            except (Failed, OSError, subprocess.SubprocessError, sqlite3.Error) as error:
                yield Phase(name, time.monotonic() - began, str(error))
                return
            yield Phase(name, time.monotonic() - began)

    def _migrate(self) -> None:
        self._work_dir.mkdir(parents=True)
        self._manage("migrate", "--no-input", "--verbosity=0")

    def _make_study(self) -> None:
        study = self._folder / "study"
        study.mkdir()
        (study / "project.yaml").write_text(_PROJECT.format(run=json.dumps(self._run)))
        for name, script in _SCRIPTS.items():
            (study / name).write_text(script.format(pause=3 if self._kills else 0))
        git = ["git", "-c", "user.name=selftest", "-c", "user.email=selftest@localhost", "-c", "commit.gpgsign=false"]
        for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=A canary"]):
            subprocess.run([*git, *words], cwd=study, check=True, capture_output=True, timeout=60)

    def _plan(self) -> None:
        self._manage("add_job", str(self._folder / "study"), "canary", f"--workspace={WORKSPACE}")

    def _kill(self) -> None:
        with self._runner() as runner:
            self._wait(lambda: self._job()[0] == "executing" or runner.poll() is not None, "the job's start")
            os.killpg(runner.pid, signal.SIGKILL)
            runner.wait(_STOP_SECONDS)
        code, message, attempt = self._job()
        if code != "executing":
            raise Failed(f"the job was {code} (attempt {attempt}) when the runner was killed: {message}")

    def _drive(self) -> None:
        with self._runner() as runner:
            self._wait(lambda: self._has_ended() or runner.poll() is not None, "the job's end")
        code, message, attempt = self._job()
        if code != "succeeded" or attempt != 1:
            raise Failed(f"the job is {code} in attempt {attempt}: {message}{self._said()}")

    def _see_outputs(self) -> None:
        expected = {
            self._high: {"output/rows.csv": _ROWS, "tables/table.csv": _TABLE},
            self._medium: {"tables/table.csv": _TABLE},
        }
        for base, files in expected.items():
            folder = base / "workspaces" / WORKSPACE
            found = {
                str(path.relative_to(folder)): path.read_text()
                for path in folder.rglob("*")
                if path.is_file() and path.relative_to(folder).parts[0] != "metadata"
            }
            if found != files:
                raise Failed(f"{base.name} holds {sorted(found) or 'nothing'}, not {sorted(files)} as they were made")

    def _verify(self) -> None:
        self._manage("verify_workspace", WORKSPACE)

    def _see_nothing_left(self) -> None:
        found = json.loads(self._manage("reconcile", "--dry-run", "--json"))
        if found["leftovers"] or found["spared_as_young"] or found["missing"]:
            raise Failed(f"{len(found['leftovers']) + found['spared_as_young']} containers or folders are left over")

    # --- what these stand on

    def _manage(self, *words: str) -> str:
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, timeout=120)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise Failed(f"manage.py {words[0]}: {said[-1] if said else f'exit code {done.returncode}'}")
        return done.stdout

    @contextmanager
    def _runner(self) -> Iterator[subprocess.Popen]:
        with (self._folder / "run.log").open("ab") as log:
            runner = subprocess.Popen(
                [*self._command, "run", "--until-input-ends"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield runner
        finally:
            runner.stdin.close()  # it ends, as it does if this process is killed
            try:
                runner.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(runner.pid, signal.SIGKILL)
                runner.wait()

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LONGEST_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise Failed(f"{what} did not come within {LONGEST_SECONDS:.0f} s: {self._job()[1]}{self._said()}")
            time.sleep(_LOOK_SECONDS)

    def _job(self) -> tuple[str, str, int]:
        """Status code, message, attempt."""
        with closing(sqlite3.connect(self._work_dir / "db.sqlite3", timeout=20)) as database:
            return database.execute("SELECT status_code, status_message, attempt FROM jobs_job").fetchone()

    def _has_ended(self) -> bool:
        with closing(sqlite3.connect(self._work_dir / "db.sqlite3", timeout=20)) as database:
            return database.execute("SELECT completed_at FROM jobs_job").fetchone()[0] is not None

    def _said(self) -> str:
        """The command's last words."""
        logs = sorted((self._high / "logs").glob("*/*/logs.txt"))
        lines = logs[-1].read_text(errors="replace").strip().splitlines() if logs else []
        return f" Its log ends with: {lines[-1].partition(' ')[2]}" if lines else ""


def selftest(run: str, *, kills: bool, keeps: bool, as_json: bool) -> int:
    """0 if every phase did what it has to, else 1; then the folder is kept for whoever looks for the reason."""
    console, phases = terminal(), []
    # Below the work directory, which the engine can see.
    above = settings.WORK_DIR / "selftest"
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="canary-", dir=above))
    canary = SelfTest(folder, run, kills=kills)
    try:
        for phase in canary.phases():
            phases.append(phase)
            if not as_json:
                console.print(_in_words(phase), soft_wrap=True)
    except KeyboardInterrupt:
        _tell_what_is_kept(folder, canary.instance)
        raise
    is_well = not phases[-1].trouble
    is_kept = keeps or not is_well
    if not is_kept:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        told = [{"name": each.name, "seconds": round(each.seconds, 2), "trouble": each.trouble} for each in phases]
        print_json({"is_well": is_well, "phases": told, "folder": str(folder) if is_kept else None})
    elif is_kept:
        _tell_what_is_kept(folder, canary.instance)
    return 0 if is_well else 1


def _in_words(phase: Phase) -> Text:
    sign, style = ("✗", "bold red") if phase.trouble else ("✓", "green")
    said = f": {phase.trouble}" if phase.trouble else ""
    return Text(escape(f"{sign} {phase.name} ({phase.seconds:.1f} s){said}"), style)


def _tell_what_is_kept(folder: Path, instance: str) -> None:
    for line in (
        f"Kept for you to look at: {folder} (run.log is its runner's). Afterwards:",
        f"    docker ps -aq --filter label=org.jobrunner.instance={instance} | xargs -r docker rm -f",
        f"    rm -r {folder}",
    ):
        terminal().print(Text(escape(line)), soft_wrap=True)


def _on_the_engines_host(path: Path) -> str:
    """As the engine sees a folder below the site's work directory."""
    return str(settings.HOST_WORK_DIR / path.relative_to(settings.WORK_DIR))
