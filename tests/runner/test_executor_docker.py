"""What only a real engine can show: memory, images, odd logs, containers of others, and how fast it is."""

import resource
import time
import uuid
from pathlib import Path

import docker
import pytest

from jobs.errors import JobError
from runner.executors.base import ContainerSpec, ExecutorUnavailable, ImageMissing, Phase
from runner.executors.docker import DockerExecutor
from tests import engine
from tests.site import wait_until

pytestmark = pytest.mark.needs_docker

MIB = 1024**2


@pytest.fixture
def executor():
    with engine.docker_executor() as executor:
        yield executor


@pytest.fixture
def client():
    with engine.sdk() as client:
        yield client


@pytest.fixture
def make_spec(tmp_path):
    def make(script: str = "true", **fields) -> ContainerSpec:
        name = f"docker-{uuid.uuid4().hex[:12]}"
        defaults = {
            "name": name,
            "job_id": name,
            "attempt": 1,
            "image": engine.tiny_image(),
            "command": ("sh", "-c", script),
            "workspace_folder": engine.make_workspace(tmp_path / name),
        }
        return ContainerSpec(**defaults | fields)

    return make


def run(executor: DockerExecutor, spec: ContainerSpec):
    executor.start(spec)
    wait_until(lambda: executor.status(spec.name).phase is Phase.EXITED, what="the end")
    return executor.status(spec.name)


def texts(executor: DockerExecutor, spec: ContainerSpec) -> list[bytes]:
    """The lines of the log without their timestamps."""
    return [line.partition(b" ")[2] for line in b"".join(executor.logs(spec.name)).split(b"\n")[:-1]]


# --- memory (facts F8)

EAT = "head -c 80m /dev/zero | tail -c 70m > /dev/null"


@pytest.mark.parametrize("script", [f"exec sh -c '{EAT}; exit $?'", f"({EAT}); exit 0", f"({EAT}); exit 1"])
def test_out_of_memory_is_told_whichever_process_it_was_and_whatever_the_exit_code_is(executor, make_spec, script):
    status = run(executor, make_spec(script, memory_bytes=24 * MIB))

    assert status.out_of_memory


def test_being_killed_is_not_out_of_memory(executor, make_spec):
    status = run(executor, make_spec("kill -9 $$"))

    assert (status.exit_code, status.out_of_memory) == (137, False)


# --- images and commands


def test_a_study_that_somebody_stops_and_that_then_exits_well_has_not_succeeded(executor, client, make_spec):
    """With `docker stop`, say; half of its outputs may be there."""
    spec = make_spec("trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done")
    executor.start(spec)
    wait_until(lambda: texts(executor, spec) == [b"ready"], what="the trap")

    client.stop(spec.name, timeout=10)

    status = executor.status(spec.name)
    assert (status.phase, status.exit_code) == (Phase.INTERRUPTED, None)
    assert "somebody stopped the container from outside" in status.reason


def test_a_missing_image_is_told_with_the_command_that_pulls_it(executor, make_spec):
    with pytest.raises(ImageMissing, match=r"docker pull nowhere\.example/nothing:v1"):
        executor.start(make_spec(image="nowhere.example/nothing:v1"))


def test_an_image_name_that_no_engine_takes_is_the_studys_fault(executor, make_spec):
    with pytest.raises(JobError, match="invalid reference format"):
        executor.start(make_spec(image="Nothing//x:v1"))


@pytest.mark.parametrize(
    ("command", "exit_code", "said"),
    [
        (("no-such-command",), 127, b"No such file or directory"),
        (("/etc/passwd",), 126, b"Permission denied"),
        (("echo", "x" * 200_000), 1, b"argument list too long"),
    ],
)
def test_a_command_that_cannot_be_run_ends_with_a_code_and_says_why_in_its_log(
    executor, make_spec, command, exit_code, said
):
    spec = make_spec(command=command)

    assert run(executor, spec).exit_code == exit_code
    assert said in texts(executor, spec)[0]


def test_the_entrypoint_of_the_image_is_kept(executor, client, make_spec):
    name = f"jobrunner-test/entrypoint:{uuid.uuid4().hex[:12]}"
    made = client.create_container(engine.tiny_image())
    repository, _, tag = name.rpartition(":")
    client.commit(made, repository, tag, changes=['ENTRYPOINT ["echo", "entrypoint"]', "VOLUME /volume"])
    client.remove_container(made)
    try:
        spec = make_spec(image=name, command=("a", "b"))
        run(executor, spec)

        assert texts(executor, spec) == [b"entrypoint a b"]
        volume = next(m["Name"] for m in client.inspect_container(spec.name)["Mounts"] if m["Type"] == "volume")
        executor.remove(spec.name)
        with pytest.raises(docker.errors.NotFound):
            client.inspect_volume(volume)
    finally:
        client.remove_image(name, force=True)


@pytest.mark.parametrize("volume", ["/workspace", "/workspace/output", "/workspace/output/../deep/er/"])
def test_an_image_with_a_volume_below_the_workspace_is_refused_and_leaves_nothing(executor, client, make_spec, volume):
    """One at the workspace itself gives way to the job's folder."""
    name = f"jobrunner-test/volume:{uuid.uuid4().hex[:12]}"
    made = client.create_container(engine.tiny_image())
    repository, _, tag = name.rpartition(":")
    client.commit(made, repository, tag, changes=[f"VOLUME {volume}"])
    client.remove_container(made)
    try:
        spec = make_spec("mkdir -p output; echo 1 > output/x", image=name)
        if volume == "/workspace":
            assert run(executor, spec).exit_code == 0
            assert (spec.workspace_folder / "output" / "x").exists()
            executor.remove(spec.name)
        else:
            with pytest.raises(JobError, match="declares a volume at /workspace/"):
                executor.start(spec)
            assert executor.status(spec.name).phase is Phase.ABSENT
    finally:
        client.remove_image(name, force=True)


