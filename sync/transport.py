"""One HTTP exchange with a server that may be slow, lying or broken: bounded in time and size, and with no memory.

The whole exchange has one deadline (facts F26 of reliability.md; `sync.connecting` says what it cannot cut).
No redirects, no cookies, no compression, no settings from the environment; a proxy or a private authority only if it is
named. Nothing here knows what is sent or asked. No error text holds a header, so none holds the token.
"""

import errno
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http.cookiejar import DefaultCookiePolicy

import requests
from urllib3.exceptions import HTTPError, IncompleteRead, ProxyError
from urllib3.exceptions import TimeoutError as NoAnswerInTime

from jobs.text import size_in_words
from sync.connecting import Adapter, Cutter

_CHUNK_BYTES = 64 * 1024


class TransportError(Exception):
    """No usable answer came. `was_sent`: the server may have acted all the same."""

    def __init__(self, message: str, *, was_sent: bool):
        super().__init__(message)
        self.was_sent = was_sent


class AnswerTooLarge(TransportError):
    """More came than is read."""


class _Closed(TransportError):
    """The other side has ended the connection before it answered."""


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str  # lower case, without parameters
    body: bytes
    was_sent_twice: bool = False  # the first time over a connection that ended


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
        call = (method, url, params, body, headers, most_bytes)
        with Cutter(self._seconds) as cutter:
            answer, failure = self._tried(cutter, call)
            if isinstance(failure, _Closed) and cutter.is_on_kept_connection:
                # Both sides may end a connection that rests; what was on its way then is sent by a new one.
                answer, failure = self._tried(cutter, call)
                answer = answer and replace(answer, was_sent_twice=True)
        if failure:
            # Not in the handler: the libraries' errors hold the request with its headers, and would hang on this one.
            raise failure
        return answer

    def close(self) -> None:
        """Of the calling thread."""
        if session := getattr(self._sessions, "session", None):
            session.close()
            del self._sessions.session

    def _tried(self, cutter: Cutter, call: tuple) -> tuple[Answer | None, TransportError | None]:
        answer, failure = None, None
        try:
            answer = self._exchange(*call)
        except TransportError as error:
            failure = error
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            failure = self._failure(_reason(error), cutter)
        # A connection that was cut gives all kinds of errors, or none where its end is the answer's end.
        if cutter.has_cut:
            failure = self._failure(f"no whole answer within {self._seconds:g} seconds", cutter)
        return answer, failure

    def _exchange(self, method, url, params, body, headers, most_bytes) -> Answer:
        with self._session().request(
            method,
            url,
            params=params,
            data=body,
            headers=headers,
            timeout=self._seconds,
            allow_redirects=False,
            stream=True,
        ) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                # A few hundred KB of gzip can be hundreds of MB.
                raise TransportError("it answers compressed, which was not asked for", was_sent=True)
            content = _read(response.raw, most_bytes)
            content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return Answer(response.status_code, content_type, content)

    def _failure(self, reason: str, cutter: Cutter) -> TransportError:
        way = " (JOB_SERVER_PROXY is set)" if self._proxies and not cutter.was_sent else ""
        kind = _Closed if reason == _CLOSED else TransportError
        return kind(reason + way, was_sent=cutter.was_sent)

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
                session.mount(prefix, Adapter())
            self._sessions.session = session
        return self._sessions.session


def _read(raw, most_bytes: int) -> bytes:
    content = bytearray()
    while chunk := raw.read1(_CHUNK_BYTES):
        content += chunk
        if len(content) > most_bytes:
            raise AnswerTooLarge(f"its answer is larger than {size_in_words(most_bytes)}", was_sent=True)
    return bytes(content)


_UNTRUSTED = "its certificate is not trusted: %s (JOB_SERVER_CA_FILE names a private authority's)"
_OTHER_NAME = "its certificate is for another name (is JOB_SERVER_ENDPOINT right?)"
_NAME_MISMATCHES = (62, 63, 64)  # of OpenSSL: host name, e-mail, address
_CLOSED = "it closed the connection"
_CUT_OFF = "the connection ended in the middle of its answer"
# The first kind of which an error, or one that it came from, is.
_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (ConnectionRefusedError, "it refuses the connection"),
    (socket.gaierror, "its name cannot be looked up"),
    ((TimeoutError, NoAnswerInTime), "it does not answer in time"),
    ((IncompleteRead, http.client.IncompleteRead), _CUT_OFF),
    ((ConnectionError, ssl.SSLEOFError), _CLOSED),
    (http.client.HTTPException, "what it says is no HTTP"),
)


def _reason(error: Exception) -> str:
    """A sentence's end in words of our own: the libraries' texts may quote addresses with passwords."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            is_other_name = cause.verify_code in _NAME_MISMATCHES
            return _OTHER_NAME if is_other_name else _UNTRUSTED % cause.verify_message
        if isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return "the network does not reach it"
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return f"no secure connection comes about ({cause.reason})"
    found = next((reason for kind, reason in _REASONS for cause in causes if isinstance(cause, kind)), "")
    if any(isinstance(cause, ProxyError) for cause in causes):
        return f"its proxy: {found}" if found else "the proxy does not let us through"
    return found or f"no answer ({type(error).__name__})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        inside = next((each for each in error.args if isinstance(each, BaseException)), None)
        error = error.__cause__ or error.__context__ or inside
