"""What a job's container may and may not do: the profile in words, as the engine has it, and as the job finds it."""

import uuid
from pathlib import Path

import pytest

from runner.executors.base import ContainerSpec, Phase
from runner.executors.docker import Limits
from runner.executors.docker.profile import Profile, covered_places, create_body, redacted
from tests import engine
from tests.site import wait_until

PROFILE = Profile("site-a", 10001, 10002, Limits())


def make_spec(**fields) -> ContainerSpec:
    name = f"profile-{uuid.uuid4().hex[:12]}"
    defaults = {
        "name": name,
        "job_id": name,
        "attempt": 2,
        "image": engine.TINY_IMAGE,
        "command": ("sh", "analysis.sh"),
        "workspace_folder": Path("/somewhere"),
    }
    return ContainerSpec(**defaults | fields)


def body(spec: ContainerSpec, profile: Profile = PROFILE) -> dict:
    return create_body(profile, spec, Path("/on/the/host"))


def test_the_folder_is_mounted_as_the_engines_host_sees_it_and_nothing_else_is():
    mounts = body(make_spec())["HostConfig"]["Mounts"]

    assert mounts == [{"Type": "bind", "Source": "/on/the/host", "Target": "/workspace"}]


def test_a_job_has_no_network_unless_its_specification_names_one():
    assert body(make_spec())["HostConfig"]["NetworkMode"] == "none"
    assert body(make_spec(network="database"))["HostConfig"]["NetworkMode"] == "database"


def test_the_specification_decides_the_environment_where_both_have_something_to_say():
    environment = body(make_spec(environment={"HOME": "/elsewhere", "DATABASE_URL": "x"}, cpus=2.5))["Env"]

    assert {"HOME=/elsewhere", "DATABASE_URL=x", "USER=job", "OMP_NUM_THREADS=3"} <= set(environment)
    assert len(environment) == len({variable.partition("=")[0] for variable in environment})


def test_labels_for_people_cannot_pass_as_the_labels_that_the_runner_goes_by():
    labels = body(make_spec(job_id="j1", labels={"workspace": "study", "instance": "forged", "job": "forged"}))[
        "Labels"
    ]

    assert labels == {
        "org.jobrunner.workspace": "study",
        "org.jobrunner.instance": "site-a",
        "org.jobrunner.job": "j1",
        "org.jobrunner.attempt": "2",
    }


def test_the_command_is_a_list_and_the_images_entrypoint_is_kept():
    made = body(make_spec(command=("a b", "; rm -rf /")))

    assert made["Cmd"] == ["a b", "; rm -rf /"]
    assert "Entrypoint" not in made


def test_the_number_of_open_files_is_left_to_the_engine():
    ulimits = body(make_spec(), Profile("site-a", 1, 1, Limits(fsize_bytes=7)))["HostConfig"]["Ulimits"]

    assert {entry["Name"]: entry["Hard"] for entry in ulimits} == {"core": 0, "fsize": 7}


def test_nothing_but_the_jobs_folder_may_be_mounted_at_or_below_the_workspace():
    def covered(*mounts: tuple[str, str]) -> list[str]:
        told = [("bind", "/workspace"), *mounts]
        return covered_places({"Mounts": [{"Type": kind, "Destination": target} for kind, target in told]})

    assert covered() == covered(("volume", "/data"), ("volume", "/workspace2"), ("tmpfs", "/tmp")) == []
    assert covered(("volume", "/workspace/b"), ("volume", "/workspace/a/c")) == ["/workspace/a/c", "/workspace/b"]
    assert covered(("volume", "/workspace")) == ["/workspace"]


def test_a_job_shares_no_memory_with_others_and_its_images_health_check_never_runs():
    made = body(make_spec())

    assert made["HostConfig"]["IpcMode"] == "private"
    assert made["Healthcheck"] == {"Test": ["NONE"]}


def test_a_log_driver_that_keeps_one_file_gets_the_room_of_all():
    def log_config(driver: str) -> dict:
        limits = Limits(log_max_size="20m", log_max_file=5)
        return body(make_spec(), Profile("site-a", 1, 1, limits, log_driver=driver))["HostConfig"]["LogConfig"]

    assert log_config("local") == {"Type": "local", "Config": {"max-size": "20m", "max-file": "5"}}
    assert log_config("k8s-file") == {"Type": "k8s-file", "Config": {"max-size": "100m"}}


def test_metadata_keeps_the_values_of_a_few_known_variables_only():
    container = {
        "Id": "1",
        "Config": {"Image": "x", "Env": ["PATH=/bin", "DATABASE_URL=mssql://u:p@h", "EMPTY", "A=b=c"]},
    }

    assert redacted(container) == {
        "Id": "1",
        "Config": {"Image": "x", "Env": ["PATH=/bin", "DATABASE_URL=[redacted]", "EMPTY=[redacted]", "A=[redacted]"]},
    }
    assert container["Config"]["Env"][1] == "DATABASE_URL=mssql://u:p@h"


# --- as a real engine has it


@pytest.fixture
def executor():
    with engine.docker_executor() as executor:
        yield executor


def run(executor, tmp_path: Path, script: str, **fields) -> tuple[ContainerSpec, str]:
    """Run a shell script to its end; the specification and what the script wrote, without timestamps."""
    folder = engine.make_workspace(tmp_path / "workspace")
    spec = make_spec(image=engine.tiny_image(), command=("sh", "-c", script), workspace_folder=folder, **fields)
    executor.start(spec)
    wait_until(lambda: executor.status(spec.name).phase is Phase.EXITED, what="the end")
    lines = b"".join(executor.logs(spec.name)).decode().splitlines()
    return spec, "\n".join(line.partition(" ")[2] for line in lines)


