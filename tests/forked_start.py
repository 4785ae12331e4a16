"""`manage.py` processes of tests that are forks of one which has imported the libraries already.

Half of what a short command costs is that Python imports Django and its like, and tests start a thousand of them. What
is imported beforehand reads no settings and is nothing of the project's, so each process reads those afresh: it has
arguments, environment, folder, standard streams and session of its own, and ends as every Python does. Whatever an
interpreter takes in as it starts (PYTHON…, LANG, TZ) has to be as here, and where coverage is measured none is forked
(`may_fork`); `sys.orig_argv` and the command line in /proc are those of the first one.

This file is the program of the first process, too. It has one thread, and takes one message for each start.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = ("-W", "error::ResourceWarning")
# Nothing that not every command has anyway: what is here, none of them can fail for want of.
LIBRARIES = (
    *("django.core.management", "django.core.mail", "django.forms", "django.template.defaulttags"),
    *("django.db.models", "django.db.backends.sqlite3.base", "django.db.migrations.executor"),
    *("django.contrib.admin", "django.contrib.auth.password_validation", "django.contrib.messages.storage.base"),
    *("django.contrib.auth.management", "django.contrib.contenttypes.management", "django.contrib.auth.decorators"),
    *("django.views.debug", "django.views.i18n", "django.views.decorators.cache", "csp.checks", "django_htmx"),
    *("environs", "dj_database_url", "rich.console", "rich.table", "rich.live", "re2", "ansi2html", "heroicons"),
    *("picklefield", "multiprocessing.sharedctypes", "multiprocessing.queues", "xml.etree.ElementTree"),
)
_LONGEST_MESSAGE = 100_000
_OF_THE_INTERPRETER = ("PYTHON", "LANG", "LC_", "TZ", "COVERAGE", "LD_", "MALLOC")


def may_fork(environment: Mapping[str, str]) -> bool:
    """Whether a fork is what a start with this environment would be."""

    def of_the_interpreter(variables: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in variables.items() if name.startswith(_OF_THE_INTERPRETER)}

    wanted = of_the_interpreter(environment)
    is_measured = any(name.startswith("COVERAGE") for name in os.environ)
    return not is_measured and wanted == {k: v for k, v in of_the_interpreter(os.environ).items() if k in ("LANG",)}


class Forked:
    """As much of `subprocess.Popen` as tests use, with text on standard output."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], stdin: int) -> None:
        self.args, self.returncode = arguments, None
        read_end, write_end = os.pipe()
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # one message each: pid, status
        inputs = os.pipe() if stdin == subprocess.PIPE else (os.open(os.devnull, os.O_RDONLY), -1)
        try:
            message = {"arguments": arguments, "environment": dict(environment), "folder": str(Path.cwd())}
            _server().start(message, [inputs[0], write_end, there.fileno()])
        finally:
            for descriptor in (inputs[0], write_end):
                os.close(descriptor)
            there.close()
        self._status, self._lock = here, threading.Lock()
        self.stdout = os.fdopen(read_end, encoding="utf-8")
        self.stdin = os.fdopen(inputs[1], "w", encoding="utf-8") if inputs[1] >= 0 else None
        self.stderr = None
        self.pid = int(self._told(60))

    def _told(self, seconds: float | None) -> str:
        """The next message of the first process about this one; empty after so many seconds."""
        if not select.select([self._status], [], [], seconds)[0]:
            return ""
        said = self._status.recv(64).decode()
        assert said, "the process that starts all others has ended"
        return said

    def poll(self) -> int | None:
        return self._look(0)

    def _look(self, seconds: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and (said := self._told(seconds)):
                self.returncode = int(said)
                self._status.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, None]:
        """What was printed, to its end, by then. Nothing is lost by TimeoutExpired, but what was read is not given."""
        if self.stdin:
            self.stdin.write(input or "")
            self.stdin.close()
        deadline = None if timeout is None else time.monotonic() + timeout
        if not hasattr(self, "_reader"):
            self._read: list[str] = []
            self._reader = threading.Thread(target=lambda: self._read.append(self.stdout.read()), daemon=True)
            self._reader.start()
        self._reader.join(timeout)
        if self._reader.is_alive():
            raise subprocess.TimeoutExpired(self.args, timeout)
        self.stdout.close()
        self.wait(None if deadline is None else max(0.1, deadline - time.monotonic()))
        return self._read[0], None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *error) -> None:
        for stream in (self.stdout, self.stdin):
            if stream:
                stream.close()
        self.wait()


