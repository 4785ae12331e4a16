"""An sshd of a test's own on a port of loopback, with keys made for it, that forwards sockets and does nothing else."""

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import HOST, hold_port, port_of
from tests.site import wait_until

_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass
class SshServer:
    """`key` opens it, `stranger` does not; `known_hosts` knows it."""

    folder: Path
    port: int
    process: subprocess.Popen | None = None

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def stranger(self) -> Path:
        return self.folder / "stranger"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def address(self, socket: str = "") -> str:
        return f"ssh://{getpass.getuser()}@{HOST}:{self.port}{socket}"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = ["setpriv", "--pdeathsig", "KILL", _SSHD, "-D", "-e", "-f", self.folder / "config"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: "listening" in (self.folder / "log").read_text(), what="sshd")

    def children(self) -> list[int]:
        """The processes of its connections."""
        return list(map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()))

    def cut_connections(self) -> None:
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        self.cut_connections()
        self.process.terminate()
        self.process.wait(10)
        (self.folder / "log").unlink()


@contextlib.contextmanager
def ssh_server() -> Iterator[SshServer]:
    """Skips where there is no sshd; in CI that is a failure."""
    if not _SSHD or os.getuid() != 0:
        report = pytest.fail if os.environ.get("CI") else pytest.skip
        report("an sshd of a test's own needs root and Debian's openssh-server (scripts/ssh.sh)")
    with tempfile.TemporaryDirectory(prefix="jobrunner-sshd-") as name, hold_port() as holder:
        server = SshServer(Path(name), port_of(holder))
        for key in ("host", "key", "stranger"):
            _ssh_keygen("-t", "ed25519", "-N", "", "-f", server.folder / key)
        host_key = (server.folder / "host.pub").read_text().rsplit(" ", 1)[0]
        server.known_hosts.write_text(f"[{HOST}]:{server.port} {host_key}\n")
        (server.folder / "authorized").write_text(f"restrict,port-forwarding {(server.folder / 'key.pub').read_text()}")
        (server.folder / "config").write_text(_configuration(server))
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _configuration(server: SshServer) -> str:
    return f"""
ListenAddress {HOST}:{server.port}
HostKey {server.folder / "host"}
AuthorizedKeysFile {server.folder / "authorized"}
PidFile {server.folder / "pid"}
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
"""


def _ssh_keygen(*arguments) -> None:
    subprocess.run(["ssh-keygen", "-q", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)
