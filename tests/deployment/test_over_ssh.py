"""`make enable-docker-over-ssh` and back: against an sshd of the test's own, in namespaces of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deployment.conftest import IMAGE
from tests.engine import demo_images
from tests.ports import hold_port, port_of
from tests.site import ROOT

SSHD = "/usr/sbin/sshd"
pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]

# $1: the folder of the test, $2: the port. The account's real ~/.ssh is covered, and uncovered when the shell ends.
MACHINE = """
set -eu
mkdir -p /run/sshd ~/.ssh
mount --bind "$1/ssh" ~/.ssh
/usr/sbin/sshd -D -e -f "$1/sshd_config" 2>"$1/sshd.log" &
sshd=$!
trap "kill $sshd" EXIT
until grep -q "listening on" "$1/sshd.log"; do sleep 0.1; done
cd "$1/checkout"
export SSH_PORT=$2
"""
CONFIGURATION = """
ListenAddress {listens}
Port {port}
HostKey {folder}/host_key
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
AllowStreamLocalForwarding {forwards}
"""


@pytest.fixture
def in_machine(tmp_path):
    """Runs a script in a checkout beside an sshd; returns its exit code and what it has said."""
    if os.getuid() != 0 or not Path(SSHD).exists() or not shutil.which("unshare"):
        report = pytest.fail if os.environ.get("CI") else pytest.skip
        report("an sshd of a test's own needs root, openssh-server and unshare")
    for name in ("ssh", "checkout"):
        (tmp_path / name).mkdir(mode=0o700)
    shutil.copytree(ROOT / "scripts", tmp_path / "checkout/scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dotenv-sample", tmp_path / "checkout")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "host_key"], check=True)

    def run(script: str, *, forwards: str = "yes", listens: str = "127.0.0.1") -> subprocess.CompletedProcess:
        with hold_port() as holder:
            port = port_of(holder)
        configuration = CONFIGURATION.format(port=port, folder=tmp_path, forwards=forwards, listens=listens)
        (tmp_path / "sshd_config").write_text(configuration)
        namespaces = ["unshare", "--fork", "--pid", "--mount-proc", "--mount", "--kill-child=KILL"]
        command = [*namespaces, "bash", "-c", MACHINE + script, "bash", str(tmp_path), str(port)]
        # Without the settings of the tests themselves, which a checkout of its own has nothing to do with.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=400, stdin=subprocess.DEVNULL
        )

    return run


ENABLE, DISABLE = "scripts/docker/over_ssh.sh enable", "scripts/docker/over_ssh.sh disable"


def test_it_is_enabled_with_a_key_that_opens_the_engine_only_and_undone_completely(in_machine, tmp_path):
    (tmp_path / "ssh/authorized_keys").touch(mode=0o600)
    theirs = "ssh-ed25519 AAAA somebody else's, without a line break at the end"
    (tmp_path / "ssh/authorized_keys").write_text(theirs)
    dotenv = tmp_path / "checkout/.env"
    dotenv.write_text("BACKEND=mine\n")
    done = in_machine(
        f"""
        {ENABLE}
        cp ~/.ssh/authorized_keys .env "$1"
        stat -c '%a %n' .docker-over-ssh .docker-over-ssh/key ~/.ssh/authorized_keys
        key="-F none -i .docker-over-ssh/key -o UserKnownHostsFile=.docker-over-ssh/known_hosts -o BatchMode=yes -p $2"
        echo "shell: $(ssh $key root@localhost id)"
        ssh $key -W 127.0.0.1:$2 root@localhost || echo "a port: refused"
        ssh $key -N -L "/tmp/other-$2:/run/other.sock" root@localhost &
        pid=$!
        until [ -S /tmp/other-$2 ]; do sleep 0.1; done
        curl -s --max-time 5 --unix-socket /tmp/other-$2 http://x/ || echo "another socket: refused"
        kill $pid
        rm /tmp/other-$2
        {DISABLE}
        {DISABLE}
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Docker " in done.stdout and "answers at ssh://root@localhost" in done.stdout
    line = (tmp_path / "authorized_keys").read_text().splitlines()
    assert line[0] == theirs and line[1].startswith("restrict,port-forwarding,permitopen=") and len(line) == 2
    modes = [line for line in done.stdout.splitlines() if re.match(r"\d{3} ", line)]
    assert [mode.split()[0] for mode in modes] == ["700", "600", "600"]
    assert "shell: This key is for the Docker engine only." in done.stdout
    assert "a port: refused" in done.stdout and "another socket: refused" in done.stdout
    enabled = (tmp_path / ".env").read_text()
    assert enabled.startswith("BACKEND=mine\nDOCKER_HOST=ssh://root@localhost:") and "SSH_KEY_FILE=" in enabled
    assert dotenv.read_text() == "BACKEND=mine\n"
    assert (tmp_path / "ssh/authorized_keys").read_text() == f"{theirs}\n"
    assert not (tmp_path / "checkout/.docker-over-ssh").exists()
    assert "nothing to do" in done.stdout