class _Server:
    """This side of the first process, which ends when we do: its standard input is the messages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * _LONGEST_MESSAGE)
            self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _LONGEST_MESSAGE)
            os.set_inheritable(self._ours.fileno(), False)
            environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
            # Pipes, as a new process's standard streams will be; nothing is said through these.
            self.process = subprocess.Popen(
                [sys.executable, *OPTIONS, __file__], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=environment, cwd="/", start_new_session=True,
            )  # fmt: skip

    def start(self, message: dict, descriptors: list[int]) -> None:
        with self._lock:
            socket.send_fds(self._ours, [json.dumps(message).encode()], descriptors)


_servers: dict[int, _Server] = {}
_making = threading.Lock()


def _server() -> _Server:
    """One for each process that runs tests."""
    with _making:
        if os.getpid() not in _servers:
            _servers[os.getpid()] = _Server()
        return _servers[os.getpid()]


def serve() -> dict | None:
    """The first process's life. In a new one it returns what that is to do; None at the end."""
    import importlib

    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # what is shared by all is not looked at again and again
    messages = socket.socket(fileno=os.dup(0))
    heard, told = os.pipe()
    os.set_blocking(told, False)
    os.set_blocking(heard, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    alive: dict[int, socket.socket] = {}  # or dead, and not yet asked for: its number is not given to another one
    told_of: set[int] = set()
    while True:
        ready, _, _ = select.select([messages, heard, *(alive[pid] for pid in told_of)], [], [])
        for pid in [pid for pid in told_of if alive[pid] in ready]:
            os.waitpid(pid, 0)
            told_of.remove(pid)
            alive.pop(pid).close()
        if heard in ready:
            os.read(heard, 4096)
            _tell_of_the_dead(alive, told_of)
        if messages not in ready:
            continue
        text, descriptors, _, _ = socket.recv_fds(messages, _LONGEST_MESSAGE, 3)
        if not text:
            messages.close()
            return None
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            os.write(descriptors[2], str(os.getpid()).encode())  # from here on it can be killed as a group
            for target, source in enumerate((descriptors[0], descriptors[1], descriptors[1])):
                os.dup2(source, target)
            messages.detach()
            for status in alive.values():
                status.detach()
            os.closerange(3, 4096)
            return json.loads(text)
        status = socket.socket(fileno=descriptors[2])
        alive[pid] = status
        for descriptor in descriptors[:2]:
            os.close(descriptor)


def _tell_of_the_dead(alive: dict[int, socket.socket], told_of: set[int]) -> None:
    """Once each. Whoever has heard of it, or does not want to, closes the other end, which wakes `serve`."""
    for pid in alive.keys() - told_of:
        if found := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            told_of.add(pid)
            with contextlib.suppress(OSError):
                alive[pid].send(str(code).encode())


def begin(message: dict) -> str:
    """Become what `python manage.py …` would be; the path of that program."""
    os.environ.clear()
    os.environ.update(message["environment"])
    os.chdir(message["folder"])
    program = str(ROOT / "manage.py")
    sys.argv = [program, *message["arguments"]]
    sys.path[0] = str(ROOT)
    time.tzset()
    return program


if __name__ == "__main__":
    if found := serve():
        import runpy

        runpy.run_path(begin(found), run_name="__main__")
