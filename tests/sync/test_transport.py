"""One HTTP exchange: bounded in time and size whatever the server does, no memory, no secret in any text."""

import contextlib
import gc
import gzip
import json
import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from sync.transport import Answer, AnswerTooLarge, Transport, TransportError
from tests.raw_server import HOST, Line, RawServer, answer, saying
from tests.site import wait_until

TOKEN = "a-very-secret-token"
MOST = 100_000
ENDLESS = b"x" * 200  # dripped: ten seconds, in small steps
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@pytest.fixture
def new_transport() -> Iterator:
    made = []

    def new(seconds: float = 10, **more) -> Transport:
        made.append(Transport(seconds=seconds, headers={"Authorization": TOKEN}, **more))
        return made[-1]

    yield new
    for transport in made:
        transport.close()


def get(transport: Transport, server: RawServer, **more) -> Answer:
    return transport.exchange("GET", server.url, **{"most_bytes": MOST} | more)


def failure(transport: Transport, server: RawServer, **more) -> TransportError:
    with pytest.raises(TransportError) as caught:
        get(transport, server, **more)
    return caught.value


def test_an_answer_comes_whole_with_its_status_and_kind(new_transport):
    with saying(answer(b'{"a": 1}', "418 Teapot", kind="Application/JSON; charset=utf-8")) as server:
        assert get(new_transport(), server) == Answer(418, "application/json", b'{"a": 1}')


def test_a_request_carries_what_the_contract_wants_and_nothing_else(new_transport):
    with saying(answer()) as server:
        new_transport().exchange(
            "POST", server.url, most_bytes=MOST, params={"limit": 5}, body=b"[]", headers={"Flags": "{}"}
        )
    first, *headers = server.requests[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert first == "POST /api/v2/?limit=5 HTTP/1.1"
    assert dict(header.split(": ", 1) for header in headers) == {
        "Host": f"{HOST}:{server.port}",
        "User-Agent": "jobrunner",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "keep-alive",
        "Authorization": TOKEN,
        "Flags": "{}",
        "Content-Length": "2",
    }
    assert server.requests[0].endswith(b"\r\n\r\n[]")


# Time


def after_request(*spoken: bytes, drip: bytes = b"", hold: bool = False):
    def talk(line: Line) -> None:
        line.read_request()
        for content in spoken:
            line.say(content)
        line.drip(drip)
        if hold:
            line.hold()

    return talk


SLOW = {
    "says nothing": after_request(hold=True),
    "drips the status line": after_request(drip=b"HTTP/1.1 " + ENDLESS),
    "drips headers": after_request(b"HTTP/1.1 200 OK\r\n", drip=b"X: " + ENDLESS),
    "goes on with 100 Continue": after_request(drip=b"HTTP/1.1 100 Continue\r\n\r\n" * 8),
    "drips a body of known length": after_request(answer(length=200)[:-2], drip=ENDLESS),
    "drips a body that ends with the connection": after_request(UNTIL_CLOSED, drip=ENDLESS),
    "drips a chunk": after_request(CHUNKED, b"c8\r\n", drip=ENDLESS),
    "drips small chunks": after_request(CHUNKED, drip=b"1\r\nx\r\n" * 30),
    "drips the size of a chunk": after_request(CHUNKED, drip=b"0" * 200),
    "drips trailers": after_request(CHUNKED, b"1\r\nx\r\n0\r\n", drip=b"X: " + ENDLESS),
    "stops in the middle of a body": after_request(answer(b"abc", length=200), hold=True),
}


@pytest.mark.parametrize("talk", SLOW.values(), ids=SLOW.keys())
def test_the_whole_answer_has_one_deadline_however_it_drips(new_transport, talk):
    with RawServer(talk) as server:
        error = failure(new_transport(seconds=0.4), server)
        assert not server.was_heard_out
    # A server that says nothing at all may also be noticed by the time-out of the socket.
    assert str(error) in {"no whole answer within 0.4 seconds", "it does not answer in time"}
    assert error.was_sent


def hold(line: Line) -> None:
    line.hold()


def test_a_handshake_of_tls_that_never_ends_has_the_deadline_too(new_transport):
    with (
        RawServer(hold) as server,
        pytest.raises(TransportError, match=r"no whole answer within 0.4 seconds|does not answer in time") as error,
    ):
        new_transport(seconds=0.4).exchange("GET", f"https://{HOST}:{server.port}/", most_bytes=MOST)
    assert not error.value.was_sent


def test_a_handshake_of_tls_that_drips_has_the_deadline_too(new_transport):
    # A record of a handshake, 16 KB long.
    with RawServer(lambda line: line.drip(b"\x16\x03\x03\x40\x00" + ENDLESS)) as server:
        with pytest.raises(
            TransportError, match=r"no whole answer within 0.4 seconds|does not answer in time"
        ) as error:
            new_transport(seconds=0.4).exchange("GET", f"https://{HOST}:{server.port}/", most_bytes=MOST)
        assert not server.was_heard_out
    assert not error.value.was_sent


def test_a_server_that_does_not_read_a_large_body_has_the_deadline_too(new_transport):
    def talk(line: Line) -> None:
        while line.connection.recv(1000):
            if line.is_stopping(0.05):
                return

    with (
        RawServer(talk) as server,
        pytest.raises(TransportError, match=r"no whole answer within 0.4 seconds|in time") as error,
    ):
        new_transport(seconds=0.4).exchange("POST", server.url, most_bytes=MOST, body=b"x" * 20_000_000)
    assert error.value.was_sent


def test_a_kept_connection_has_the_deadline_too(new_transport):
    transport = new_transport(seconds=2)  # enough for the first answer on a machine that stands still now and then

    def talk(line: Line) -> None:
        line.read_request()
        line.say(answer())
        line.read_request()
        line.drip(b"HTTP/1.1 200 OK\r\nX: " + ENDLESS)

    with RawServer(talk) as server:
        get(transport, server)
        error = failure(transport, server)
        assert not server.was_heard_out
    assert str(error) in {"no whole answer within 2 seconds", "it does not answer in time"}
    assert server.accepted == 1


def test_a_large_body_may_take_longer_than_a_connection(new_transport, monkeypatch):
    monkeypatch.setattr("sync.connecting.CONNECT_SECONDS", 0.2)

    def talk(line: Line) -> None:
        line.is_stopping(0.7)
        line.read_request()
        line.say(answer(b'"well"'))

    with RawServer(talk) as server:
        found = new_transport().exchange("POST", server.url, most_bytes=MOST, body=b"x" * 20_000_000)
    assert found.body == b'"well"'


@pytest.fixture
def dead() -> Iterator:
    """Gives addresses that let nobody in and do not say so, with one port: their queue of connections is full."""
    with contextlib.ExitStack() as stack:

        def make(count: int, port: int) -> list[tuple[str, int]]:
            for number in range(count):
                listener = stack.enter_context(socket.socket())
                listener.bind((f"127.0.0.{number + 2}", port))
                listener.listen(0)
                for _ in range(3):
                    waiting = stack.enter_context(socket.socket())
                    waiting.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        waiting.connect(listener.getsockname())
            return [(f"127.0.0.{number + 2}", port) for number in range(count)]

        yield make


@pytest.fixture
def has_addresses(monkeypatch):
    """Lets a name have these addresses."""
    look_up = socket.getaddrinfo

    def make(name: str, addresses: list[tuple[str, int]]) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses]
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *more, **options: found if host == name else look_up(host, *more, **options),
        )

    return make


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_dead_addresses_share_the_deadline(new_transport, dead, has_addresses, scheme, port_of_nobody):
    has_addresses("many.example", dead(4, port_of_nobody))
    with pytest.raises(TransportError, match=r"no whole answer within 0.4 seconds|does not answer in time") as error:
        new_transport(seconds=0.4).exchange("GET", f"{scheme}://many.example:{port_of_nobody}/", most_bytes=MOST)
    assert not error.value.was_sent


