"""scripts/serve_for_windows.sh, really run: what it serves, where, and that nothing of it outlives it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import hold_port, port_of
from tests.site import ROOT, wait_until

pytestmark = pytest.mark.slow_test
SCRIPT = str(ROOT / "scripts" / "serve_for_windows.sh")


def free_ports() -> list[int]:
    with contextlib.ExitStack() as held:
        return [port_of(held.enter_context(hold_port())) for _ in range(2)]


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2):
        return True
    return False


class Serving:
    def __init__(self, folder: Path, **variables: str):
        self.git_port, self.engine_port = free_ports()
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [SCRIPT],
                env={**os.environ, "GIT_PORT": str(self.git_port), "ENGINE_PORT": str(self.engine_port), **variables},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def begun(self) -> "Serving":
        wait_until(lambda: "Ctrl-C ends both" in self.said() or self.process.poll() is not None, 60, "its start")
        assert self.process.poll() is None, self.said()
        return self

    def said(self) -> str:
        return self.log.read_text()

    def is_gone(self) -> bool:
        return not answers(self.git_port) and not answers(self.engine_port)


@pytest.fixture
def engine_socket(tmp_path) -> Iterator[str]:
    """An engine's socket at which somebody says the same to each caller."""
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(place := str(tmp_path / "engine.sock"))
        engine.listen()
        yield place


@pytest.mark.needs_docker
def test_the_repository_can_be_cloned_and_the_engine_asked_and_nothing_pushed(tmp_path):
    serving = Serving(tmp_path)
    try:
        serving.begun()
        address = f"git://127.0.0.1:{serving.git_port}/jobrunner"
        assert address in serving.said() and f"tcp://127.0.0.1:{serving.engine_port}" in serving.said()
        clone = tmp_path / "clone"
        subprocess.run(["git", "clone", "-q", address, str(clone)], check=True, timeout=120)
        assert (clone / "manage.py").is_file()
        pushed = subprocess.run(
            ["git", "-C", str(clone), "push", "origin", "HEAD:refs/heads/never"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert pushed.returncode != 0 and "not enabled" in pushed.stderr + pushed.stdout
        elsewhere = subprocess.run(
            ["git", "ls-remote", f"git://127.0.0.1:{serving.git_port}/../etc"],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert elsewhere.returncode != 0

        import docker

        with contextlib.closing(docker.DockerClient(f"tcp://127.0.0.1:{serving.engine_port}")) as engine:
            assert engine.ping() and engine.version()["ApiVersion"]
    finally:
        serving.process.send_signal(signal.SIGTERM)
        serving.process.wait(30)
    assert serving.is_gone()
    assert "neither the repository nor the engine is served" in serving.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_served_any_more_however_it_ended(tmp_path, engine_socket, number):
    serving = Serving(tmp_path, ENGINE_SOCKET=engine_socket).begun()
    assert not serving.is_gone()
    serving.process.send_signal(number)
    serving.process.wait(30)
    wait_until(serving.is_gone, what="the end of what it had started")


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
def test_no_other_address_is_opened_without_the_one_machine_that_may_call(tmp_path, engine_socket, address):
    serving = Serving(tmp_path, ENGINE_SOCKET=engine_socket, LISTEN=address)
    assert serving.process.wait(30) == 1
    assert "engine" in serving.said() and serving.is_gone()


def test_a_caller_other_than_the_named_one_gets_nothing(tmp_path, engine_socket):
    serving = Serving(tmp_path, ENGINE_SOCKET=engine_socket, CLIENT="127.0.0.9").begun()
    try:
        with socket.create_connection(("127.0.0.1", serving.engine_port), 10) as caller:
            assert caller.recv(10) == b""
        refused = listed_by_git(serving)
        assert refused.returncode != 0 and "this machine does not serve 127.0.0.1" in refused.stderr
    finally:
        serving.process.terminate()
        serving.process.wait(30)


@pytest.mark.parametrize(
    ("header", "is_served"),
    [
        ("Host: 127.0.0.1:2375", True),
        ("Host: [::1]:2375", True),
        ("Host: my-machine:2375", True),
        ("Host: api.moby.localhost", True),
        ("Host: evil.example.org", False),
        ("Host: localhost\r\nOrigin: http://evil.example.org", False),
        ("Host: localhost\r\norigin: null", False),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site", False),
        pytest.param("X: " + "a" * 70_000 + "\r\nHost: evil.example.org", False, id="longer than is looked at"),
    ],
)
def test_a_web_page_that_is_open_on_the_machine_does_not_reach_the_engine(tmp_path, header, is_served):
    """A POST of plain text needs nobody's leave, and a page's own name server may lead its name to 127.0.0.1."""
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(place := str(tmp_path / "engine.sock"))
        engine.listen()
        with contextlib.closing(Forwarding(place)) as forwarding, forwarding.caller() as caller:
            caller.sendall(f"POST /containers/x/start HTTP/1.1\r\n{header}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            if is_served:
                with engine.accept()[0] as served:
                    assert header.encode() in served.recv(1000)
                    served.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert (b"204" if is_served else b"403") in caller.recv(1000)


class Forwarding:
    """scripts/forward.py alone."""

    def __init__(self, place: str):
        command = [sys.executable, ROOT / "scripts/forward.py", "127.0.0.1", "0", place]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._port = int(self._process.stdout.readline().split()[-1])

    def caller(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), 10)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def test_the_named_one_is_served(tmp_path, engine_socket):
    serving = Serving(tmp_path, ENGINE_SOCKET=engine_socket, CLIENT="127.0.0.1").begun()
    try:
        assert "HEAD" in listed_by_git(serving).stdout
    finally:
        serving.process.terminate()
        serving.process.wait(30)


def listed_by_git(serving: Serving) -> subprocess.CompletedProcess:
    command = ["git", "ls-remote", f"git://127.0.0.1:{serving.git_port}/jobrunner"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_folder_of_one_that_was_killed_goes_with_the_next_start_and_nobody_elses(tmp_path, engine_socket):
    folders = tmp_path / "temporary"
    folders.mkdir()
    (folders / f"jobrunner-serve.{os.getpid()}.abc").mkdir()  # of one that is alive
    (folders / "somebody-elses").mkdir()
    killed = Serving(tmp_path, ENGINE_SOCKET=engine_socket, TMPDIR=str(folders)).begun()
    killed.process.kill()
    killed.process.wait(30)
    assert list(folders.glob(f"jobrunner-serve.{killed.process.pid}.*"))
    wait_until(killed.is_gone, what="the end of what it had started")
    following = Serving(tmp_path, ENGINE_SOCKET=engine_socket, TMPDIR=str(folders)).begun()
    assert not list(folders.glob(f"jobrunner-serve.{killed.process.pid}.*"))
    following.process.terminate()
    following.process.wait(30)
    assert {path.name for path in folders.iterdir()} == {f"jobrunner-serve.{os.getpid()}.abc", "somebody-elses"}


def test_a_port_that_is_taken_is_named(tmp_path, engine_socket):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        serving = Serving(tmp_path, ENGINE_SOCKET=engine_socket, ENGINE_PORT=str(port))
        # Somebody else's server may answer; ours says that it could not have the port.
        wait_until(lambda: serving.process.poll() is not None, 60, "its end")
        assert "Address already in use" in serving.said()
    assert not answers(serving.git_port)
