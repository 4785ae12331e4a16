"""Whom the transport trusts, and how it goes through a proxy: certificates and tunnels of our own on this machine."""

import logging
import select
import socket
from collections.abc import Iterator

import pytest

from sync.transport import Transport, TransportError
from tests.authorities import Authority
from tests.raw_server import HOST, Line, RawServer, answer

IN_TIME = "it does not answer in time"  # the socket's own time-out may come first
TOKEN, PASSWORD = "a-very-secret-token", "a-proxys-password"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def ask() -> Iterator:
    made = []

    def ask(url: str, seconds: float = 10, **more):
        made.append(Transport(seconds=seconds, headers={"Authorization": TOKEN}, **more))
        return made[-1].exchange("GET", url, most_bytes=1000)

    yield ask
    for transport in made:
        transport.close()


def well(line: Line) -> None:
    while line.read_request():
        line.say(answer(b'"well"'))


def refusal(ask, url: str, **more) -> str:
    with pytest.raises(TransportError) as caught:
        ask(url, **more)
    assert not caught.value.was_sent, "nothing may be told to somebody who is not trusted"
    return str(caught.value)


def test_a_server_of_the_named_authority_is_trusted(ask, authority):
    with RawServer(well, authority.server()) as server:
        assert ask(server.url, ca_file=str(authority.file)).body == b'"well"'


def test_an_unknown_authority_is_refused_with_what_to_do(ask, authority):
    with RawServer(well, authority.server()) as server:
        found = refusal(ask, server.url)
    assert found.startswith("its certificate is not trusted: ")
    assert "JOB_SERVER_CA_FILE" in found


def test_the_environment_names_no_authority(ask, authority, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(authority.file))
    with RawServer(well, authority.server()) as server:
        assert "not trusted" in refusal(ask, server.url)


def test_another_authority_of_the_same_name_is_refused(ask, authority, tmp_path):
    other = Authority(tmp_path)
    with RawServer(well, authority.server()) as server:
        assert "JOB_SERVER_CA_FILE" in refusal(ask, server.url, ca_file=str(other.file))


@pytest.mark.parametrize(
    ("certificate", "asked"),
    [
        ("DNS:other.example", HOST),
        ("IP:127.0.0.2", HOST),
        ("DNS:other.example", "localhost"),
        ("IP:127.0.0.1", "localhost"),
    ],
)
def test_a_certificate_for_another_name_is_refused_with_what_to_do(ask, authority, certificate, asked):
    with RawServer(well, authority.server(certificate)) as server:
        found = refusal(ask, f"https://{asked}:{server.port}/", ca_file=str(authority.file))
    assert found == "its certificate is for another name (is JOB_SERVER_ENDPOINT right?)"


def test_a_certificate_that_has_expired_is_refused_by_that_word(ask, authority):
    with RawServer(well, authority.server(days=-1)) as server:
        assert "expired" in refusal(ask, server.url, ca_file=str(authority.file))


