"""`make serve`: all three processes of the installation as it is set up here, and an account to sign in with."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from tests.demo.test_server import lives
from tests.ports import hold_port, port_of
from tests.site import ROOT, Site, wait_until

pytestmark = pytest.mark.slow_test


@pytest.fixture
def serve(tmp_path):
    """`serve()` starts it; returns the process and a function that gives what it has said so far."""
    started = []
    site = Site(tmp_path, EXECUTOR="fake")

    def start(port: int):
        said = tmp_path / f"said-{len(started)}"
        with said.open("w") as output:
            process = subprocess.Popen(
                ["scripts/serve.sh"], cwd=ROOT, env=site.environment | {"PORT": str(port)}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process, lambda: " ".join(said.read_text().split())

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


@pytest.fixture
def port() -> Iterator[int]:
    with hold_port() as holder:
        yield port_of(holder)


def test_it_starts_all_three_and_says_the_password_of_the_first_account_once(serve, tmp_path, port):
    process, said = serve(port)
    wait_until(lambda: "Ctrl-C ends" in said() or process.poll() is not None, 120)
    assert process.poll() is None, said()
    assert f"http://127.0.0.1:{port}/" in said()
    assert re.search(r"sign in as demo with the password: \S{20,}\. It is shown only now", said())
    with urlopen(f"http://127.0.0.1:{port}/login/", timeout=30) as response:
        assert b"Sign in" in response.read()
    _, *pids = map(int, (tmp_path / "workdir.lock").read_text().split())
    assert len(pids) == 3 and all(map(lives, pids))

    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C of a terminal does
    process.wait(25)  # a worker of the web server that heard of it as well could take 30 s
    assert not any(map(lives, pids))
    assert "Traceback" not in "".join(file.read_text() for file in (tmp_path / "workdir").glob("*.log"))

    process, said = serve(port)
    wait_until(lambda: "Ctrl-C ends" in said() or process.poll() is not None, 120)
    assert "password: " not in said().replace("A new password: ", "") and "add_person demo --again" in said()
    _, web, _, runner = map(int, (tmp_path / "workdir.lock").read_text().split())
    os.kill(runner, signal.SIGKILL)
    told = f"manage.py run was killed (signal 9): see {tmp_path}/workdir/run.log. The pages go on without it"
    wait_until(lambda: told in said(), what="the word about the runner")
    assert lives(web)


def test_a_port_that_is_taken_is_named_and_nothing_is_started(serve, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process, said = serve(port)
        assert process.wait(120) == 1
    assert f"Port {port} of this machine cannot be used (OSError: [Errno 98] Address already in use)." in said()
    assert not list((tmp_path / "workdir").glob("*.log"))


@pytest.mark.needs_docker
def test_the_demo_beside_a_runner_that_looks_for_other_images_says_what_to_do(tmp_path):
    with Site(tmp_path, EXECUTOR="fake", DOCKER_REGISTRY="registry.example/images") as site:
        site.start("run")
        wait_until(lambda: site.query("SELECT 1 FROM jobs_heartbeat WHERE name = 'run'"), what="the runner")
        demo = subprocess.run(
            ["scripts/demo.sh"], cwd=ROOT, env=site.environment, capture_output=True, text=True, timeout=300
        )
        said = " ".join(demo.stderr.split())
        assert demo.returncode == 1
        assert "takes its images from registry.example/images" in said and "run make demo again" in said
        assert site.query("SELECT COUNT(*) FROM jobs_job") == [(0,)]