def test_dead_addresses_leave_time_for_one_that_answers(new_transport, dead, has_addresses):
    with saying(answer(b'"well"')) as server:
        has_addresses("many.example", [*dead(1, server.port), (HOST, server.port)])
        # Half of it for the dead one; the rest is plenty also on a machine that stands still now and then.
        found = new_transport(seconds=3).exchange("GET", f"http://many.example:{server.port}/", most_bytes=MOST)
    assert found.body == b'"well"'


def test_an_address_that_refuses_is_not_the_last_word(new_transport, has_addresses):
    with saying(answer(b'"well"')) as server:
        has_addresses("two.example", [("127.0.0.2", server.port), (HOST, server.port)])
        found = new_transport().exchange("GET", f"http://two.example:{server.port}/", most_bytes=MOST)
    assert found.body == b'"well"'


def test_a_name_that_was_looked_up_for_too_long_is_not_connected_to(new_transport, monkeypatch):
    look_up = socket.getaddrinfo

    def slowly(host, *more, **options):
        threading.Event().wait(0.5)
        return look_up(host, *more, **options)

    with saying(answer()) as server:
        monkeypatch.setattr(socket, "getaddrinfo", slowly)
        error = failure(new_transport(seconds=0.2), server)
    assert str(error) in {"no whole answer within 0.2 seconds", "it does not answer in time"}
    assert (error.was_sent, server.accepted) == (False, 0)


