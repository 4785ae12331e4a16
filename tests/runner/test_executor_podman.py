"""What is Podman's own, beyond the executor's contract: the profile as it has it, logs, names, and how it ends."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import JobError
from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase
from runner.executors.docker import DockerExecutor, Limits
from runner.executors.docker.engine import Engine
from runner.executors.docker.facts import facts, tags_of
from tests import engine
from tests.private_podman import PrivatePodman, private_podman
from tests.site import wait_until

pytestmark = [pytest.mark.needs_podman, pytest.mark.slow_test]

MIB = 1024**2


@pytest.fixture
def executor(podman) -> Iterator[DockerExecutor]:
    with engine.docker_executor(base_url=podman.address) as executor:
        yield executor


def started(executor: DockerExecutor, folder: Path, script: str, **fields) -> ContainerSpec:
    name = f"podman-{uuid.uuid4().hex[:12]}"
    image = fields.pop("image", engine.TINY_IMAGE)
    spec = ContainerSpec(name, name, 1, image, ("sh", "-c", script), engine.make_workspace(folder / name), **fields)
    executor.start(spec)
    return spec


def ended(executor: DockerExecutor, spec: ContainerSpec) -> str:
    """Wait for its end; what it wrote, without timestamps."""
    wait_until(lambda: executor.status(spec.name).phase is not Phase.RUNNING, what="the end")
    lines = b"".join(executor.logs(spec.name)).decode().splitlines()
    return "\n".join(line.partition(" ")[2] for line in lines)


# --- the profile


def test_podman_took_over_the_profile(executor, tmp_path):
    limits = {"cpus": 0.5, "memory_bytes": 64 * MIB, "environment": {"DATABASE_URL": "secret"}}
    spec = started(executor, tmp_path, "true", **limits)
    ended(executor, spec)

    found = executor.metadata(spec.name)

    expected = {
        "NetworkMode": "none",
        "CapAdd": [],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "Init": True,
        "AutoRemove": False,
        "OomScoreAdj": 500,
        "NanoCpus": 500_000_000,
        "Memory": 64 * MIB,
        "MemorySwap": 64 * MIB,
        "PidsLimit": 1024,
        "ShmSize": 256 * MIB,
        "PublishAllPorts": False,
        "ReadonlyRootfs": False,
    }
    host = found["HostConfig"]
    assert {name: host[name] for name in expected} == expected
    assert host["RestartPolicy"]["Name"] == "no"
    assert not host["PortBindings"] and not host["Devices"] and not host["GroupAdd"]
    assert [mount["Source"] for mount in found["Mounts"]] == [str(spec.workspace_folder)]
    assert found["Config"]["User"] == f"{engine.UID}:{engine.GID}"
    assert "DATABASE_URL=[redacted]" in found["Config"]["Env"]
    assert "secret" not in str(found)


INSIDE = """
grep -E 'Cap(Eff|Prm|Bnd|Inh|Amb)|NoNewPrivs|Seccomp:|^Uid|^Gid' /proc/self/status
echo "Networks: $(ls /sys/class/net)"
echo "Name: $(hostname) $(grep -wc job /etc/hosts)"
for file in memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us memory.max pids.max cpu.max; do
    [ -e /sys/fs/cgroup/$file ] && echo "${file##*/}: $(cat /sys/fs/cgroup/$file)"
