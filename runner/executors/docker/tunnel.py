"""The way to an engine on another machine: an OpenSSH client that lends us its socket as one of this machine.

Why not the SDK's own `ssh://`: that starts a client for every connection, needs the docker command on the other side,
and knows no timeouts. A socket that is forwarded is a Unix socket like any other, with all the deadlines that `engine`
gives it, and needs nothing over there but sshd and the engine's socket.

The client is started with the first connection, and anew with the next one after it has ended. It dies with us,
however we die; its socket lies in a folder that only our user may enter. It never asks for anything: a host that is not
known, or a key that is not taken, is an error with OpenSSH's own words.
"""

import atexit
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jobs.log import escape

DEFAULT_SOCKET = "/var/run/docker.sock"
_PREFIX = "jobrunner-ssh-"
_LOOK_EVERY_SECONDS = 0.02
# Names, PAM and a VPN that wakes up included; ConnectTimeout bounds TCP and the first words only.
_LONGEST_LOGIN_SECONDS = 60.0
_LONGEST_WORDS = 300
# The end of a dead connection is noticed after a quarter of a minute; what waits for an answer gives up by itself.
_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ExitOnForwardFailure": "yes",
    "StreamLocalBindUnlink": "yes",
    "StreamLocalBindMask": "0177",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ConnectTimeout": "10",
    "ControlMaster": "no",
    "ControlPath": "none",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "LogLevel": "ERROR",
}


class NoTunnel(ConnectionError):
    """The other machine cannot be reached by SSH; the message is what the SSH client said."""


class Tunnel:
    """To the engine of `address` (ssh://user@host:port/path/of/socket). Safe to use from several threads.

    `key_file` and `known_hosts_file`: in place of OpenSSH's own ones; empty is those.
    """

    def __init__(self, address: str, key_file: str = "", known_hosts_file: str = ""):
        self._address, self._key_file, self._known_hosts_file = address, key_file, known_hosts_file
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._process: subprocess.Popen | None = None
        self._begun_at, self._had_socket = 0.0, False

    @property
    def socket(self) -> str:
        """The path of the socket on this machine, whether it is there or not."""
        with self._lock:
            if self._folder is None:
                _sweep()
                self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
                atexit.register(self.close)
            return str(self._folder / "engine")

    def ensure(self, seconds: float) -> None:
        """Return when the socket takes connections. Raises NoTunnel, TimeoutError."""
        path, deadline = Path(self.socket), time.monotonic() + seconds
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                path.unlink(missing_ok=True)
                self._begun_at, self._had_socket = time.monotonic(), False
                self._process = self._begin(path)
            process = self._process
        while not path.exists():
            if process.poll() is not None:
                raise NoTunnel(self.last_words() or f"ssh ended with exit code {process.returncode}")
            if time.monotonic() > deadline:
                self._give_up(process)
                raise TimeoutError(f"no connection by SSH within {seconds:g} s")
            time.sleep(_LOOK_EVERY_SECONDS)
        self._had_socket = True

    def _give_up(self, process: subprocess.Popen) -> None:
        """A client that lives and has no socket will never have one if it had one, which somebody has removed, or hangs
        if it takes too long; a login may take its time."""
        with self._lock:
            is_stuck = self._had_socket or time.monotonic() - self._begun_at > _LONGEST_LOGIN_SECONDS
            if self._process is process and is_stuck:
                process.kill()
                process.wait()
                self._process = None

    def last_words(self) -> str:
        """What the SSH client said last, as one line; empty if it said nothing."""
        try:
            lines = (Path(self.socket).parent / "log").read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return escape(" ".join(lines)[-_LONGEST_WORDS:])

    def close(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(1)
                self._process.kill()
                self._process.wait()
                self._process = None
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
        atexit.unregister(self.close)

    def command(self, path: Path) -> list[str]:
        """The SSH client's arguments."""
        parts = urlsplit(self._address)
        remote = unquote(parts.path) if parts.path.strip("/") else DEFAULT_SOCKET
        options = _OPTIONS | ({"UserKnownHostsFile": self._known_hosts_file} if self._known_hosts_file else {})
        chosen = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        if self._key_file:
            chosen += ["-i", self._key_file, "-o", "IdentitiesOnly=yes"]
        if parts.port:
            chosen += ["-p", str(parts.port)]
        if parts.username:
            chosen += ["-l", unquote(parts.username)]
        return ["ssh", "-N", "-T", *chosen, "-L", f"{path}:{remote}", "--", str(parts.hostname)]

    def _begin(self, path: Path) -> subprocess.Popen:
        """The kernel ends the client with the *thread* that has begun it, so that has to be one which lives on."""
        begun: list[subprocess.Popen | OSError] = []
        is_there = threading.Event()

        def keep() -> None:
            try:
                with (path.parent / "log").open("wb") as words:
                    command = ["setpriv", "--pdeathsig", "KILL", "--", *self.command(path)]
                    process = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, start_new_session=True
                    )
            except OSError as error:
                begun.append(error)
            else:
                begun.append(process)
            is_there.set()
            if isinstance(begun[0], subprocess.Popen):
                begun[0].wait()

        threading.Thread(target=keep, name="engine-tunnel", daemon=True).start()
        is_there.wait()
        if isinstance(begun[0], OSError):
            raise NoTunnel(f"the SSH client cannot be started: {begun[0]}")
        return begun[0]


def _sweep() -> None:
    """Folders of processes that were killed. A number that is nobody's here may be somebody's in a container."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if (
                folder.stat().st_uid == os.getuid()
                and not Path(f"/proc/{pid}").exists()
                and not _is_answered(folder / "engine")
            ):
                shutil.rmtree(folder, ignore_errors=True)


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