def test_an_exchange_after_one_that_was_cut_is_whole(new_transport):
    answers = [False, True]

    def talk(line: Line) -> None:
        line.read_request()
        if answers.pop(0):
            line.say(answer(b'"well"'))
        else:
            line.drip(answer())

    transport = new_transport(seconds=1)
    with RawServer(talk) as server:
        failure(transport, server)
        assert get(transport, server).body == b'"well"'


def test_a_deadline_that_ends_between_two_exchanges_cuts_neither(new_transport):
    """The timer of an exchange that is over must not touch the connection, which the next exchange uses."""
    transport = new_transport(seconds=0.3)
    ends = threading.Event()
    with saying(answer()) as server:
        for _ in range(12):
            get(transport, server)
            ends.wait(0.05)
    assert server.accepted == 1


# Size and wholeness


def test_an_answer_up_to_the_limit_is_read(new_transport):
    with saying(answer(b"x" * MOST)) as server:
        assert len(get(new_transport(), server).body) == MOST


@pytest.mark.parametrize(
    "spoken",
    [
        answer(b"x" * (MOST + 1)),
        UNTIL_CLOSED + b"x" * (MOST + 1),
        CHUNKED + b"f0000\r\n" + b"x" * 0xF0000 + b"\r\n0\r\n\r\n",
    ],
    ids=["known length", "until closed", "chunked"],
)
def test_more_than_the_limit_is_not_read(new_transport, spoken):
    with RawServer(after_request(spoken)) as server:
        error = failure(new_transport(), server)
    assert isinstance(error, AnswerTooLarge)
    assert error.was_sent
    assert str(error) == "its answer is larger than 97.7 KiB"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "GZIP", "x"])
def test_a_compressed_answer_is_not_unpacked(new_transport, encoding):
    with saying(answer(gzip.compress(b"[" * 10_000_000), "200 OK", f"Content-Encoding: {encoding}")) as server:
        error = failure(new_transport(), server)
    assert "compressed" in str(error)
    assert error.was_sent


CUT = {
    "known length": answer(b'{"a": 1', length=8),
    "within a chunk": CHUNKED + b"8\r\n{}",
    "between chunks": CHUNKED + b"2\r\n{}\r\n",
    "before a chunk": CHUNKED,
}


@pytest.mark.parametrize("spoken", CUT.values(), ids=CUT.keys())
def test_an_answer_that_was_cut_off_is_not_taken_for_whole(new_transport, spoken):
    with RawServer(after_request(spoken)) as server:
        error = failure(new_transport(), server)
    assert (str(error), error.was_sent) == ("the connection ended in the middle of its answer", True)


def test_an_answer_without_a_length_ends_with_the_connection(new_transport):
    """It cannot be told from one that was cut off: whoever reads the body has to see."""
    with RawServer(after_request(UNTIL_CLOSED + b'{"a":')) as server:
        assert get(new_transport(), server).body == b'{"a":'


