"""Connections that end at a deadline, whatever the server, a proxy or the network does.

A timer cuts the connection of an exchange, however slowly it drips; the server's addresses share the time until then,
however many of them are dead. Only looking up its name cannot be cut: the system's resolver has time limits of its own
(resolv.conf), and an exchange may take so much longer. Nothing here knows what is exchanged.
"""

import os
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError

CONNECT_SECONDS = 10.0


class Cutter:
    """Ends an exchange at its deadline by shutting its connection down, whatever its thread waits for."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.has_cut = False
        self.was_sent = False  # as far as we know: its first byte was handed over to a connection
        self.is_on_kept_connection = False  # which the server may just have closed
        self._ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> "Cutter":
        self._timer.start()
        _this_thread.cutter = self
        return self

    def __exit__(self, *error) -> None:
        _this_thread.cutter = None
        self._timer.cancel()
        with self._lock:
            self._let_go()

    def seconds_left(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    def watch(self, watched: socket.socket) -> None:
        """By a second handle: the first one changes hands in a TLS handshake and at the end of an answer."""
        with self._lock:
            self._let_go()
            self._socket = socket.socket(fileno=os.dup(watched.fileno()))
            if self.has_cut:
                self._shut()

    def _cut(self) -> None:
        with self._lock:
            self.has_cut = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


_this_thread = threading.local()


class _Watched:
    """A connection that shows itself to the cutter of the exchange that uses it."""

    def _new_conn(self) -> socket.socket:
        # The bare socket: a proxy and TLS are spoken to before there is a request.
        cutter = _this_thread.cutter
        try:
            bare = _connected(self._dns_host, self.port, self.socket_options or (), cutter)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error
        bare.settimeout(min(CONNECT_SECONDS, cutter.seconds))
        cutter.watch(bare)
        return bare

    def request(self, *args, **kwargs) -> None:
        cutter = _this_thread.cutter
        cutter.is_on_kept_connection = self.sock is not None
        if self.sock is None:
            self.connect()
        cutter.watch(self.sock)
        cutter.was_sent = True
        self.timeout = cutter.seconds  # a large body may take longer than a connection may
        return super().request(*args, **kwargs)


class _HTTPConnection(_Watched, HTTPConnection):
    pass


class _HTTPSConnection(_Watched, HTTPSConnection):
    pass


class Adapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args, **kwargs):
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _HTTPSConnection if isinstance(pool, HTTPSConnectionPool) else _HTTPConnection
        return pool


def _connected(host: str, port: int, options: Iterable[tuple], cutter: Cutter) -> socket.socket:
    """To the first address of the host that answers. Raises OSError.

    Each has its share of the time that is left: urllib3 would give all of it to each of them.
    """
    addresses = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    failure: OSError = TimeoutError("the deadline has passed")
    for left in range(len(addresses), 0, -1):
        seconds = min(CONNECT_SECONDS, cutter.seconds_left() / left)
        if seconds <= 0:
            break
        try:
            return _connected_to(addresses[-left], options, seconds)
        except OSError as error:
            failure = error
    raise failure


def _connected_to(found: tuple, options: Iterable[tuple], seconds: float) -> socket.socket:
    """`found` is an entry of getaddrinfo. Raises OSError."""
    family, kind, protocol, _, address = found
    connecting = socket.socket(family, kind, protocol)
    try:
        for option in options:
            connecting.setsockopt(*option)
        connecting.settimeout(seconds)
        connecting.connect(address)
    except BaseException:
        connecting.close()
        raise
    return connecting
