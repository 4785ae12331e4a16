"""`make demo-server`: a newcomer sees a request arrive by HTTP, run, and be reported back, whoever calls whom."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return str(found.getsockname()[1])


@pytest.mark.needs_docker
@pytest.mark.slow_test
@pytest.mark.parametrize("who_calls", [{}, {"RAP": "1"}], ids=["polled", "called"])
def test_the_demo_study_is_asked_for_run_and_reported_back(tmp_path, who_calls):
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
        "ONCE": "1",
        "PORT": free_port(),
        "SERVER_PORT": free_port(),
        "DEMO_WORK_DIR": str(tmp_path / "workdir"),
        **who_calls,
    }
    done = subprocess.run(
        ["scripts/demo_server.sh"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    logs = "".join(file.read_text() for file in (tmp_path / "workdir").glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert "The request has ended" in done.stdout
    assert "Traceback" not in logs
    assert (tmp_path / "workdir" / "high_privacy" / "workspaces" / "demo" / "metadata" / "manifest.json").is_file()
