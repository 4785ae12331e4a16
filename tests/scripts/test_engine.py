"""scripts/engine.sh: an engine that answers, or one paragraph that says what to do.

The engines that are started and killed here live in namespaces of their own: processes, mounts and network. There
/run and the engine's folders are empty, as on a machine whose engine has not been started; the real engine is not seen.
Whatever else is run here takes itself for somebody who is not root, and then the script touches no engine at all.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site import ROOT

MACHINE = """
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /var/lib/docker /var/lib/containerd
for folder in /var/lib/docker /var/lib/containerd /var/log; do mount -t tmpfs tmpfs $folder; done
ip link set lo up
cd "$1"
"""
can_have_machines = pytest.mark.skipif(
    os.getuid() != 0 or not all(map(shutil.which, ("unshare", "dockerd", "ip", "pgrep"))),
    reason="starting an engine of its own needs root, dockerd, iproute2 and procps",
)


@pytest.fixture
def checkout(tmp_path):
    """A folder with the scripts and the tests' interpreter as its .venv."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv/bin").mkdir(parents=True)
    write_program(folder / ".venv/bin/python", f'exec "{sys.executable}" "$@"')
    return folder


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def engine(checkout: Path, **variables: str) -> subprocess.CompletedProcess:
    """As somebody who may not start or end the machine's own engine, whatever mistake is in the scripts."""
    tools = checkout / "tools"
    tools.mkdir(exist_ok=True)
    write_program(tools / "id", "echo 1000")
    environment = {"PATH": f"{tools}:{os.environ['PATH']}"} | variables
    return subprocess.run([checkout / "scripts/engine.sh"], env=environment, capture_output=True, text=True, timeout=60)


def in_a_machine(checkout: Path, script: str, path: str = "") -> str:
    """Run a script in a machine without an engine; returns all that it printed. What still runs is killed."""
    command = ["unshare", "--fork", "--pid", "--mount-proc", "--mount", "--propagation", "slave", "--net"]
    machine = subprocess.run(
        [*command, "--kill-child=KILL", "bash", "-c", MACHINE + script, "bash", str(checkout)],
        env={"PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
    )
    assert machine.returncode == 0, machine.stdout
    return machine.stdout


@pytest.mark.needs_docker
def test_an_engine_that_answers_is_left_alone(checkout):
    found = engine(checkout)

    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("▸ Docker engine ")
    assert len(found.stdout.splitlines()) == 1


def test_another_engine_that_docker_host_names_is_not_ours_to_start(checkout):
    refused = engine(checkout, DOCKER_HOST=f"unix://{checkout}/none.sock")

    assert refused.returncode == 1
    assert "unset DOCKER_HOST" in " ".join(refused.stderr.split())


def test_the_engine_that_dotenv_names_is_the_one_that_is_asked(checkout):
    (checkout / ".env").write_text("DOCKER_HOST=tcp://127.0.0.1:1\n")

    refused = engine(checkout)

    assert refused.returncode == 1
    assert "tcp://127.0.0.1:1" in refused.stderr


@can_have_machines
@pytest.mark.needs_docker
def test_a_question_that_cannot_be_asked_starts_and_ends_no_engine(checkout):
    (checkout / "scripts/ask_engine.py").write_text("import there_is_no_such_module\n")

    printed = in_a_machine(checkout, "! scripts/engine.sh; ! pgrep -x dockerd")

    assert "ModuleNotFoundError" in printed
    assert "so nothing was started" in " ".join(printed.split())


def test_without_an_environment_it_says_what_to_run_first(checkout):
    shutil.rmtree(checkout / ".venv")

    assert "make setup" in engine(checkout).stderr


@can_have_machines
@pytest.mark.needs_docker
@pytest.mark.slow_test
def test_calls_at_once_start_one_engine_and_its_remains_never_stop_the_next(checkout):
    printed = in_a_machine(
        checkout,
        """
        scripts/engine.sh >one & scripts/engine.sh >two; wait
        echo "engines: $(pgrep -cx dockerd)"
        ls -l /proc/$(pgrep -x dockerd)/fd | grep -c jobrunner-engine.lock || true

        kill -KILL $(pgrep -x dockerd); while pgrep -x dockerd; do sleep 0.1; done
        scripts/engine.sh >after-a-kill

        kill -KILL $(pgrep -x dockerd) $(pgrep -x containerd); while pgrep -x dockerd; do sleep 0.1; done
        echo $$ >/run/docker.pid
        echo $$ >/run/docker/containerd/containerd.pid
        rm -f /run/docker.sock
        mkdir /run/docker.sock
        scripts/engine.sh >after-its-numbers-were-given-to-another
        kill -0 $$ && echo "the other process lives"
        """,
    )

    assert printed.split("\n")[:2] == ["engines: 1", "0"]
    assert printed.endswith("the other process lives\n")
    for name in ("one", "two", "after-a-kill", "after-its-numbers-were-given-to-another"):
        assert "answers after" in (checkout / name).read_text()
    assert "which is no Docker engine" in (checkout / "after-its-numbers-were-given-to-another").read_text()


@can_have_machines
@pytest.mark.needs_docker
@pytest.mark.slow_test
def test_an_engine_that_hangs_is_waited_for_and_then_replaced(checkout):
    in_a_machine(
        checkout,
        """
        scripts/engine.sh
        first=$(pgrep -x dockerd)
        kill -STOP $first
        scripts/engine.sh >replaced
        [ "$(pgrep -x dockerd)" != $first ]
        """,
    )

    assert "does not answer" in (checkout / "replaced").read_text()


@can_have_machines
@pytest.mark.needs_docker
@pytest.mark.slow_test
def test_where_networks_cannot_be_made_the_engine_starts_without_and_says_so(checkout, tmp_path):
    (tmp_path / "tools").mkdir()
    write_program(tmp_path / "tools/iptables", "echo 'iptables: Permission denied (you must be root)' >&2; exit 4")

    in_a_machine(checkout, "scripts/engine.sh >without; pgrep -ax dockerd >>without", path=str(tmp_path / "tools"))

    said = (checkout / "without").read_text()
    assert "could not set up container networks" in said
    assert "--bridge=none" in said


@can_have_machines
@pytest.mark.needs_docker
@pytest.mark.slow_test
def test_an_engine_that_cannot_start_shows_its_last_words(checkout, tmp_path):
    (tmp_path / "tools").mkdir()
    write_program(tmp_path / "tools/dockerd", "echo 'failed to start daemon: no devices cgroup'; exit 1")

    printed = in_a_machine(checkout, "! scripts/engine.sh", path=str(tmp_path / "tools"))

    assert "no devices cgroup" in printed
    assert "In a container it needs" in " ".join(printed.split())


@can_have_machines
@pytest.mark.needs_docker
def test_only_root_starts_an_engine(checkout, tmp_path):
    (tmp_path / "tools").mkdir()
    write_program(tmp_path / "tools/id", "echo 1000")

    printed = in_a_machine(checkout, "! scripts/engine.sh; ! pgrep -x dockerd", path=str(tmp_path / "tools"))

    assert "sudo systemctl start docker" in " ".join(printed.split())
