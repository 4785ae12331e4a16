"""A Docker engine of a test's own, which it may kill and start again while the machine's engine runs on untouched.

The engine lives in PID, mount and network namespaces of its own, with folders and a socket of its own. The first
process of these namespaces dies with the test process, and everything in them with it. Making them needs root.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests import engine
from tests.site import wait_until

_PREFIX = "jobrunner-engine-"
_PROGRAMS = ("dockerd", "docker-init", "setpriv", "unshare", "nsenter", "ip")
_CGROUPS = Path("/sys/fs/cgroup")
_NAMESPACES = ("--fork", "--pid", "--mount-proc", "--mount", "--propagation", "slave", "--net", "--kill-child=KILL")
_NO_NETWORKS = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false")


class PrivateEngine:
    """Made by `private_engine`, with its images and started. All verbs return when what they say has happened."""

    _init_program = "docker-init"

    def __init__(self, folder: Path, options: tuple[str, ...], listener: socket.socket | None = None):
        """`listener`: a bound socket of the test's own network, on which the engine is to listen as well."""
        self.address = f"unix://{folder / 'd.sock'}"
        self._folder, self._listener = folder, listener
        self._options = options
        self._daemon: subprocess.Popen | None = None
        self._make_namespaces()

    # --- what a test does to it

    def start(self) -> None:
        self._daemon = self._begin([*self._inside(), *self._given_listener(), *self._command()])
        wait_until(self._listens, what="the private engine's socket")
        with self.client() as client:
            client.ping()

    def kill(self) -> None:
        """A crash. The containers live on until the next start."""
        self.send(signal.SIGKILL)
        self.wait_until_down()

    def terminate(self) -> None:
        """An orderly stop, as by the service manager: the engine ends its containers first."""
        self.send(signal.SIGTERM)
        self.wait_until_down()

    def lose_power(self) -> None:
        """A crash of the host: every process is gone, and what lay in memory."""
        self.end()
        shutil.rmtree(self._folder / "exec")
        (self._folder / "d.pid").unlink()
        self._make_namespaces()

    def send(self, number: signal.Signals) -> None:
        """A signal to the engine's process; returns at once."""
        os.kill(_child_of(self._daemon.pid), number)

    def wait_until_down(self) -> None:
        self._daemon.wait(30)

    def client(self) -> contextlib.closing[docker.APIClient]:
        return contextlib.closing(docker.APIClient(base_url=self.address, version="1.41", timeout=30))

    # --- inside

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._init, signal.SIGKILL)
        for process in filter(None, (self._daemon, self._namespaces)):
            process.wait(30)
        wait_until(lambda: _remove_cgroups(self._folder.name), what="the end of the private engine's processes")

    def _make_namespaces(self) -> None:
        endless = [self._init_program, "--", "sleep", "infinity"]
        self._namespaces = self._begin(["setpriv", "--pdeathsig", "KILL", "unshare", *_NAMESPACES, *endless])
        self._init = wait_until(lambda: _child_of(self._namespaces.pid), what="the first process of the namespaces")
        program = self._init_program.encode()
        wait_until(lambda: program in Path(f"/proc/{self._init}/cmdline").read_bytes(), what="the namespaces")
        subprocess.run([*self._inside(), "ip", "link", "set", "lo", "up"], check=True)

    def _begin(self, command: list[str]) -> subprocess.Popen:
        kept = (self._listener.fileno(),) if self._listener else ()
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=kept)

    def _given_listener(self) -> list[str]:
        """As a service manager hands a socket on: as the first descriptor after the usual three, named by variables."""
        if self._listener is None:
            return []
        given = f'exec 3<&{self._listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"'
        return ["bash", "-c", given]

    def _inside(self) -> list[str]:
        return ["nsenter", "--target", str(self._init), "--mount", "--pid", "--net", "--"]

    def _command(self) -> list[str]:
        configuration = self._folder / "daemon.json"
        configuration.write_text("{}")  # not the machine's
        return [
            "dockerd",
            f"--config-file={configuration}",
            f"--data-root={self._folder / 'data'}",
            f"--exec-root={self._folder / 'exec'}",
            f"--pidfile={self._folder / 'd.pid'}",
            f"--host={self.address}",
            *(["--host=fd://"] if self._listener else []),
            f"--cgroup-parent=/{self._folder.name}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--userland-proxy=false",
            *self._options,
        ]

    def _listens(self) -> bool:
        """It listens before it answers. The SDK would leave the sockets open that it cannot connect."""
        assert self._daemon.poll() is None, (self._folder / "log").read_text()[-3000:]
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.address.removeprefix("unix://")) == 0


@contextlib.contextmanager
def private_engine(
    *options: str, bridge: bool = False, listener: socket.socket | None = None
) -> Iterator[PrivateEngine]:
    """A started PrivateEngine that has the tests' tiny image. Without a network bridge it starts much faster.

    Skips where the test is not root or has no programs for it; in CI that is a failure.
    """
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    if os.getuid() != 0 or missing:
        report = pytest.fail if os.environ.get("CI") else pytest.skip
        report(f"a Docker engine of a test's own needs root and the programs {' '.join(_PROGRAMS)}")
    _sweep()
    # Not below tmp_path: the path of a socket has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    made = PrivateEngine(folder, options + (() if bridge else _NO_NETWORKS), listener)
    try:
        made.start()
        with engine.sdk() as theirs, made.client() as ours:
            list(ours.load_image(b"".join(theirs.get_image(engine.tiny_image()))))
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


def _sweep() -> None:
    """What is left of the engines of test processes that were killed: their processes are gone, these are not."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if not Path(f"/proc/{folder.name.split('-')[2]}").exists() and _remove_cgroups(folder.name):
            shutil.rmtree(folder)


def _remove_cgroups(name: str) -> bool:
    """False while the kernel still ends their processes."""
    for parent in _CGROUPS.glob(f"*/{name}"):
        for cgroup in sorted([parent, *parent.rglob("*/")], reverse=True):
            with contextlib.suppress(OSError):
                cgroup.rmdir()
    return not list(_CGROUPS.glob(f"*/{name}"))


def _child_of(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None