def test_where_the_engine_cannot_be_reached_everything_is_as_before(in_machine, tmp_path):
    done = in_machine(ENABLE, forwards="no")
    assert done.returncode == 1
    assert "Everything is as it was before" in " ".join(done.stderr.split())
    assert not (tmp_path / "checkout/.docker-over-ssh").exists() and not (tmp_path / "checkout/.env").exists()
    assert not (tmp_path / "ssh/authorized_keys").exists()


def test_a_key_of_ones_own_is_used_and_left_alone(in_machine, tmp_path):
    done = in_machine(
        f"""
        ssh-keygen -q -t ed25519 -N "" -f "$1/own"
        cp "$1/own.pub" ~/.ssh/authorized_keys
        SSH_KEY="$1/own" {ENABLE}
        cp .env "$1"
        {DISABLE}
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SSH_KEY_FILE={tmp_path}/own #" in (tmp_path / ".env").read_text()
    assert (tmp_path / "own").exists() and (tmp_path / "ssh/authorized_keys").read_text() == (
        tmp_path / "own.pub"
    ).read_text()


def test_on_another_machine_ones_own_login_authorises_the_key_and_takes_it_away(in_machine, tmp_path):
    done = in_machine(
        f"""
        ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519
        cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys
        ssh-keyscan -p $2 127.0.0.2 >~/.ssh/known_hosts 2>/dev/null
        export SSH_HOST=127.0.0.2
        {ENABLE}
        cp ~/.ssh/authorized_keys .env "$1"
        {DISABLE}
        """,
        listens="127.0.0.2",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DOCKER_HOST=ssh://root@127.0.0.2:" in (tmp_path / ".env").read_text()
    assert "jobrunner-docker-over-ssh" in (tmp_path / "authorized_keys").read_text()
    assert (tmp_path / "ssh/authorized_keys").read_text() == (tmp_path / "ssh/id_ed25519.pub").read_text()


def test_services_in_containers_run_the_demo_study_through_it_and_have_no_socket(built, in_machine, tmp_path):
    demo_images()
    checkout = tmp_path / "checkout"
    checkout.chmod(0o755)  # the services read the study in it
    shutil.copytree(ROOT / "demo/study", checkout / "demo/study")
    for name in ("compose.yaml", "compose.development.yaml"):
        shutil.copy(ROOT / name, checkout)
    (checkout / ".env").write_text("DOCKER_REGISTRY=jobrunner-demo\n")
    with hold_port() as holder:
        web = port_of(holder)
    done = in_machine(
        f"""
        export JOB_RUNNER_IMAGE={IMAGE} COMPOSE_PROJECT_NAME=jobrunner-test-$2 WEB_ADDRESS=127.0.0.1:{web}
        {ENABLE}
        trap 'ARGS="--profile command down --volumes --timeout 5" scripts/docker/serve.sh; kill $sshd' EXIT
        scripts/docker/serve.sh
        ARGS="python manage.py add_job $PWD/demo/repo run_all --workspace demo --wait" scripts/docker/run.sh
        ARGS="sh -c 'ls /run/secrets; test -S /var/run/docker.sock || echo no socket'" scripts/docker/exec.sh
        {DISABLE}
        """,
        listens="0.0.0.0",  # noqa: S104 - containers call it by the address of Docker's bridge
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "9 of 9 job(s) succeeded" in done.stdout
    assert "SSH_KEY" in done.stdout.split() and "no socket" in done.stdout
    assert "ssh://" not in (checkout / ".env").read_text() and not (checkout / "secrets/SSH_KEY").read_bytes()


def test_what_is_no_address_is_refused_before_anything_is_made(in_machine, tmp_path):
    done = in_machine(f'SSH_HOST="-oProxyCommand=touch x" {ENABLE}')
    assert done.returncode == 1 and "is no address of ssh" in " ".join(done.stderr.split())
    assert not (tmp_path / "checkout/.docker-over-ssh").exists() and not (tmp_path / "checkout/x").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("SSH_PORT=1", "No ssh server answers"),
        ("SSH_KEY=/nowhere", "cannot be read"),
        ("SSH_HOST=::1", "a name, or IPv4"),
    ],
)
def test_what_fails_at_the_first_step_leaves_nothing(in_machine, tmp_path, words, said):
    done = in_machine(f"{words} {ENABLE}")
    assert done.returncode == 1 and said in " ".join(done.stderr.split())
    assert not (tmp_path / "checkout/.docker-over-ssh").exists() and not (tmp_path / "checkout/.env").exists()


def test_copies_of_the_key_go_from_wherever_secrets_are(in_machine, tmp_path):
    done = in_machine(
        f"""
        export SECRETS="$1/elsewhere"
        mkdir "$SECRETS"
        {ENABLE}
        for each in SSH_KEY SSH_KNOWN_HOSTS SECRET_KEY; do echo "$each" >"$SECRETS/$each"; done
        {DISABLE}
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    left = {path.name: path.read_text() for path in (tmp_path / "elsewhere").iterdir()}
    assert left == {"SSH_KEY": "", "SSH_KNOWN_HOSTS": "", "SECRET_KEY": "SECRET_KEY\n"}
