"""Runs git so that nothing of the machine, of a study or of a server can steer it, and so that it always ends.

Everything that git would take from its surroundings (configuration, hooks, helpers, prompts) is shut off by an
environment built from scratch. Each run has a deadline, is killed with all its children, and is read only up to a cap.
Which commands are run and what their failure means is not known here.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.conf import settings

from jobs.git.deadline import LOOK_EVERY_SECONDS, Deadline
from jobs.git.errors import GitFailed, GitUnavailable, basic_credentials
from jobs.git.names import Remote

_CHUNK = 1 << 16
_MOST_STDERR = 1 << 16
_MOST_RECORD = 8192
_GRACE_SECONDS = 2
# No file of a fetch may grow much beyond the largest commit that is accepted, whatever the server sends. The shell sets
# the limit before git exists: set from outside, it could come after git has started children without it.
_WITH_LIMITS = ("sh", "-c", 'ulimit -f "$0" 2>/dev/null; ulimit -v "$1" 2>/dev/null; shift; exec "$@"')
_BLOCK = 512
# What each git that a server talks to may take of the machine's memory: endless refs or a few kilobytes of compressed
# zeros would take all of it. An honest fetch of 500 MB needs 0.2 GiB.
_MOST_MEMORY = 2 * 1024**3
# What a pack needs beside the files' contents: folders, index, headers.
_PACK_OVERHEAD = 16 * 1024 * 1024

# Given by environment, not as `-c`, because everyone on the machine can read the arguments of a process.
_CONFIGURATION = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.symlinks": "false",
    # No tree is ever checked out, so names that only Windows or macOS would misread are harmless.
    "core.protectNTFS": "false",
    "core.protectHFS": "false",
    # Larger blobs are streamed rather than held in memory.
    "core.bigFileThreshold": "32m",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "protocol.version": "2",
    "http.followRedirects": "false",
    "credential.helper": "",
    # The memory of a fetch must not depend on the number of processors.
    "pack.threads": "4",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # One pack for each fetch instead of up to a hundred loose files.
    "fetch.unpackLimit": "1",
    "tar.umask": "0022",
}
# Read by the `git upload-pack` that a fetch from a local folder starts; git clears the environment's configuration for
# it. The folder may belong to another user (a checkout on a shared machine, with the runner as root).
_LOCAL_CONFIGURATION = "[safe]\n\tdirectory = *\n[uploadpack]\n\tallowFilter = true\n\tallowAnySHA1InWant = true\n"


class GitProcess:
    """One running git, read chunk by chunk. Leaving the `with` block kills whatever still runs of it."""

    def __init__(self, arguments: Sequence[str], *, remote: Remote | None = None, keep_open: Sequence[int] = ()):
        """Start git. Only with a `remote` may it reach outside, and only there.

        `keep_open` are file descriptors (locks) that git inherits, so that they are held as long as any of it lives;
        `timeout` then ends it even if this process is killed first.
        """
        command = ["git", *arguments]
        if remote:
            command = [*_WITH_LIMITS, *_limits(remote), *command]
        self._remote = remote
        if keep_open:
            command = ["timeout", "-k", "5", str(settings.GIT_TIMEOUT_SECONDS + 5), *command]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=_home(),
                env=environment(remote),
                pass_fds=keep_open,
                start_new_session=True,
                # Python ignores SIGXFSZ; git does then too and can say that a file grew too large.
                restore_signals=False,
            )
        except OSError as error:
            raise GitUnavailable(
                f"git cannot be started on this machine: {error.strerror}. Is it installed?"
            ) from error
        self._stderr = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._selector.register(self._process.stderr, selectors.EVENT_READ)

    def __enter__(self) -> "GitProcess":
        return self

    def __exit__(self, *exc_info) -> None:
        self._kill()
        self._selector.close()
        self._process.stdout.close()
        self._process.stderr.close()

    def chunks(self, deadline: Deadline) -> Iterator[bytes]:
        """What git writes, piece by piece, to its good end. Raises GitFailed and Stopped."""
        while chunk := self.read_chunk(deadline):
            yield chunk

    def records(self, deadline: Deadline, end: bytes) -> Iterator[bytes]:
        """What git writes, cut after each `end`. Raises GitFailed, also for a record of absurd length."""
        rest = b""
        for chunk in self.chunks(deadline):
            *records, rest = (rest + chunk).split(end)
            yield from records
            if len(rest) > _MOST_RECORD:
                raise GitFailed("", too_long=True)

    def read_chunk(self, deadline: Deadline) -> bytes:
        """The next piece of git's output; b"" only after git has ended well. Raises GitFailed and Stopped."""
        while self._selector.get_map():
            if not deadline.seconds_left():
                raise self._failed(timed_out=True)
            for key, _ in self._selector.select(deadline.next_look()):
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    self._selector.unregister(key.fileobj)
                elif key.fileobj is self._process.stdout:
                    return chunk
                else:
                    # Only the end matters, and a hostile server may talk for ever.
                    self._stderr = (self._stderr + chunk)[-_MOST_STDERR:]
        self._check_end(deadline)
        return b""

    def _check_end(self, deadline: Deadline) -> None:
        last_moment = time.monotonic() + deadline.seconds_left() + _GRACE_SECONDS
        while not self._has_ended():
            if not deadline.seconds_left() and time.monotonic() > last_moment:
                raise self._failed(timed_out=True)
        if code := self._process.returncode:
            raise self._failed(ended_by=max(0, -code))

    def _has_ended(self) -> bool:
        try:
            self._process.wait(LOOK_EVERY_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _failed(self, **why) -> GitFailed:
        words = self._stderr.decode("utf-8", "replace")
        has_server = self._remote is not None and not self._remote.is_local
        if has_server:  # whatever stands for a host, people know the repository by its own address
            words = words.replace(self._remote.address, self._remote.name)
        return GitFailed(words, had_little_memory=has_server, **why)

    def _kill(self) -> None:
        """The whole group: git leaves the work to children. SIGTERM first, so that it removes its temporary files."""
        if self._process.returncode is not None:
            return
        # The leader is not reaped before the last signal: until then nobody else can get the group's number.
        os.killpg(self._process.pid, signal.SIGTERM)
        grace = Deadline(_GRACE_SECONDS)
        while grace.seconds_left() and not os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            time.sleep(0.005)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _limits(remote: Remote) -> tuple[str, str]:
    """Of a file in blocks, of memory in KiB. A local folder's other end is our own git: no server talks to it."""
    memory = "unlimited" if remote.is_local else str(_MOST_MEMORY // 1024)
    return str((settings.GIT_MAX_BYTES + _PACK_OVERHEAD) // _BLOCK), memory


def run(
    arguments: Sequence[str],
    deadline: Deadline,
    *,
    most_bytes: int,
    remote: Remote | None = None,
    keep_open: Sequence[int] = (),
) -> bytes:
    """What git writes to its standard output, at most `most_bytes`. Raises GitFailed and Stopped."""
    output = bytearray()
    with GitProcess(arguments, remote=remote, keep_open=keep_open) as process:
        for chunk in process.chunks(deadline):
            output += chunk
            if len(output) > most_bytes:
                raise GitFailed("", too_long=True)
    return bytes(output)


def environment(remote: Remote | None) -> dict[str, str]:
    """The whole environment of git: nothing is inherited but what the settings let through."""
    variables = dict(settings.GIT_ENVIRONMENT)
    variables.update(
        HOME=str(_home()),
        LC_ALL="C.UTF-8",
        GIT_ALLOW_PROTOCOL=remote.protocol if remote else "none",
        GIT_ATTR_NOSYSTEM="1",
        GIT_CEILING_DIRECTORIES=str(settings.GIT_REPO_DIR),
        GIT_CONFIG_GLOBAL=str(_local_configuration()) if remote and remote.is_local else "/dev/null",
        GIT_CONFIG_NOSYSTEM="1",
        GIT_LITERAL_PATHSPECS="1",
        GIT_NO_LAZY_FETCH="1",
        GIT_NO_REPLACE_OBJECTS="1",
        GIT_OPTIONAL_LOCKS="0",
        GIT_TERMINAL_PROMPT="0",
    )
    pairs = [*_CONFIGURATION.items(), *_configuration_for(remote)]
    variables["GIT_CONFIG_COUNT"] = str(len(pairs))
    for number, (key, value) in enumerate(pairs):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def _configuration_for(remote: Remote | None) -> Iterator[tuple[str, str]]:
    if remote is None or remote.is_local:
        return
    if settings.GIT_PROXY:
        yield "http.proxy", settings.GIT_PROXY
    if settings.PRIVATE_REPO_ACCESS_TOKEN and may_have_token(remote):
        key = f"http.{remote.protocol}://{remote.server}/.extraHeader"
        yield key, f"Authorization: Basic {basic_credentials()}"


def may_have_token(remote: Remote) -> bool:
    """Only the named hosts, and what stands for them, get the token, and never over a line that others can read."""
    server, _, _ = remote.server.partition(":")
    named = not {remote.host, remote.server}.isdisjoint(settings.GIT_TOKEN_HOSTS)
    return named and (remote.protocol == "https" or server in ("127.0.0.1", "localhost"))


def own_folder(name: str = "") -> Path:
    """The folder of all copies, or one with this name in it; nobody but the runner may look into them."""
    with own_files():
        for folder in (settings.GIT_REPO_DIR, settings.GIT_REPO_DIR / name):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def own_files() -> Iterator[None]:
    """Work on the files of the copies; what the disk refuses is nobody's fault but the machine's: GitUnavailable."""
    try:
        yield
    except OSError as error:
        raise GitUnavailable(
            f"The copies of repositories in {settings.GIT_REPO_DIR} cannot be written or read: {error.strerror}. "
            "Please tell the site's operator."
        ) from error


def _home() -> Path:
    """An empty folder: git's home and current folder, where it finds neither configuration nor a repository."""
    return own_folder(".home")


def _local_configuration() -> Path:
    path = settings.GIT_REPO_DIR / ".local-gitconfig"
    with own_files():
        if not path.is_file() or path.read_text() != _LOCAL_CONFIGURATION:
            temporary = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}")
            temporary.write_text(_LOCAL_CONFIGURATION)
            temporary.replace(path)
    return path
