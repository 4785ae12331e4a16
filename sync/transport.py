"""One HTTP exchange with a server that may be slow, lying or broken: bounded in time and size, and with no memory.

The whole answer has one deadline, however slowly it drips (facts F26 of reliability.md): a timer cuts the connection.
No redirects, no cookies, no compression, no settings from the environment; a proxy or a private authority only if it is
named. Nothing here knows what is sent or asked. No error text holds a header, so none holds the token.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from socket import SHUT_RDWR, socket

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from jobs.text import size_in_words

CONNECT_SECONDS = 10.0
_CHUNK_BYTES = 64 * 1024


class TransportError(Exception):
    """No usable answer came. `was_sent`: the server may have acted all the same."""

    def __init__(self, message: str, *, was_sent: bool):
        super().__init__(message)
        self.was_sent = was_sent


class AnswerTooLarge(TransportError):
    """More came than is read."""


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str  # lower case, without parameters
    body: bytes


class _Cutter:
    """Ends an exchange at its deadline by shutting its socket down, whatever its thread waits for."""

    def __init__(self, seconds: float):
        self.has_cut = False
        self._end = time.monotonic() + seconds
        self._socket: socket | None = None
        self._connection: HTTPConnection | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> "_Cutter":
        self._timer.start()
        _this_thread.cutter = self
        return self

    def __exit__(self, *error) -> None:
        _this_thread.cutter = None
        self._timer.cancel()
        self._socket = self._connection = None

    def watch(self, connection: HTTPConnection) -> None:
        self._connection = connection
        # http.client lets go of the socket once it knows that the answer ends with the connection.
        self._socket = connection.sock or self._socket

    def _cut(self) -> None:
        self.has_cut = True
        connection, found = self._connection, self._socket
        for each in (found, connection.sock if connection is not None else None):
            if each is not None:
                with suppress(OSError):
                    each.shutdown(SHUT_RDWR)


_this_thread = threading.local()


class _Watched:
    """A connection that shows itself to the cutter of the exchange that uses it."""

    def request(self, *args, **kwargs):
        self._show()
        return super().request(*args, **kwargs)

    def getresponse(self):
        self._show()
        return super().getresponse()

    def _show(self) -> None:
        if cutter := getattr(_this_thread, "cutter", None):
            cutter.watch(self)


class _HTTPConnection(_Watched, HTTPConnection):
    pass


class _HTTPSConnection(_Watched, HTTPSConnection):
    pass


class _Adapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args, **kwargs):
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _HTTPSConnection if isinstance(pool, HTTPSConnectionPool) else _HTTPConnection
        return pool


class Transport:
    """Safe to use from several threads: each has connections of its own."""

    def __init__(self, *, seconds: float, headers: Mapping[str, str], ca_file: str = "", proxy: str = ""):
        self._seconds, self._headers = seconds, dict(headers)
        self._verify: str | bool = ca_file or True
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._sessions = threading.local()

    def exchange(
        self,
        method: str,
        url: str,
        *,
        most_bytes: int,
        params: Mapping[str, object] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The whole answer, whatever its status. Raises TransportError and AnswerTooLarge."""
        with _Cutter(self._seconds) as cutter:
            try:
                answer = self._exchange(method, url, params, body, headers, most_bytes)
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                if not cutter.has_cut:
                    raise TransportError(_reason(error), was_sent=_was_sent(error)) from None
            # A connection that was cut gives all kinds of errors, or none where its end is the answer's end.
            if cutter.has_cut:
                raise TransportError(f"no whole answer within {self._seconds:g} seconds", was_sent=True)
            return answer

    def close(self) -> None:
        """Of the calling thread."""
        if session := getattr(self._sessions, "session", None):
            session.close()
            del self._sessions.session

    def _exchange(self, method, url, params, body, headers, most_bytes) -> Answer:
        with self._session().request(
            method,
            url,
            params=params,
            data=body,
            headers=headers,
            timeout=(min(CONNECT_SECONDS, self._seconds), self._seconds),
            allow_redirects=False,
            stream=True,
        ) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                # A few hundred KB of gzip can be hundreds of MB.
                raise TransportError("it answers compressed, which was not asked for", was_sent=True)
            content = _read(response.raw, most_bytes)
            content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return Answer(response.status_code, content_type, content)

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            session = requests.Session()
            session.trust_env = False  # no proxy, no .netrc, no certificates that nobody named
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            session.verify, session.proxies = self._verify, dict(self._proxies)
            session.headers.update(
                {
                    "User-Agent": "jobrunner",
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    **self._headers,
                }
            )
            for prefix in ("https://", "http://"):
                session.mount(prefix, _Adapter())
            self._sessions.session = session
        return self._sessions.session


def _read(raw, most_bytes: int) -> bytes:
    content = bytearray()
    while chunk := raw.read1(_CHUNK_BYTES):
        content += chunk
        if len(content) > most_bytes:
            raise AnswerTooLarge(f"its answer is larger than {size_in_words(most_bytes)}", was_sent=True)
    if raw.length_remaining:
        raise TransportError("the connection ended in the middle of its answer", was_sent=True)
    return bytes(content)


def _was_sent(error: Exception) -> bool:
    """False only where it is certain that no server has seen the request."""
    never_connected = (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError, requests.exceptions.SSLError)
    text = repr(error)
    return not (isinstance(error, never_connected) or "NewConnectionError" in text or "NameResolutionError" in text)


_REASONS = (
    ("ProxyError", "the proxy (JOB_SERVER_PROXY) does not let us through"),
    ("refused", "it refuses the connection"),
    ("Name or service not known", "its name is not known here"),
    ("Temporary failure in name resolution", "its name cannot be looked up now"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted (JOB_SERVER_CA_FILE names a private authority's)"),
    ("SSL", "no secure connection comes about"),
    ("timed out", "it does not answer in time"),
    ("unreachable", "the network does not reach it"),
    ("No route to host", "the network does not reach it"),
    ("reset by peer", "it closed the connection"),
    ("IncompleteRead", "the connection ended in the middle of its answer"),
    ("InvalidChunkLength", "the connection ended in the middle of its answer"),
    ("closed", "it closed the connection"),
    ("aborted", "it closed the connection"),
)


def _reason(error: Exception) -> str:
    """A sentence's end in words of our own: the libraries' texts may quote addresses with passwords."""
    text = repr(error)
    return next((reason for sign, reason in _REASONS if sign in text), f"no answer ({type(error).__name__})")