def test_chunks_are_put_together(new_transport):
    with RawServer(after_request(CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")) as server:
        assert get(new_transport(), server).body == b"{}"


NO_HTTP = {
    "garbage": b"\x00\xff\xfe\x16\x03\x01" * 40 + b"\r\n\r\n",
    "a long line": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000 + b"\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "no size of a chunk": CHUNKED + b"zz\r\n{}",
    "a negative status": b"HTTP/1.1 -5 OK\r\n\r\n",
}


@pytest.mark.parametrize("spoken", NO_HTTP.values(), ids=NO_HTTP.keys())
def test_what_is_no_http_is_a_failure_in_words_of_our_own(new_transport, spoken):
    with RawServer(after_request(spoken)) as server:
        error = failure(new_transport(), server)
    assert error.was_sent
    assert str(error) in {
        "what it says is no HTTP",
        "the connection ended in the middle of its answer",
        "no answer (InvalidHeader)",
        "it closed the connection",
    }


# No memory


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Again", "308 Moved"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_is_an_answer_and_is_never_followed(new_transport, status, method):
    with saying(answer()) as elsewhere, saying(answer(b"", status, f"Location: {elsewhere.url}")) as server:
        found = new_transport().exchange(method, server.url, most_bytes=MOST, body=b"[]")
    assert found.status == int(status[:3])
    assert elsewhere.accepted == 0
    assert len(server.requests) == 1


def test_cookies_are_never_sent_back(new_transport):
    transport = new_transport()
    cookies = ("Set-Cookie: sessionid=1; Path=/", "Set-Cookie: other=2; Domain=127.0.0.1")
    with saying(answer(b"{}", "200 OK", *cookies)) as server:
        for _ in range(3):
            get(transport, server)
    assert not any(b"cookie" in request.lower() for request in server.requests)


def test_proxies_and_passwords_of_the_environment_are_ignored(new_transport, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login somebody password else\ndefault login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with saying(answer()) as proxy, saying(answer(b'"direct"')) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{HOST}:{proxy.port}")
        assert get(new_transport(), server).body == b'"direct"'
    assert proxy.accepted == 0
    assert f"Authorization: {TOKEN}\r\n".encode() in server.requests[0]


def test_one_connection_serves_many_exchanges(new_transport):
    transport = new_transport()
    with saying(answer(b"{}"), answer(b"x" * 90_000), CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", answer(b"")) as server:
        for _ in range(8):
            get(transport, server)
    assert server.accepted == 1
    assert len(server.requests) == 8


def test_a_kept_connection_that_the_server_has_closed_is_replaced(new_transport):
    transport = new_transport()

    def talk(line: Line) -> None:
        line.read_request()
        line.say(answer())

    with RawServer(talk) as server:
        for _ in range(3):
            get(transport, server)
    assert server.accepted == 3


# What was sent, and what is said


NEVER_SENT = {
    "refused": (f"http://{HOST}:{{port}}/", "it refuses the connection"),
    "unknown name": ("http://no-such-host.invalid/", "its name cannot be looked up"),
    "no address": ("http://[:/", "no answer (InvalidURL)"),
    "no scheme": ("job-server", "no answer (MissingSchema)"),
}


@pytest.mark.parametrize(("url", "reason"), NEVER_SENT.values(), ids=NEVER_SENT.keys())
def test_what_never_reached_a_server_was_not_sent(new_transport, url, reason, port_of_nobody):
    with pytest.raises(TransportError) as caught:
        new_transport().exchange("POST", url.format(port=port_of_nobody), most_bytes=MOST, body=b"[]")
    assert (str(caught.value), caught.value.was_sent) == (reason, False)


def test_what_a_server_may_have_read_was_sent(new_transport):
    with RawServer(after_request()) as server:
        error = failure(new_transport(), server)
    assert (str(error), error.was_sent) == ("it closed the connection", True)


def test_a_name_in_the_address_does_not_give_the_reason(new_transport, port_of_nobody):
    with pytest.raises(TransportError, match="refuses"):
        new_transport().exchange("GET", f"http://{HOST}:{port_of_nobody}/timed out/SSL/closed/", most_bytes=MOST)


@pytest.mark.parametrize("headers", [{"Flags": "a\nb"}, {"Flags": "\u2026"}])
def test_a_header_that_cannot_be_sent_is_not_quoted(new_transport, headers):
    with saying(answer()) as server:
        error = failure(new_transport(), server, headers=headers)
    assert str(error).startswith("no answer (")
    assert server.requests == []


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_neither_errors_nor_logs_hold_the_token(new_transport, caplog, port_of_nobody):
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests", "urllib3.connectionpool", "urllib3.util.retry"):
        caplog.set_level(logging.DEBUG, name)
    errors = []
    with saying(answer(), answer(length=50), answer()) as server, RawServer(after_request()) as closing:
        get(new_transport(), server)
        errors.append(failure(new_transport(seconds=0.3), server))
        errors.append(failure(new_transport(), closing))
        errors.append(failure(new_transport(ca_file="/nowhere/ca.pem"), server, headers={"X": TOKEN + "\n"}))
    with pytest.raises(TransportError) as refused:
        new_transport().exchange("GET", f"http://{HOST}:{port_of_nobody}/", most_bytes=MOST)
    errors.append(refused.value)
    assert "api/v2" in caplog.text, "the libraries were to be heard"
    assert TOKEN not in caplog.text
    for error in errors:
        # The libraries' errors hold the request with its headers; none of them may hang on ours.
        assert list(chain(error)) == [error]
        assert TOKEN not in repr(error)


# Threads


def test_threads_have_connections_of_their_own(new_transport):
    transport = new_transport()
    both = threading.Barrier(2, timeout=10)
    bodies = []

    def talk(line: Line) -> None:
        if line.read_request():
            both.wait()
            line.say(answer(json.dumps(server.accepted).encode()))

    def ask() -> None:
        bodies.append(get(transport, server).body)
        transport.close()

    with RawServer(talk) as server:
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert bodies == [b"2", b"2"]


def sockets_of_this_process() -> int:
    from pathlib import Path

    return len(list(Path("/proc/self/fd").iterdir()))


def test_two_hundred_exchanges_leave_no_thread_and_no_socket(new_transport):
    transport = new_transport()
    with saying(answer(), answer(length=1), answer(b"x" * 20, length=20)) as server:
        get(transport, server)
        threads, sockets = threading.active_count(), sockets_of_this_process()
        for _ in range(100):
            get(transport, server)
            failure(transport, server, most_bytes=1)
        transport.close()
        gc.collect()  # a socket that was not closed would be a warning, and warnings are errors
        wait_until(lambda: threading.active_count() <= threads + 1, what="the end of the timers")
        wait_until(lambda: sockets_of_this_process() <= sockets, what="the end of the sockets")
