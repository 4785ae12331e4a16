"""Following a container's log and completing it, with the fake and with a real engine."""

import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from pathlib import Path

import pytest

from jobs.errors import Unavailable
from runner import error_stamps
from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase
from runner.executors.fake import FakeExecutor, FakeRun
from runner.logs import LogFollower, LogLimits, complete
from tests import engine
from tests.site import ROOT, wait_until

LIMITS = LogLimits(head_bytes=10**6, tail_bytes=1000)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "logs" / "logs.txt"


@pytest.fixture
def go():
    """Ends the fake's container; set at the end of each test in any case."""
    go = threading.Event()
    yield go
    go.set()


@pytest.fixture
def fake(go) -> FakeExecutor:
    fake = FakeExecutor(lambda _: FakeRun(log=b"one\ntwo\nthree\n", until=go))
    fake.start(ContainerSpec("log-1", "1", 1, "image:1", ("x",), Path("/unused")))
    return fake


@pytest.fixture
def follower(fake, path):
    follower = LogFollower(fake, "log-1", path, LIMITS)
    follower.start()
    yield follower
    follower.stop(2)


def texts(path: Path) -> list[bytes]:
    return [line.partition(b" ")[2] for line in path.read_bytes().splitlines()] if path.exists() else []


def followers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("log-")]


def test_a_followed_log_can_be_read_while_the_container_runs(follower, fake, path):
    wait_until(lambda: texts(path) == [b"one", b"two", b"three"], what="the log")

    assert fake.status("log-1").phase is Phase.RUNNING


def test_a_follower_ends_with_its_container(follower, go):
    go.set()

    wait_until(lambda: not followers(), what="the follower's end")


def test_a_stopped_follower_ends_at_once_and_can_be_stopped_again(follower, path):
    wait_until(lambda: texts(path), what="the log")

    follower.stop(1)
    follower.stop(1)

    assert not followers()


def test_a_follower_outlives_the_trouble_of_the_engine(fake, path):
    fake.unavailable = "The engine is restarting."
    follower = LogFollower(fake, "log-1", path, LIMITS)
    follower.start()
    wait_until(path.exists, what="the first try")

    fake.unavailable = ""

    wait_until(lambda: texts(path) == [b"one", b"two", b"three"], what="the log")
    follower.stop(2)


def test_a_follower_never_asks_for_an_ended_containers_details(follower, fake, path, monkeypatch):
    """After a kill they take the engine a third of a second, and a cancel waits for the follower's end."""
    asked = []
    monkeypatch.setattr(fake, "status", asked.append)
    wait_until(lambda: texts(path), what="the log")

    fake.stop("log-1")

    wait_until(lambda: not followers(), what="the follower's end")
    assert asked == []


def test_a_follower_of_nothing_ends(fake, path):
    LogFollower(fake, "log-none", path, LIMITS).start()

    wait_until(lambda: not followers(), what="the follower's end")
    assert texts(path) == []


def test_completing_after_following_adds_nothing_twice(follower, fake, go, path):
    wait_until(lambda: len(texts(path)) == 3, what="the log")
    go.set()
    wait_until(lambda: not followers(), what="the follower's end")

    complete(fake, "log-1", path, LIMITS)
    complete(fake, "log-1", path, LIMITS)

    assert texts(path) == [b"one", b"two", b"three"]


def test_completing_does_not_write_while_a_follower_still_does(follower, fake, path):
    wait_until(lambda: len(texts(path)) == 3, what="the log")

    with pytest.raises(Unavailable, match="still being written"):
        complete(fake, "log-1", path, LIMITS)


def test_completing_tells_of_the_engines_trouble_and_leaves_the_log_as_it_was(fake, path):
    path.parent.mkdir()
    path.write_bytes(b"2026-01-01T00:00:00.000000000Z zero\n")
    fake.unavailable = "The engine is restarting."

    with pytest.raises(ExecutorUnavailable):
        complete(fake, "log-1", path, LIMITS)

    assert texts(path) == [b"zero"]


