"""Small real git repositories for tests, and a real loopback server that can be told to fail."""

import base64
import contextlib
import http.server
import itertools
import os
import ssl
import subprocess
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Alice"), ("EMAIL", "alice@example.org"), ("DATE", "2024-01-01T00:00:00+0000"))
}
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    # No housekeeping in the background, which would still be at work when a test removes its folder.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "gc.auto",
    "GIT_CONFIG_VALUE_0": "0",
    **_IDENTITY,
}


def git(path: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Run git in the repository at `path`; what it writes, without the last newline. Fails loudly."""
    done = subprocess.run(
        ["git", "-C", str(path), *arguments], input=stdin, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().rstrip("\n")


def make_repository(path: Path, files: Mapping[str, bytes | str], branch: str = "main") -> str:
    """A new repository with one commit of these files on `branch`; the id of the commit."""
    path.mkdir(parents=True, exist_ok=True)
    git(path, "init", "--quiet", f"--initial-branch={branch}")
    return commit(path, files)


def repository_of(folder: Path, path: Path) -> Path:
    """A repository with the files of a folder (such as demo/study) in its one commit; returns its path."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    make_repository(path, files)
    return path


def commit(path: Path, files: Mapping[str, bytes | str], message: str = "Change the study") -> str:
    """Write these files and commit everything in the folder; the id of the commit."""
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    git(path, "add", "--all", "--force")
    git(path, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(path, "rev-parse", "HEAD")


@dataclass
class GitServer:
    """A running server. `faults` are used up one by one by the next requests; `requests` are those that came.

    A fault is a status ("500", "404", "301 http://elsewhere/"), "drop" (the connection is closed without an answer),
    "cut" (half of the answer), "hang" (silence until the server is stopped), or "refs" and "zeros" (refs without end,
    compressed zeros without end). `on_request` is called while git waits for each answer.
    """

    url: str
    requests: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    faults: deque[str] = field(default_factory=deque)
    stopping: threading.Event = field(default_factory=threading.Event)
    on_request: Callable[[], None] = lambda: None

    @property
    def host(self) -> str:
        """As settings name it: host and port."""
        return self.url.partition("://")[2]


@contextlib.contextmanager
def serve(
    root: Path, *, token: str = "", newest_protocol: bool = True, certificate: Path | None = None
) -> Iterator[GitServer]:
    """Serve all repositories below `root` by smart HTTP on loopback: `<url>/study` is root/study.

    With a token, only requests that carry it as the password of basic authentication are answered. Without
    `newest_protocol` the server is as old ones are: it gives no commit by its id but the tips of branches and tags.
    With a certificate (PEM, its key in the same file) it speaks https.
    """
    state = GitServer(url="")

    class Handler(_Handler):
        server_state = state
        project_root = root
        wanted_token = token
        speaks_newest = newest_protocol

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        state.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            state.stopping.set()
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    server_state: GitServer
    project_root: Path
    wanted_token: str
    speaks_newest: bool

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, *arguments) -> None:
        """Silence: the tests look at `requests`."""

    def _answer(self, body: bytes) -> None:
        state = self.server_state
        state.requests.append(self.path)
        state.on_request()
        state.authorizations.append(self.headers.get("Authorization"))
        fault = state.faults.popleft() if state.faults else ""
        if fault == "hang":
            state.stopping.wait(60)
        elif fault == "drop":
            self.close_connection = True
        elif fault in ("refs", "zeros"):
            self._flood(fault)
        elif fault and fault != "cut":
            self._refuse(*fault.split(" "))
        elif not self._is_allowed():
            self._refuse("401", "")
        else:
            self._send(self._from_git(body), only_half=fault == "cut")

    def _is_allowed(self) -> bool:
        if not self.wanted_token:
            return True
        kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
        password = base64.b64decode(credentials).decode().partition(":")[2]
        return kind == "Basic" and password == self.wanted_token

    def _refuse(self, status: str, location: str = "") -> None:
        self.send_response(int(status))
        if location:
            self.send_header("Location", location)
        if status == "401":
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _flood(self, fault: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        if fault == "zeros":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        packer = zlib.compressobj(wbits=31)
        pieces = itertools.chain([b"001e# service=git-upload-pack\n0000"], _endless(fault))
        with contextlib.suppress(OSError):
            for piece in pieces:
                packed = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
                self.wfile.write(packed if fault == "zeros" else piece)
        self.close_connection = True

    def _from_git(self, body: bytes) -> bytes:
        path, _, query = self.path.partition("?")
        variables = {
            **ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self.project_root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        if self.speaks_newest:
            variables["GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
            variables.update(GIT_CONFIG_COUNT="2", GIT_CONFIG_KEY_1="uploadpack.allowFilter", GIT_CONFIG_VALUE_1="true")
        done = subprocess.run(["git", "http-backend"], input=body, env=variables, capture_output=True, check=False)
        return done.stdout

    def _send(self, answer: bytes, *, only_half: bool) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if only_half else body)
        self.close_connection = True


def _endless(fault: str) -> Iterator[bytes]:
    """The first ref carries the server's capabilities, behind a NUL."""
    for number in itertools.count():
        ref = b"%040x refs/heads/%s%d%s\n" % (number + 1, b"x" * 900, number, b"" if number else b"\0side-band-64k")
        yield b"0" * 1_000_000 if fault == "zeros" else b"%04x%s" % (len(ref) + 4, ref)
