"""A server that says exactly the bytes that a test wants, when it wants: what no well-behaved HTTP server can do."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Self

HOST = "127.0.0.1"


class Line:
    """One accepted connection: reads requests as bytes, writes whatever it is told to."""

    def __init__(self, connection: socket.socket, stopping: threading.Event):
        self.connection, self._stopping = connection, stopping
        self.heard_out = False  # somebody has waited for the end of a drip

    def read_request(self) -> bytes:
        """One request with its body; empty if the client has gone."""
        found = b""
        while b"\r\n\r\n" not in found:
            if not (chunk := self.connection.recv(65536)):
                return b""
            found += chunk
        head, _, body = found.partition(b"\r\n\r\n")
        lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while len(body) < int(lengths[0] if lengths else 0):
            body += self.connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def say(self, content: bytes) -> None:
        self.connection.sendall(content)

    def drip(self, content: bytes, seconds: float = 0.05) -> None:
        """Byte by byte, each long before a socket's time-out."""
        for place in range(len(content)):
            if self._stopping.wait(seconds):
                return
            self.say(content[place : place + 1])
        self.heard_out = bool(content)

    def is_stopping(self, seconds: float) -> bool:
        """Wait so long at most."""
        return self._stopping.wait(seconds)

    def hold(self) -> None:
        """Say nothing until the client has gone or the server stops."""
        self.connection.settimeout(0.02)
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(65536):
                    return


class RawServer:
    """`with RawServer(talk) as server:` calls `talk(line)` for each connection, in a thread of its own."""

    def __init__(self, talk: Callable[[Line], None], tls: ssl.SSLContext | None = None):
        self._talk, self._tls = talk, tls
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._handles: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self.requests: list[bytes] = []
        self._lines: list[Line] = []

    @property
    def was_heard_out(self) -> bool:
        """Whether somebody has waited for the end of a drip."""
        return any(line.heard_out for line in self._lines)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}/api/v2/"

    def __enter__(self) -> Self:
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def __exit__(self, *error) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for handle in self._handles:
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._handles.append(connection.dup())
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._lines.append(Line(connection, self._stopping))
                self._talk(self._lines[-1])
                # To close is not enough: `__exit__` has a second handle.
                connection.shutdown(socket.SHUT_RDWR)


def answer(
    body: bytes = b"{}",
    status: str = "200 OK",
    *headers: str,
    length: int | None = None,
    kind: str = "application/json",
) -> bytes:
    """A whole HTTP answer, with a Content-Length that may lie."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join([*lines, *headers]).encode("latin-1") + b"\r\n\r\n" + body


@contextlib.contextmanager
def saying(*answers: bytes) -> Iterator[RawServer]:
    """A server that gives these answers to its requests, one after the other; the last one again and again."""
    left = list(answers)

    def talk(line: Line) -> None:
        while request := line.read_request():
            server.requests.append(request)
            line.say(left.pop(0) if len(left) > 1 else left[0])

    with RawServer(talk) as server:
        yield server
