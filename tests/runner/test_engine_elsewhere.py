"""Rules of an engine that is reached over a network: by TCP with certificates, by SSH."""

import contextlib
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from runner.executors.base import ExecutorUnavailable
from runner.executors.docker.engine import Access, Engine
from runner.executors.docker.tunnel import Tunnel
from tests import engine
from tests.authorities import Authority
from tests.ports import HOST, hold_port, port_of
from tests.private_engine import private_engine
from tests.site import ROOT, wait_until
from tests.ssh_server import SshServer, ssh_server

pytestmark = pytest.mark.needs_docker
MACHINES = engine.BASE_URL.removeprefix("unix://")


def ask(asked: Engine) -> str:
    with asked.asked("its version") as client:
        return client.version()["Version"]


@pytest.fixture(scope="module")
def sshd():
    with ssh_server() as server:
        yield server


def by_ssh(server: SshServer, *, key: Path | None = None, known: Path | None = None, socket: str = MACHINES) -> Engine:
    access = Access(ssh_key=str(key or server.key), ssh_known_hosts=str(known or server.known_hosts))
    return Engine(server.address(socket), 10, access)


@pytest.fixture
def connected(sshd):
    with contextlib.closing(by_ssh(sshd)) as made:
        yield made


# --- by SSH


def test_an_engine_is_reached_by_ssh_and_calls_share_one_connection(sshd, connected):
    before = len(sshd.children())

    assert {ask(connected) for _ in range(20)} == {version_of_the_machines()}

    assert len(sshd.children()) == before + 1


def version_of_the_machines() -> str:
    with engine.sdk() as client:
        return client.version()["Version"]


def test_a_connection_that_was_cut_is_made_anew_by_the_next_call(sshd, connected):
    ask(connected)
    sshd.cut_connections()
    wait_until(lambda: not sshd.children(), what="the end of the connections")

    def answers() -> bool:
        with contextlib.suppress(ExecutorUnavailable):
            return bool(ask(connected))
        return False

    wait_until(answers, what="a new connection")


def test_a_machine_that_is_down_is_trouble_that_passes(sshd, connected):
    ask(connected)
    sshd.stop()
    try:
        # At first the client that is just ending may still be met.
        wait_until(lambda: "Connection refused. See docs/engines.md" in trouble_with(connected), what="ssh's own words")
    finally:
        sshd.start()

    assert ask(connected)


def trouble_with(asked: Engine) -> str:
    with pytest.raises(ExecutorUnavailable) as raised:
        ask(asked)
    return str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"key": "stranger"}, "Permission denied"),
        ({"known": "nobody"}, "Host key verification failed"),
        ({"key": "missing"}, "Permission denied|No such file"),
    ],
)
def test_a_key_that_is_not_taken_and_a_host_that_is_not_known_are_told_in_ssh_s_own_words(sshd, wrong, words):
    paths = {name: sshd.folder / file for name, file in wrong.items()}
    with contextlib.closing(by_ssh(sshd, **paths)) as refused, pytest.raises(ExecutorUnavailable) as raised:
        ask(refused)

    assert "No connection to ssh://" in str(raised.value) and "docs/engines.md" in str(raised.value)
    assert re.search(words, str(raised.value)), raised.value


def test_a_socket_that_is_not_there_is_trouble(sshd):
    with contextlib.closing(by_ssh(sshd, socket="/nowhere/docker.sock")) as lost, pytest.raises(ExecutorUnavailable):
        ask(lost)


def test_a_killed_process_leaves_no_ssh_client(sshd):
    """However it dies; what it leaves in the temporary folder goes with the next one."""
    program = (
        "from runner.executors.docker.tunnel import Tunnel\n"
        f"tunnel = Tunnel({sshd.address(MACHINES)!r}, {str(sshd.key)!r}, {str(sshd.known_hosts)!r})\n"
        "tunnel.ensure(30)\nprint(tunnel.socket, flush=True)\ninput()"
    )
    process = subprocess.Popen(
        [str(ROOT / ".venv/bin/python"), "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        socket = Path(process.stdout.readline().strip())
        assert socket.is_socket() and socket.parent.stat().st_mode & 0o777 == 0o700
        assert socket.stat().st_mode & 0o777 == 0o600
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    wait_until(lambda: not _mentions(str(socket)), what="the end of the SSH client")

    with contextlib.closing(Tunnel("ssh://nobody@127.0.0.1:1")) as other:
        assert other.socket
    assert not socket.parent.exists()


def _mentions(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text in path.read_text():
                found.append(path.parent.name)
    return found


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ssh://alice@engine.example:2222", ["-p", "2222", "-l", "alice", "engine.example", ":/var/run/docker.sock"]),
        ("ssh://engine.example/run/podman/podman.sock", ["engine.example", ":/run/podman/podman.sock"]),
        ("ssh://[2001:db8::1]", ["2001:db8::1"]),
    ],
)
def test_the_address_says_all_that_ssh_has_to_know(address, words):
    command = " ".join(Tunnel(address).command(Path("/tmp/x")))

    assert all(word in command for word in words), command
    assert command.index(" -- ") < command.index(words[0] if len(words) < 3 else "engine.example")


# --- by TCP


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def by_tcp(authority, tmp_path_factory):
    """Address and certificates of a second engine, which wants to see a certificate."""
    certificates = tmp_path_factory.mktemp("certificates")
    certificate, key = authority.pair("engine")
    mine = authority.pair("client")
    shutil.copy(authority.file, certificates / "ca.pem")
    shutil.copy(mine[0], certificates / "cert.pem")
    shutil.copy(mine[1], certificates / "key.pem")
    options = (f"--tlscacert={authority.file}", f"--tlscert={certificate}", f"--tlskey={key}")
    with hold_port() as holder:
        holder.listen(128)
        with private_engine("--tlsverify", *options, listener=holder):
            yield f"tcp://{HOST}:{port_of(holder)}", certificates


def test_an_engine_is_reached_by_tcp_with_certificates(by_tcp):
    address, certificates = by_tcp
    with contextlib.closing(Engine(address, 10, Access(certificates=str(certificates)))) as asked:
        assert ask(asked)


def test_an_engine_whose_certificate_is_another_authority_s_is_not_believed(by_tcp, tmp_path):
    address, certificates = by_tcp
    shutil.copytree(certificates, tmp_path / "c")
    shutil.copy(Authority(tmp_path, "other").file, tmp_path / "c" / "ca.pem")
    access = Access(certificates=str(tmp_path / "c"))

    with (
        contextlib.closing(Engine(address, 10, access)) as asked,
        pytest.raises(ExecutorUnavailable, match="certificate"),
    ):
        ask(asked)


def test_an_engine_is_not_reached_without_a_certificate(by_tcp):
    address, _ = by_tcp
    with contextlib.closing(Engine(address, 10)) as asked, pytest.raises(ExecutorUnavailable):
        ask(asked)


def test_no_proxy_of_the_environment_stands_between(by_tcp, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    address, certificates = by_tcp
    with contextlib.closing(Engine(address, 10, Access(certificates=str(certificates)))) as asked:
        assert ask(asked)
