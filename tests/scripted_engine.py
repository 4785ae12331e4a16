"""An engine made of answers: a Unix socket that says what a test tells it to, the way no real engine can be made to."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Answer = bytes | Callable[[socket.socket], None]


def answer(status: int, content: object = None, *, reason: str = "x") -> bytes:
    """A whole HTTP answer with a JSON body."""
    body = b"" if content is None else json.dumps(content).encode()
    return f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


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