@pytest.mark.needs_docker
def test_the_engine_took_over_every_part_of_the_profile(executor, tmp_path):
    limits = {"cpus": 0.5, "memory_bytes": 64 * 1024**2, "environment": {"DATABASE_URL": "secret"}}
    spec, _ = run(executor, tmp_path, "true", **limits)

    found = executor.metadata(spec.name)

    host = found["HostConfig"]
    expected = {
        "NetworkMode": "none",
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "Init": True,
        "AutoRemove": False,
        "OomScoreAdj": 500,
        "NanoCpus": 500_000_000,
        "Memory": 64 * 1024**2,
        "MemorySwap": 64 * 1024**2,
        "PidsLimit": 1024,
        "ShmSize": 256 * 1024**2,
        "LogConfig": {"Type": "local", "Config": {"max-size": "20m", "max-file": "5"}},
        "Binds": None,
        "VolumesFrom": None,
        "PublishAllPorts": False,
        "ReadonlyRootfs": False,
    }
    assert {name: host[name] for name in expected} == expected
    assert host["RestartPolicy"]["Name"] == "no"
    assert not host["PortBindings"] and not host["Devices"] and not host["GroupAdd"]
    assert [mount["Source"] for mount in found["Mounts"]] == [str(spec.workspace_folder)]
    assert found["Config"]["User"] == f"{engine.UID}:{engine.GID}"
    assert "DATABASE_URL=[redacted]" in found["Config"]["Env"]
    assert "secret" not in str(found)


@pytest.mark.needs_docker
def test_inside_a_job_is_not_root_has_no_capability_and_can_gain_none(executor, tmp_path):
    _, output = run(
        executor, tmp_path, "id -u; id -g; grep -E 'Cap(Eff|Prm|Bnd|Inh|Amb)|NoNewPrivs|Seccomp:' /proc/self/status"
    )

    uid, gid, *status = output.splitlines()
    assert (int(uid), int(gid)) == (engine.UID, engine.GID)
    values = {name: value.strip() for name, _, value in (line.partition(":") for line in status)}
    assert values.pop("NoNewPrivs") == "1"
    assert values.pop("Seccomp") == "2"
    assert set(values.values()) == {"0" * 16}


PROBES = {
    "write outside": "echo x > /etc/probe",
    "make a device": "mknod /tmp/null c 1 3",
    "become root": "su -c true",
    "change an owner": "chown 1 /workspace",
    "open a raw socket": "ping -c 1 -W 1 127.0.0.1",
}


def allowed(output: str) -> set[str]:
    return {line.removeprefix("can ") for line in output.splitlines() if line.startswith("can ")}


@pytest.mark.needs_docker
def test_inside_a_job_cannot_do_what_an_ordinary_container_can(executor, tmp_path):
    script = "\n".join(f"({command}) > /dev/null 2>&1 && echo 'can {name}'" for name, command in PROBES.items())
    with engine.sdk() as client:
        ordinary = engine.run_ordinary(client, script)

    _, output = run(executor, tmp_path, f"{script}\necho done")

    assert allowed(ordinary) == set(PROBES), "the probes themselves are wrong"
    assert output == "done"


@pytest.mark.needs_docker
def test_inside_a_job_has_only_the_loopback_interface_and_knows_its_own_name(executor, tmp_path):
    _, output = run(executor, tmp_path, "ls /sys/class/net; hostname; grep -w job /etc/hosts; ip route | wc -l")

    interfaces, name, line, routes = output.splitlines()
    assert (interfaces, name, line.split(), routes) == ("lo", "job", ["127.0.0.1", "job"], "0")


@pytest.mark.needs_docker
def test_inside_a_job_can_write_to_its_workspace_and_to_its_home(executor, tmp_path):
    spec, output = run(executor, tmp_path, "pwd; echo $HOME; touch made /tmp/made && stat -c %u made")

    assert output.splitlines() == ["/workspace", "/tmp", str(engine.UID)]
    assert (spec.workspace_folder / "made").stat().st_uid == engine.UID


@pytest.mark.needs_docker
def test_a_file_beyond_the_limit_ends_the_job_with_exit_code_153(tmp_path):
    with engine.docker_executor(limits=Limits(fsize_bytes=1024**2)) as executor:
        spec, _ = run(executor, tmp_path, "exec head -c 2000000 /dev/zero > big")

        assert executor.status(spec.name).exit_code == 153
        assert (spec.workspace_folder / "big").stat().st_size == 1024**2


@pytest.mark.needs_docker
def test_a_job_cannot_have_more_processes_than_its_limit(tmp_path):
    with engine.docker_executor(limits=Limits(pids=8)) as executor:
        _, output = run(executor, tmp_path, "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done 2>&1 || true; wait")

    assert "can't fork" in output


@pytest.mark.needs_docker
def test_with_a_read_only_root_a_job_still_has_its_scratch_folder_and_may_run_programs_there(tmp_path):
    with engine.docker_executor(read_only_root=True) as executor:
        script = "cp /bin/busybox /tmp/echo && /tmp/echo works; touch made; touch /opt 2> /dev/null && echo writable"
        _, output = run(executor, tmp_path, script)

    assert output == "works"


@pytest.mark.needs_docker
def test_the_path_of_the_workspace_is_translated_for_the_engines_host(tmp_path):
    with engine.docker_executor(host_path=lambda path: tmp_path / "seen-by-host") as executor:
        engine.make_workspace(tmp_path / "seen-by-host")
        run(executor, tmp_path, "touch made")

    assert (tmp_path / "seen-by-host" / "made").exists()
