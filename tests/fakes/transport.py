"""Sockets and threads of the fake job-server: HTTP requests in, answers out in every polite and impolite way.

One thread per connection. `close` ends all connections, also those that are held back on purpose.
"""

import contextlib
import http
import select
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

from tests.fakes.messages import Answer, Delivery, Headers, Received
from tests.ports import HOST

DELIVERIES_THAT_END_THE_CONNECTION = (Delivery.CUT, Delivery.DROP, Delivery.NEVER)


class Listener(socketserver.ThreadingTCPServer):
    """Calls `answer(received)` for each request; `close` waits for all threads."""

    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[Received], Answer], port: int, keep_alive: bool, tls: ssl.SSLContext | None):
        self.answer = answer
        self.keep_alive = keep_alive
        self.tls = tls
        self.stopping = threading.Event()
        self.errors: list[BaseException] = []
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((HOST, port), Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="fake job-server")
        self._thread.start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def get_request(self) -> tuple[socket.socket, tuple]:
        connection, address = super().get_request()
        if self.tls:
            # The handshake happens in the connection's own thread, at its first read.
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: socket.socket, client_address: tuple) -> None:
        """A client that goes away is no error; anything else is a mistake of the fake, which `stop` raises."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | ssl.SSLError | TimeoutError):
            self.errors.append(error)

    def close(self) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Listener
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.protocol_version = "HTTP/1.1" if self.server.keep_alive else "HTTP/1.0"
        super().setup()

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the client went away before the end of its body")
        received = Received(
            method=self.command,
            target=self.path,
            headers=Headers(self.headers.items()),
            body=body,
            at=time.monotonic(),
            time=datetime.now(UTC),
        )
        if "transfer-encoding" in received.headers:
            self.close_connection = True  # what follows is not understood
        self.deliver(self.server.answer(received))

    def deliver(self, answer: Answer) -> None:
        if answer.delivery in DELIVERIES_THAT_END_THE_CONNECTION or answer.raw is not None:
            self.close_connection = True
        if answer.gate and not self.hold(answer.gate):
            return
        head, body = self.head_of(answer), b"" if self.command == "HEAD" else answer.body
        if answer.raw is not None:
            head, body = answer.raw, b""
        match answer.delivery:
            case Delivery.WHOLE:
                self.wfile.write(head + body)
            case Delivery.CUT:
                self.wfile.write(head + body[: len(body) // 2])
            case Delivery.DRIP:
                self.wfile.write(head)
                self.drip(body, answer.seconds_per_byte)
            case Delivery.DRIP_ALL:
                self.drip(head + body, answer.seconds_per_byte)
            case Delivery.NEVER:
                self.hold(threading.Event())

    def head_of(self, answer: Answer) -> bytes:
        reason = http.HTTPStatus(answer.status).phrase
        lines = [f"{self.protocol_version} {answer.status} {reason}", f"Date: {self.date_time_string()}"]
        if answer.content_type is not None:
            lines.append(f"Content-Type: {answer.content_type}")
        lines += [f"{name}: {value}" for name, value in answer.headers]
        lines.append(f"Content-Length: {len(answer.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def drip(self, content: bytes, seconds: float) -> None:
        for i in range(len(content)):
            self.wfile.write(content[i : i + 1])
            if self.server.stopping.wait(seconds):
                self.close_connection = True
                return

    def hold(self, gate: threading.Event) -> bool:
        """Say nothing until the gate opens (True), the client has gone or the fake stops (False)."""
        while not gate.wait(0.01):
            readable, _, _ = select.select([self.connection], [], [], 0)
            # The end of the connection, by either side: a client that waits for its answer sends nothing.
            if readable:
                self.close_connection = True
                return False
        return True

    def log_message(self, *arguments) -> None:
        """The journal keeps what was asked; nothing is printed."""