def test_a_server_without_tls_is_a_failure_in_words_of_our_own(ask):
    with RawServer(lambda line: line.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        found = refusal(ask, f"https://{HOST}:{server.port}/")
    assert found.startswith("no secure connection comes about (")


def test_a_file_of_authorities_that_holds_none_is_a_failure(ask, authority, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    with RawServer(well, authority.server()) as server:
        found = refusal(ask, server.url, ca_file=str(empty))
    assert found == "no secure connection comes about (NO_CERTIFICATE_OR_CRL_FOUND)"


def test_a_drip_through_tls_has_the_deadline_too(ask, authority):
    def talk(line: Line) -> None:
        line.read_request()
        line.say(answer(length=200))
        line.drip(b"x" * 198)

    with (
        RawServer(talk, authority.server()) as server,
        pytest.raises(TransportError, match=r"no whole answer within 0.6 seconds|does not answer in time"),
    ):
        ask(server.url, seconds=0.6, ca_file=str(authority.file))


def test_an_answer_that_tls_cuts_off_is_not_taken_for_whole(ask, authority):
    def talk(line: Line) -> None:
        line.read_request()
        line.say(answer(length=200))

    with (
        RawServer(talk, authority.server()) as server,
        pytest.raises(TransportError, match=r"ended in the middle|closed the connection") as error,
    ):
        ask(server.url, ca_file=str(authority.file))
    assert error.value.was_sent


# Proxies


class Tunnels:
    """What a proxy does with CONNECT; `asked` are the heads of the requests that it was sent."""

    def __init__(self, target: int, reply: bytes = b"HTTP/1.1 200 Go on\r\n\r\n"):
        self._target, self._reply = target, reply
        self.asked: list[bytes] = []

    def __call__(self, line: Line) -> None:
        self.asked.append(line.read_request())
        line.say(self._reply)
        if b"200" in self._reply:
            with socket.create_connection((HOST, self._target)) as target:
                self._pass_on(line, target)

    def _pass_on(self, line: Line, target: socket.socket) -> None:
        other = {line.connection: target, target: line.connection}
        while not line.is_stopping(0):
            for ready in select.select(list(other), [], [], 0.02)[0]:
                if not (content := ready.recv(65536)):
                    return
                other[ready].sendall(content)


def proxy_url(proxy: RawServer) -> str:
    return f"http://somebody:{PASSWORD}@{HOST}:{proxy.port}"


def test_the_named_proxy_is_used_by_a_tunnel_and_never_sees_the_token(ask, authority, caplog):
    caplog.set_level(logging.DEBUG)
    with RawServer(well, authority.server()) as server:
        tunnels = Tunnels(server.port)
        with RawServer(tunnels) as proxy:
            found = ask(server.url, ca_file=str(authority.file), proxy=proxy_url(proxy))
    assert found.body == b'"well"'
    assert tunnels.asked[0].startswith(f"CONNECT {HOST}:{server.port} HTTP/1".encode())
    assert b"Proxy-Authorization: Basic" in tunnels.asked[0]
    assert TOKEN.encode() not in b"".join(tunnels.asked)
    assert "urllib3" in {record.name.partition(".")[0] for record in caplog.records}
    assert TOKEN not in caplog.text and PASSWORD not in caplog.text


def test_the_certificate_is_asked_for_through_a_proxy_as_well(ask, authority):
    with RawServer(well, authority.server("DNS:other.example")) as server, RawServer(Tunnels(server.port)) as proxy:
        found = refusal(ask, server.url, ca_file=str(authority.file), proxy=proxy_url(proxy))
    assert "another name" in found


REFUSING_PROXIES = {
    "password": Tunnels(0, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"),
    "forbidden": Tunnels(0, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
    "closed": Tunnels(0, b""),
    "no proxy": Tunnels(0, b"SSH-2.0-OpenSSH\r\n"),
}


@pytest.mark.parametrize("tunnels", REFUSING_PROXIES.values(), ids=REFUSING_PROXIES.keys())
def test_a_proxy_that_does_not_let_us_through_is_named_without_its_password(ask, tunnels, caplog):
    caplog.set_level(logging.DEBUG)
    with RawServer(tunnels) as proxy:
        found = refusal(ask, "https://job-server.example/", proxy=proxy_url(proxy))
    assert "JOB_SERVER_PROXY" in found
    assert PASSWORD not in found + caplog.text


def test_a_proxy_that_is_not_there_is_named_without_its_password(ask, caplog, port_of_nobody):
    proxy = f"http://somebody:{PASSWORD}@{HOST}:{port_of_nobody}"
    found = refusal(ask, "https://job-server.example/", proxy=proxy)
    assert "JOB_SERVER_PROXY" in found
    assert PASSWORD not in found + caplog.text


def test_a_proxy_that_never_answers_has_the_deadline_too(ask):
    with RawServer(lambda line: line.hold()) as proxy:
        found = refusal(ask, "https://job-server.example/", seconds=0.4, proxy=proxy_url(proxy))
    # The socket's own time-out may come first.
    assert found.endswith(" (JOB_SERVER_PROXY is set)")


def test_a_proxy_that_drips_has_the_deadline_too(ask):
    with RawServer(lambda line: line.drip(b"HTTP/1.1 200 " + b"x" * 200)) as proxy:
        found = refusal(ask, "https://job-server.example/", seconds=0.4, proxy=proxy_url(proxy))
        assert not proxy.was_heard_out
    assert found in {f"{why} (JOB_SERVER_PROXY is set)" for why in ("no whole answer within 0.4 seconds", IN_TIME)}
