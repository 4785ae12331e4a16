"""The connection to the engine: made when it is first needed, bounded in time, and with one kind of error only.

All that goes wrong between here and the engine becomes `ExecutorUnavailable` with a sentence for an operator. A call
that timed out may still be carried out later: its outcome is unknown (fact F1).
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import requests
import urllib3
from docker import APIClient
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException
from docker.tls import TLSConfig
from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool
from docker.utils import parse_host

from runner.executors.base import ContainerSilent, ExecutorUnavailable
from runner.executors.docker.tunnel import NoTunnel, Tunnel

# More than the threads that ask at the same time; a connection beyond it would be made anew for each call.
_KEPT_CONNECTIONS = 32
_BLOCK_BYTES = 64 * 1024
_TROUBLE = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True)
class Access:
    """What is needed to reach an engine on another machine, and nothing for one on this machine.

    `certificates`: a folder with ca.pem, cert.pem and key.pem, for an engine that is reached by TCP. `ssh_key` and
    `ssh_known_hosts`: files in place of OpenSSH's own.
    """

    certificates: str = ""
    ssh_key: str = ""
    ssh_known_hosts: str = ""


class _Connection(UnixHTTPConnection):
    """The SDK's, except that a socket which cannot be connected is closed and not left to the garbage collector.

    `tunnel` is what has to stand before.
    """

    def __init__(self, base_url: str, unix_socket: str, timeout: float, tunnel: Tunnel | None):
        super().__init__(base_url, unix_socket, timeout)
        self._tunnel = tunnel

    def connect(self) -> None:
        if self._tunnel is not None:
            self._tunnel.ensure(self.timeout)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self.unix_socket)
        except OSError:
            self.close()
            raise


class _Pool(UnixHTTPConnectionPool):
    tunnel: Tunnel | None = None

    def _new_conn(self) -> _Connection:
        return _Connection(self.base_url, self.socket_path, self.timeout, self.tunnel)


class _OnePool(UnixHTTPAdapter):
    """The SDK keeps a pool of connections for each address it is asked for; all of them lead to the same socket."""

    def __init__(self, base_url: str, timeout_seconds: float, tunnel: Tunnel | None):
        super().__init__(base_url, timeout_seconds)
        self._pool = _Pool("http+docker://localhost", self.socket_path, timeout_seconds, maxsize=_KEPT_CONNECTIONS)
        self._pool.tunnel = tunnel

    def get_connection(self, url: str, proxies: object = None) -> UnixHTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


class _Client(APIClient):
    """The SDK's client, except that its timeout bounds the whole answer and not only each read of it (fact F7).

    `told` is what the engine has said of itself when the version was negotiated.
    """

    told: Mapping = MappingProxyType({})

    def send(self, request: requests.PreparedRequest, **options: object) -> requests.Response:
        if options.get("stream"):
            return super().send(request, **options)
        deadline = time.monotonic() + float(options["timeout"])
        response = super().send(request, **options | {"stream": True})
        response._content = b"".join(self._blocks(response, deadline))
        response._content_consumed = True
        return response

    def _blocks(self, response: requests.Response, deadline: float) -> Iterator[bytes]:
        while block := response.raw.read1(_BLOCK_BYTES):
            yield block
            if time.monotonic() > deadline:
                response.close()
                raise requests.ReadTimeout("the answer came too slowly")


class Stream:
    """A long answer, block by block: `live` as it comes, else in full blocks. Either iterate over it once or close it.

    The engine sends each line of a log as a chunk of its own; full blocks take a third of the time for the same lines.
    """

    def __init__(self, response: requests.Response, what: str, *, live: bool):
        self._response = response
        self._what = what
        self._read = response.raw.read1 if live else response.raw.read
        self._lock = threading.Lock()
        self._is_read = self._is_closed = False
        # A descriptor of our own: `close` may come from another thread, when the connection's own number already
        # belongs to something else.
        self._socket: socket.socket | None = socket.socket(fileno=os.dup(response.raw.fileno()))

    def __iter__(self) -> Iterator[bytes]:
        """Raises ExecutorUnavailable if the answer breaks off; ends quietly after `close`."""
        with self._lock:
            self._is_read = not self._is_closed
        try:
            while not self._is_closed and (block := self._read(_BLOCK_BYTES)):
                yield block
        except _TROUBLE as error:
            if not self._is_closed:
                raise ExecutorUnavailable(f"The Docker engine broke off when asked {self._what}: {error}") from error
        finally:
            self._let_go()

    def close(self) -> None:
        """Wake up whoever reads: the read ends at once."""
        with self._lock:
            self._is_closed = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
        if not self._is_read:
            self._let_go()

    def _let_go(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        self._response.close()


class Engine:
    """One engine. Safe to use from several threads."""

    def __init__(self, base_url: str, timeout_seconds: float, access: Access | None = None):
        self.address = base_url
        self.timeout_seconds = timeout_seconds
        self._access = access or Access()
        is_by_ssh = base_url.startswith("ssh:")
        self._tunnel = Tunnel(base_url, self._access.ssh_key, self._access.ssh_known_hosts) if is_by_ssh else None
        self._lock = threading.Lock()
        self._client: _Client | None = None

    @contextlib.contextmanager
    def asked(self, what: str) -> Iterator[_Client]:
        """A connected client for calls that are described by `what` ("to start jobrunner-1").

        Raises ExecutorUnavailable for every trouble that the calls inside do not handle themselves.
        """
        try:
            yield self._connected()
        except _TROUBLE as error:
            raise ExecutorUnavailable(self._sentence(what, error)) from error

    @contextlib.contextmanager
    def asked_anew(self, what: str) -> Iterator[APIClient]:
        """As `asked`, by a connection that is made now: an engine that is going down answers only older ones."""
        with self.asked(what) as client, self._new_client(client.api_version) as newcomer:
            yield newcomer

    def description(self, client: APIClient, container: str, name: str) -> Mapping:
        """What the engine says of a container, which is asked for by id or name. Raises ContainerSilent and NotFound.

        Every verb about a container asks for it first, and a container that is wedged in the engine hangs here.
        """
        try:
            return client.inspect_container(container)
        except _TROUBLE as error:
            if not isinstance(error, APIError) and _is_timeout(error):
                raise ContainerSilent(self._sentence(f"about {name}", error)) from error
            raise

    def stream(self, what: str, path: str, parameters: dict[str, str], *, patient: bool) -> Stream:
        """GET `path` as a stream. `patient`: silence is no trouble, however long. Raises ExecutorUnavailable."""
        with self.asked(what) as client:
            response = client.get(
                f"{client.base_url}/v{client.api_version}{path}",
                params=parameters,
                stream=True,
                headers={"Accept-Encoding": "identity"},  # blocks are handed on as they come
                timeout=(self.timeout_seconds, None if patient else self.timeout_seconds),
            )
            client._raise_for_status(response)
            return Stream(response, what, live=patient)

    def close(self) -> None:
        """Let go of the connections, and of the SSH client if there is one. The next call would make new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
            if self._tunnel is not None:
                self._tunnel.close()

    def _connected(self) -> _Client:
        """The version is negotiated once; after a failure the next call tries again."""
        with self._lock:
            if self._client is None:
                with self._new_client(MINIMUM_DOCKER_API_VERSION) as any_version:
                    told = any_version.version(api_version=False)
                with understanding("its version"):
                    version = ".".join(str(int(part)) for part in told["ApiVersion"].split("."))
                self._client = self._new_client(version)
                self._client.told = told
            return self._client

    def _new_client(self, version: str) -> _Client:
        address = f"unix://{self._tunnel.socket}" if self._tunnel else self.address
        client = _Client(base_url=address, version=version, timeout=self.timeout_seconds, tls=self._tls())
        client.trust_env = False  # no proxy of the environment stands between us and the engine
        if address.startswith("unix:"):
            client.mount("http+docker://", _OnePool(parse_host(address), self.timeout_seconds, self._tunnel))
        return client

    def _tls(self) -> TLSConfig | bool:
        folder = Path(self._access.certificates)
        if not self._access.certificates or not self.address.startswith(("tcp:", "https:")):
            return False
        pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
        return TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem"), verify=True)

    def _sentence(self, what: str, error: Exception) -> str:
        if isinstance(error, APIError):
            return f"The Docker engine could not do what it was asked, {what}: {error.explanation or error}"
        if isinstance(error, requests.JSONDecodeError):
            return _not_understood(what)
        causes = list(_causes(error))
        if self._tunnel and (words := next((str(cause) for cause in causes if isinstance(cause, NoTunnel)), "")):
            return f"No connection to {self.address}: {words.rstrip('.')}. See docs/engines.md. It was asked {what}."
        if any(isinstance(cause, PermissionError) for cause in causes):
            return f"The job runner may not use {self.address}; its user must be in that socket's group."
        if any(isinstance(cause, (FileNotFoundError, ConnectionRefusedError)) for cause in causes):
            return f"No Docker engine answers at {self.address}; is it running? It was asked {what}."
        if _is_timeout(error):
            return f"The Docker engine did not answer within {self.timeout_seconds:g} s when asked {what}."
        return f"The connection to the Docker engine broke when it was asked {what}: {error}"


@contextlib.contextmanager
def understanding(what: str) -> Iterator[None]:
    """For reading one answer and nothing else: JSON of another shape than the engine's API promises is its trouble.

    Raises ExecutorUnavailable.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ExecutorUnavailable(_not_understood(what), detail=f"{type(error).__name__}: {error}") from error


def _not_understood(what: str) -> str:
    return (
        f"The Docker engine answered something that the job runner does not understand when asked {what}. "
        "Is what answers there a Docker engine, of version 20.10 or later?"
    )


def _is_timeout(error: BaseException) -> bool:
    return any(isinstance(cause, (requests.Timeout, TimeoutError)) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