def test_completing_tells_of_the_disks_trouble_in_words(fake, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(Unavailable, match="log cannot be written"):
        complete(fake, "log-1", tmp_path / "file" / "logs.txt", LIMITS)


def test_a_container_that_is_gone_leaves_the_log_as_it_was(fake, path):
    path.parent.mkdir()
    path.write_bytes(b"2026-01-01T00:00:00.000000000Z zero\n")

    complete(fake, "log-none", path, LIMITS)

    assert texts(path) == [b"zero"]


def test_a_follower_of_a_log_over_its_limit_keeps_the_beginning_and_completing_adds_the_end(tmp_path, go):
    fake = FakeExecutor(lambda _: FakeRun(log=b"0123456789\n" * 1000, until=go))
    fake.start(ContainerSpec("log-1", "1", 1, "image:1", ("x",), tmp_path))
    path, limits = tmp_path / "log", LogLimits(head_bytes=2000, tail_bytes=500)
    LogFollower(fake, "log-1", path, limits).start()
    wait_until(lambda: not followers(), what="the follower's end")
    assert 0 < path.stat().st_size <= 2000

    complete(fake, "log-1", path, limits)

    content = path.read_bytes()
    assert content.count(b"[job runner]") == 1
    assert len(content) < 2000 + 500 + 200


# --- with a real engine


@pytest.fixture
def executor():
    with engine.docker_executor() as executor:
        yield executor


def make_spec(folder: Path, script: str) -> ContainerSpec:
    name = f"log-{uuid.uuid4().hex[:12]}"
    workspace = engine.make_workspace(folder / name)
    return ContainerSpec(name, name, 1, engine.tiny_image(), ("sh", "-c", script), workspace)


FOLLOW = """
import sys, threading
from pathlib import Path
from runner.executors.docker import DockerExecutor
from runner.logs import LogFollower, LogLimits
instance, address, name, path = sys.argv[1:]
executor = DockerExecutor(instance, uid=1, gid=1, base_url=address)
LogFollower(executor, name, Path(path), LogLimits()).start()
threading.Event().wait()
"""


@pytest.mark.needs_docker
@pytest.mark.slow_test
def test_followers_that_are_killed_again_and_again_neither_lose_nor_double_a_line(executor, tmp_path, path):
    count = 20_000
    rest = "[ $((i % 100)) = 0 ] && usleep 20000"
    script = f"i=0; while [ $i -lt {count} ]; do echo out $i; echo err $i >&2; i=$((i+1)); {rest}; done"
    spec = make_spec(tmp_path, script)
    executor.start(spec)
    path.parent.mkdir()
    path.touch()

    kills = 0
    while executor.status(spec.name).phase is Phase.RUNNING:
        size = path.stat().st_size
        arguments = [executor.instance, engine.BASE_URL, spec.name, str(path)]
        with subprocess.Popen([sys.executable, "-c", FOLLOW, *arguments], cwd=ROOT) as process:
            wait_until(
                lambda size=size: (
                    path.stat().st_size > size + 20_000 or executor.status(spec.name).phase is not Phase.RUNNING
                ),
                what="more of the log",
            )
            process.send_signal(signal.SIGKILL)
        kills += 1
    complete(executor, spec.name, path, LogLimits())

    assert kills >= 3
    assert path.read_bytes() == b"".join(executor.logs(spec.name))
    counted = Counter(texts(path))
    assert len(counted) == 2 * count and set(counted.values()) == {1}


@pytest.mark.needs_docker
@pytest.mark.slow_test
def test_two_hundred_megabytes_without_a_newline_are_bounded_on_disk_and_in_memory(executor, tmp_path, path):
    spec = make_spec(tmp_path, "head -c 200000000 /dev/zero | tr '\\0' x")
    executor.start(spec)
    limits = LogLimits(head_bytes=10_000_000, tail_bytes=100_000)
    follower = LogFollower(executor, spec.name, path, limits)
    follower.start()
    wait_until(lambda: executor.status(spec.name).phase is Phase.EXITED, what="the end")
    follower.stop(2)

    before = peak_memory_mib(reset=True)
    complete(executor, spec.name, path, limits)

    grown = peak_memory_mib() - before
    print(f"\ncompleting took {grown:.1f} MiB of memory")
    assert grown < 10
    assert 10_100_000 <= path.stat().st_size < 10_100_300
    assert path.read_bytes().endswith(b"x\n")


def peak_memory_mib(reset: bool = False) -> float:
    """The most resident memory that this process has had since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


# --- which lines came from standard error


def stamps(path: Path) -> list[bytes]:
    file = path.with_name("stderr.txt")
    return file.read_bytes().split() if file.exists() else []


def stamp_of(path: Path, text: bytes) -> bytes:
    return next(line for line in path.read_bytes().splitlines() if line.endswith(text)).partition(b" ")[0]


@pytest.mark.parametrize("way", ["followed", "completed"])
def test_the_timestamps_of_lines_from_standard_error_are_kept_beside_the_log(path, go, way):
    fake = FakeExecutor(lambda _: FakeRun(log=b"one\n", errors=b"oh\nno\n", until=go))
    fake.start(ContainerSpec("log-1", "1", 1, "image:1", ("x",), Path("/unused")))
    if way == "followed":
        follower = LogFollower(fake, "log-1", path, LIMITS)
        follower.start()
        wait_until(lambda: texts(path) == [b"one", b"oh", b"no"], what="the log")
        follower.stop(2)
    else:
        complete(fake, "log-1", path, LIMITS)
    assert stamps(path) == [stamp_of(path, b"oh"), stamp_of(path, b"no")]


def test_a_log_without_errors_has_no_such_file(follower, path):
    wait_until(lambda: texts(path) == [b"one", b"two", b"three"], what="the log")
    assert not path.with_name("stderr.txt").exists()


@pytest.mark.parametrize("trouble", ["folder", "link", "full"])
def test_trouble_with_the_timestamps_never_touches_the_log(path, go, monkeypatch, tmp_path, trouble):
    path.parent.mkdir(parents=True)
    beside = path.with_name("stderr.txt")
    if trouble == "folder":
        beside.mkdir()
    elif trouble == "link":
        (tmp_path / "elsewhere").write_bytes(b"")
        beside.symlink_to(tmp_path / "elsewhere")
    else:
        monkeypatch.setattr(error_stamps, "MOST_BYTES", 10)
    fake = FakeExecutor(lambda _: FakeRun(errors=b"oh\nno\n", until=go))
    fake.start(ContainerSpec("log-1", "1", 1, "image:1", ("x",), Path("/unused")))
    complete(fake, "log-1", path, LIMITS)
    assert texts(path) == [b"oh", b"no"]
    assert trouble != "link" or (tmp_path / "elsewhere").read_bytes() == b""
    assert trouble != "full" or beside.stat().st_size == 0
