"""An engine made of answers: a Unix socket that says what a test tells it to, the way no real engine can be made to."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.executors.docker import DockerExecutor

Answer = bytes | Callable[[socket.socket], None]
TIMEOUT_SECONDS = 0.5
LABELS = {"org.jobrunner.instance": "site", "org.jobrunner.job": "j", "org.jobrunner.attempt": "1"}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LIST, INSPECT = "GET /containers/json", "GET /containers/jr-1/json"
CREATE, EVENTS = "POST /containers/create", "GET /events"


def answer(status: int, content: object = None, *, reason: str = "x") -> bytes:
    """A whole HTTP answer with a JSON body."""
    body = b"" if content is None else json.dumps(content).encode()
    return f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def lines(*contents: object) -> bytes:
    """A whole HTTP answer with a line of JSON for each."""
    body = b"".join(json.dumps(content).encode() + b"\n" for content in contents)
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    """A part of an answer that began with CHUNKED."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def never_answer(connection: socket.socket) -> None:
    connection.recv(1)


def container(state: str, **more) -> dict:
    """Container "abc", named jr-1, as the engine describes it; `more` goes into its State."""
    never = "0001-01-01T00:00:00Z"
    facts = {"Status": state, "ExitCode": 0, "OOMKilled": False, "StartedAt": never, "FinishedAt": never}
    return {
        "Id": "abc",
        "Name": "/jr-1",
        "Created": "2026-01-01T12:00:00Z",
        "Image": "sha256:1",
        "Mounts": [],
        "State": facts | more,
        "Config": {"Labels": LABELS, "Env": []},
    }


def event(action: str, container_id: str = "abc") -> dict:
    return {"Type": "container", "Action": action, "Actor": {"ID": container_id}}


def executor_at(address: str) -> DockerExecutor:
    return DockerExecutor("site", uid=1, gid=1, base_url=address, call_timeout_seconds=TIMEOUT_SECONDS)


class ScriptedEngine:
    """`script` maps "METHOD /path", without the version, to the answers that are given one after the other.

    The last answer is given again. A callable gets the connection and answers as it likes; then the connection ends.
    """

    def __init__(self, path: Path, script: dict[str, list[Answer]]):
        self.asked: list[str] = []
        self._script = {"GET /version": [answer(200, {"ApiVersion": "1.41"})]} | script
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            while request := self._read(lines):
                self.asked.append(request)
                answers = self._script[request]
                chosen = answers.pop(0) if len(answers) > 1 else answers[0]
                if callable(chosen):
                    chosen(connection)
                    return
                connection.sendall(chosen)

    def _read(self, lines) -> str:
        """One request, as "METHOD /path"; "" when the other side has gone."""
        first = lines.readline().decode().split()
        length = 0
        while (header := lines.readline().strip().lower()) != b"":
            if header.startswith(b"content-length:"):
                length = int(header.partition(b":")[2])
        lines.read(length)
        if not first:
            return ""
        path = first[1].partition("?")[0]
        return f"{first[0]} {path.removeprefix('/v1.41').removeprefix('/v1.24')}"


@contextlib.contextmanager
def scripted_engine(folder: Path, script: dict[str, list[Answer]]) -> Iterator[tuple[ScriptedEngine, str]]:
    """The engine and its address."""
    path = folder / "engine.sock"
    engine = ScriptedEngine(path, script)
    try:
        yield engine, f"unix://{path}"
    finally:
        engine.close()
