"""`make demo-server`: a newcomer sees a request arrive by HTTP, run, and be reported back, whoever calls whom."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.ports import hold_port, port_of
from tests.site import wait_until

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]


class DemoServer:
    """The script in a process of its own; what it says goes to a file, so that nobody has to read along."""

    def __init__(self, folder: Path, port: int, server_port: int, **variables: str):
        self.work_dir = folder / "workdir"
        self._output = folder / f"said-{port}"
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
            "PORT": str(port),
            "SERVER_PORT": str(server_port),
            "DEMO_WORK_DIR": str(self.work_dir),
            # Of a real site, which the demonstration must not speak with.
            "JOB_SERVER_PROXY": "http://proxy.example:3128",
            **variables,
        }
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                ["scripts/demo_server.sh"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def said(self) -> str:
        """Without the line breaks of long paragraphs."""
        return " ".join(self._output.read_text().split())

    @property
    def logs(self) -> str:
        return "".join(file.read_text() for file in self.work_dir.glob("*.log"))

    @property
    def pids(self) -> list[int]:
        """Of the script and of the processes that it has started, in this order."""
        return [int(line) for line in Path(f"{self.work_dir}.lock").read_text().split()]

    def wait_until_started(self) -> None:
        wait_until(lambda: "is on its way" in self.said or self.process.poll() is not None, 300)
        assert self.process.poll() is None, self.said + self.logs


@contextlib.contextmanager
def demo_server(folder: Path, **variables: str) -> Iterator[DemoServer]:
    with hold_port() as port, hold_port() as server_port:
        server = DemoServer(folder, port_of(port), port_of(server_port), **variables)
        try:
            yield server
        finally:
            server.process.terminate()
            server.process.wait(60)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("who_calls", [{}, {"RAP": "1"}], ids=["polled", "called"])
def test_the_demo_study_is_asked_for_run_and_reported_back(tmp_path, who_calls):
    with demo_server(tmp_path, ONCE="1", **who_calls) as server:
        assert server.process.wait(400) == 0, server.said + server.logs
    assert "The request has ended" in server.said
    assert "Traceback" not in server.logs and "WARNING jobs" not in server.logs and "WARNING sync" not in server.logs
    assert (server.work_dir / "high_privacy" / "workspaces" / "demo" / "metadata" / "manifest.json").is_file()


def test_it_names_the_page_of_the_api_keeps_its_folder_and_says_which_process_has_ended_and_how(tmp_path):
    with demo_server(tmp_path, RAP="1") as server:
        server.wait_until_started()
        address = re.search(r"http://127\.0\.0\.1:\d+/controller/v1/docs/", server.said)[0]
        with urlopen(address, timeout=30) as response:
            assert b"rap/create" in response.read()

        with demo_server(tmp_path) as second:
            assert second.process.wait(120) == 1
        assert "An earlier demo-server still works" in second.said
        assert f"'kill {' '.join(map(str, server.pids))}'" in second.said
        assert (server.work_dir / "db.sqlite3").is_file()

        _, *started = server.pids
        os.kill(started[2], signal.SIGKILL)
        assert server.process.wait(60) == 1
        assert f"✗ manage.py sync was killed (signal 9): see {server.work_dir}/sync.log." in server.said
        assert "Killed" not in server.said and "line " not in server.said
        assert not any(map(lives, started))


def test_nothing_outlives_the_script_when_it_is_killed_and_the_next_start_begins_anew(tmp_path):
    with demo_server(tmp_path) as server:
        server.wait_until_started()
        _, *started = server.pids
        server.process.kill()
        try:
            wait_until(lambda: not any(map(lives, started)), 60)
        finally:
            for pid in filter(lives, started):
                os.kill(pid, signal.SIGKILL)
    with demo_server(tmp_path, ONCE="1") as server:
        assert server.process.wait(400) == 0, server.said + server.logs