done
echo "Core: $(ulimit -c)"
echo "Shared memory: $(df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2)"
touch /etc/probe 2> /dev/null && echo "Can: write outside"
mknod /tmp/null c 1 3 2> /dev/null && echo "Can: make a device"
chown 1 /workspace 2> /dev/null && echo "Can: change an owner"
touch made /tmp/made && echo "Owner: $(stat -c %u made)"
"""


def test_inside_everything_that_the_profile_says_does_hold(executor, tmp_path):
    spec = started(executor, tmp_path, INSIDE, cpus=0.5, memory_bytes=64 * MIB)

    said = dict(line.split(":", 1) for line in ended(executor, spec).splitlines())
    said = {name: value.split() for name, value in said.items()}

    assert {said[name][0] for name in said if name.startswith("Cap")} == {"0" * 16}
    assert (said["NoNewPrivs"], said["Seccomp"]) == (["1"], ["2"])
    assert set(said["Uid"]) == {str(engine.UID)} and set(said["Gid"]) == {str(engine.GID)}
    assert (said["Networks"], said["Name"]) == (["lo"], ["job", "1"])
    memory, pids = said.get("memory.limit_in_bytes", said.get("memory.max")), said["pids.max"]
    assert (memory, pids) == ([str(64 * MIB)], ["1024"])
    assert said.get("cpu.cfs_quota_us", said.get("cpu.max"))[0] == "50000"
    assert (said["Core"], said["Shared memory"]) == (["0"], [str(256 * 1024)])
    assert "Can" not in said and said["Owner"] == [str(engine.UID)]


def test_a_job_cannot_have_more_processes_memory_or_file_than_its_limits(podman, tmp_path):
    with engine.docker_executor(base_url=podman.address, limits=Limits(pids=8, fsize_bytes=MIB)) as executor:
        forks = started(executor, tmp_path, "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done 2>&1 || true; wait")
        writes = started(executor, tmp_path, "exec head -c 2000000 /dev/zero > big")
        swells = started(executor, tmp_path, "x=a; while :; do x=$x$x; done", memory_bytes=16 * MIB)

        assert "can't fork" in ended(executor, forks)
        ended(executor, writes), ended(executor, swells)
        assert executor.status(writes.name).exit_code == 153
        assert executor.status(swells.name).exit_code == 137


# --- names, images, networks


def test_doctor_and_the_first_line_of_the_log_name_podman(podman, executor):
    assert executor.describe().startswith("Podman 4.") or executor.describe().startswith("Podman 5.")
    found = facts(Engine(podman.address, 15))
    assert (found.name, found.survives_restart, found.is_rootless) == ("Podman", True, False)
    assert engine.TINY_IMAGE in tags_of(Engine(podman.address, 15), "jobrunner-demo")


def test_what_a_study_asks_for_wrongly_is_its_fault_and_a_missing_network_the_sites(executor, tmp_path):
    with pytest.raises(JobError, match="refuses the image"):
        started(executor, tmp_path, "true", image="Not A Name")
    with pytest.raises(ExecutorUnavailable, match="docker network create nowhere"):
        started(executor, tmp_path, "true", network="nowhere")

    assert executor.statuses() == {}


def test_a_job_reaches_the_network_that_it_is_given_and_no_other(podman, executor, tmp_path):
    name = f"net-{uuid.uuid4().hex[:8]}"
    with podman.client() as client:
        client.create_network(name)
        try:
            spec = started(executor, tmp_path, "ls /sys/class/net", network=name)
            assert ended(executor, spec).split() == ["eth0", "lo"]
            executor.remove(spec.name)
        finally:
            client.remove_network(name)


# --- logs


def test_a_log_of_many_lines_in_a_second_can_be_resumed_after_each_of_them(executor, tmp_path):
    """Podman tells the same whole second for them all."""
    script = "for i in $(seq 300); do echo $i; done; printf open; sleep 1.1; echo; echo late >&2"
    spec = started(executor, tmp_path, script)
    ended(executor, spec)
    lines = b"".join(executor.logs(spec.name)).splitlines(keepends=True)

    assert [line.split(b" ", 1)[1] for line in lines[:300]] == [b"%d\n" % (i + 1) for i in range(300)]
    stamps = [line[:30].decode() for line in lines]
    assert stamps == sorted(set(stamps)) and all(stamp.endswith("Z") for stamp in stamps)
    for number in (0, 150, 299, len(lines) - 2):
        later = b"".join(executor.logs(spec.name, since=stamps[number])).splitlines(keepends=True)
        assert later == lines[number + 1 :]


def test_a_log_takes_no_more_disk_than_its_limit(podman, tmp_path):
    limits = Limits(log_max_size="100k", log_max_file=2)
    with engine.docker_executor(base_url=podman.address, limits=limits) as executor:
        spec = started(executor, tmp_path, "seq 100000")
        ended(executor, spec)

        assert Path(executor.metadata(spec.name)["LogPath"]).stat().st_size <= 220 * 1024


# --- how it ends

UNTIL_GO = "touch ready; until [ -e go ]; do sleep 0.02; done; exit 7"


@pytest.fixture(scope="module")
def mortal() -> Iterator[PrivatePodman]:
    with private_podman() as made:
        yield made


@pytest.fixture
def on_mortal(mortal) -> DockerExecutor:
    return DockerExecutor(f"mortal-{uuid.uuid4().hex[:8]}", uid=engine.UID, gid=engine.GID, base_url=mortal.address)


def begun(executor: DockerExecutor, folder: Path) -> ContainerSpec:
    spec = started(executor, folder, UNTIL_GO)
    wait_until((spec.workspace_folder / "ready").exists, what="the beginning")
    return spec


@pytest.mark.parametrize("end", [PrivatePodman.kill, PrivatePodman.terminate])
def test_the_end_of_podmans_service_is_no_end_of_a_container(mortal, on_mortal, tmp_path, end):
    over, meanwhile = begun(on_mortal, tmp_path), begun(on_mortal, tmp_path)

    end(mortal)
    with pytest.raises(ExecutorUnavailable):
        on_mortal.status(over.name)
    (meanwhile.workspace_folder / "go").touch()
    mortal.start()

    assert on_mortal.status(over.name).phase is Phase.RUNNING
    wait_until(lambda: on_mortal.status(meanwhile.name).phase is Phase.EXITED, what="the end in between")
    assert on_mortal.status(meanwhile.name).exit_code == 7
    (over.workspace_folder / "go").touch()
    wait_until(lambda: on_mortal.status(over.name).exit_code == 7, what="the end after it")
    for spec in (over, meanwhile):
        on_mortal.remove(spec.name)


def test_a_crash_of_the_host_interrupts_what_ran_and_a_created_container_is_still_to_be_started(
    mortal, on_mortal, tmp_path
):
    ran, never_ran = (
        begun(on_mortal, tmp_path),
        ContainerSpec(
            "only-created", "only-created", 1, engine.TINY_IMAGE, ("true",), engine.make_workspace(tmp_path / "created")
        ),
    )
    engine.create_only(on_mortal.instance, never_ran, mortal.address)

    mortal.lose_power()
    mortal.start()

    status = on_mortal.status(ran.name)
    assert (status.phase, status.exit_code) == (Phase.INTERRUPTED, None)
    assert "host was restarted" in status.reason
    on_mortal.start(ran)  # adoption: it is left alone
    assert on_mortal.status(ran.name).phase is Phase.INTERRUPTED
    assert on_mortal.status(never_ran.name).phase is Phase.STARTING
    for spec in (ran, never_ran):
        on_mortal.remove(spec.name)
    assert on_mortal.statuses() == {}