def test_a_network_that_is_not_there_is_the_sites_fault_and_the_start_succeeds_once_it_is(executor, client, make_spec):
    network = f"jobrunner-test-{uuid.uuid4().hex[:12]}"
    spec = make_spec("ls /sys/class/net", network=network)
    with pytest.raises(ExecutorUnavailable, match=f"There is no Docker network {network}"):
        executor.start(spec)

    made = client.create_network(network, internal=True)
    try:
        run(executor, spec)
        assert b"eth0" in texts(executor, spec)[0]
        executor.remove(spec.name)
    finally:
        client.remove_network(made["Id"])


def test_a_folder_that_is_not_there_is_not_made_by_the_engine(executor, make_spec, tmp_path):
    spec = make_spec(workspace_folder=tmp_path / "gone")

    with pytest.raises(ExecutorUnavailable, match="sees no folder"):
        executor.start(spec)

    assert not (tmp_path / "gone").exists()


# --- containers of others


@pytest.fixture
def foreign(client, make_spec):
    """A running container of another installation, and a specification of ours with the same name."""
    spec = make_spec("sleep 60")
    other = f"other-{uuid.uuid4().hex[:12]}"
    engine.create_only(other, spec)
    client.start(spec.name)
    yield spec
    engine.remove_all(other)


def test_a_container_of_another_installation_is_neither_adopted_nor_seen_nor_touched(executor, client, foreign):
    with pytest.raises(ExecutorUnavailable, match="not this installation's"):
        executor.start(foreign)
    executor.stop(foreign.name)
    executor.remove(foreign.name)

    assert executor.status(foreign.name).phase is Phase.ABSENT
    assert executor.statuses() == {}
    assert list(executor.logs(foreign.name)) == []
    assert executor.metadata(foreign.name) == {}
    assert client.inspect_container(foreign.name)["State"]["Running"]


def test_a_container_of_another_attempt_is_not_adopted(executor, make_spec):
    spec = make_spec()
    run(executor, spec)

    with pytest.raises(ExecutorUnavailable, match="not this installation's"):
        executor.start(make_spec(name=spec.name, job_id=spec.job_id, attempt=2))


def test_a_paused_container_counts_as_running_and_says_how_to_let_it_go_on(executor, client, make_spec):
    spec = make_spec("sleep 60")
    executor.start(spec)
    client.pause(spec.name)

    for status in (executor.status(spec.name), executor.statuses()[spec.name]):
        assert status.phase is Phase.RUNNING
        assert f"docker unpause {spec.name}" in status.reason
    executor.stop(spec.name)
    assert executor.status(spec.name).phase is Phase.EXITED


# --- logs


def test_a_log_may_hold_any_bytes(executor, make_spec):
    spec = make_spec(r"printf 'a\rb\0c\377\033[0m\n\n \342\200\256\n'")
    run(executor, spec)

    assert texts(executor, spec) == [b"a\rb\0c\xff\x1b[0m", b"", b" \xe2\x80\xae"]


@pytest.mark.parametrize("length", [16383, 16384, 16385, 32768, 100_000])
def test_a_long_line_comes_as_one_line_with_one_timestamp(executor, make_spec, length):
    spec = make_spec(f"head -c {length} /dev/zero | tr '\\0' x; echo; echo end")
    run(executor, spec)

    assert texts(executor, spec) == [b"x" * length, b"end"]


def test_a_long_line_that_the_other_stream_interrupts_loses_nothing(executor, make_spec):
    half = "head -c 20000 /dev/zero | tr '\\0' x"
    spec = make_spec(f"{half}; sleep 0.1; echo other >&2; sleep 0.1; {half}; echo; echo end")
    run(executor, spec)

    lines = texts(executor, spec)

    assert b"other" in lines and b"end" in lines
    assert b"".join(line for line in lines if line.startswith(b"x")) == b"x" * 40000


def memory_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


@pytest.mark.slow_test
def test_twenty_megabytes_of_log_are_read_in_little_memory(executor, make_spec):
    spec = make_spec("yes 'a line of forty-nine bytes, with its newline at end' | head -n 400000")
    run(executor, spec)
    before = memory_mib()

    started, size, peak = time.monotonic(), 0, before
    for number, chunk in enumerate(executor.logs(spec.name)):
        size += len(chunk)
        if number % 10_000 == 0:
            peak = max(peak, memory_mib())
    seconds = time.monotonic() - started

    print(f"\n{size / 1e6:.1f} MB of log read in {seconds:.1f} s, memory grew by {peak - before:.1f} MiB")
    assert size > 20 * 10**6
    assert peak - before < 10


# --- the engine's other side


def test_the_statuses_of_all_containers_come_with_one_call(executor, client, make_spec, monkeypatch):
    spec = make_spec()
    for number in range(20):
        engine.create_only(executor.instance, make_spec(name=f"{spec.name}-{number}"))
    executor.statuses()
    calls = []
    send = docker.APIClient.send
    monkeypatch.setattr(docker.APIClient, "send", lambda *a, **k: calls.append(a) or send(*a, **k))

    statuses = executor.statuses()

    assert len(statuses) == 20
    assert len(calls) == 1


def test_calls_leave_no_connection_behind(executor, make_spec):
    spec = make_spec("echo x")
    executor.start(spec)

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def use() -> None:
        executor.statuses()
        executor.status(spec.name)
        list(executor.logs(spec.name))
        executor.logs(spec.name, follow=True).close()
        executor.watch(lambda: None)()

    use()
    before = open_files()
    for _ in range(10):
        use()

    assert open_files() <= before + 1
