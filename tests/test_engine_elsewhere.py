"""The whole system with its engine elsewhere, reached by TCP or by SSH: stories, kills, lost connections."""

import contextlib
import os
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from tests import engine
from tests.authorities import Authority
from tests.git_repositories import make_repository, repository_of
from tests.ports import HOST, hold_port, port_of
from tests.private_engine import PrivateEngine, private_engine
from tests.site import DEMO_STUDY, Site, wait_until, watched_starts
from tests.ssh_server import SshServer, ssh_server
from tests.test_kill_loop import hashes, live_a_little, run_undisturbed

KILLS = 12
IMAGES = ("jobrunner-demo/python:v2", "jobrunner-demo/r:v2")

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]


@dataclass
class Elsewhere:
    """An engine of the test's own, and the settings by which a site reaches it."""

    engine: PrivateEngine
    settings: dict[str, str]
    sshd: SshServer | None = None

    @property
    def socket(self) -> str:
        return self.engine.address


@contextlib.contextmanager
def engine_by_ssh() -> Iterator[Elsewhere]:
    with ssh_server() as sshd, private_engine() as own:
        _load_images(own)
        settings = {
            "DOCKER_HOST": sshd.address(own.address.removeprefix("unix://")),
            "SSH_KEY_FILE": str(sshd.key),
            "SSH_KNOWN_HOSTS_FILE": str(sshd.known_hosts),
        }
        yield Elsewhere(own, settings, sshd)


@contextlib.contextmanager
def engine_by_tcp(folder: Path) -> Iterator[Elsewhere]:
    authority = Authority(folder)
    certificate, key = authority.pair("engine")
    certificates = folder / "certificates"
    certificates.mkdir()
    for name, file in zip(("ca.pem", "cert.pem", "key.pem"), (authority.file, *authority.pair("client")), strict=True):
        shutil.copy(file, certificates / name)
    options = (f"--tlscacert={authority.file}", f"--tlscert={certificate}", f"--tlskey={key}", "--tlsverify")
    with hold_port() as holder:
        holder.listen(128)
        with private_engine(*options, listener=holder) as own:
            _load_images(own)
            settings = {"DOCKER_HOST": f"tcp://{HOST}:{port_of(holder)}", "DOCKER_CERT_PATH": str(certificates)}
            yield Elsewhere(own, settings)


def _load_images(own: PrivateEngine) -> None:
    engine.demo_images()
    with engine.sdk() as theirs, own.client() as ours:
        for name in IMAGES:
            list(ours.load_image(b"".join(theirs.get_image(name))))


@pytest.fixture(params=["ssh", "tcp"])
def elsewhere(request, tmp_path):
    with engine_by_ssh() if request.param == "ssh" else engine_by_tcp(tmp_path) as made:
        yield made


def nothing_is_left(elsewhere: Elsewhere, site: Site, label: str) -> None:
    with elsewhere.engine.client() as client:
        assert client.containers(all=True, filters={"label": label}) == []
        assert not client.volumes(filters={"label": label})["Volumes"]
    assert list((site.work_dir / "jobs").iterdir()) == []
    assert not list(site.work_dir.rglob(".publishing/*"))


def test_the_demo_study_gives_the_same_outputs_through_volumes_as_through_folders(elsewhere, tmp_path):
    study = repository_of(DEMO_STUDY, tmp_path / "study")
    with Site(tmp_path / "here") as here:
        expected = run_undisturbed(here, study)
    with Site(tmp_path / "site", INSTANCE="elsewhere", **elsewhere.settings) as site:
        found = run_undisturbed(site, study)

        assert found == expected
        assert set(site.statuses().values()) == {"succeeded"}
        nothing_is_left(elsewhere, site, "org.jobrunner.instance=elsewhere")
        assert "all as stored" in site.manage("verify_workspace", "demo")


def test_a_runner_killed_again_and_again_loses_nothing_elsewhere_either(tmp_path):
    """In the middle of streams, of a volume's making, of a fetch: the same promises as with folders."""
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
    print(f"KILL_SEED={seed}")
    chance = random.Random(seed)
    study = repository_of(DEMO_STUDY, tmp_path / "study")
    label = f"org.jobrunner.instance=kill-{seed}"
    with Site(tmp_path / "calm") as calm:
        expected = run_undisturbed(calm, study)
    with engine_by_ssh() as elsewhere, Site(tmp_path / "site", INSTANCE=f"kill-{seed}", **elsewhere.settings) as site:
        with watched_starts(label, elsewhere.socket) as started:
            site.manage("add_job", str(study), "run_all", "--workspace", "demo")
            for _ in range(KILLS):
                if not site.query("SELECT 1 FROM jobs_job WHERE state IN ('pending', 'running')"):
                    site.manage("add_job", str(study), "run_all", "--workspace", "demo", "--force-run-dependencies")
                live_a_little(site, chance)
            site.manage("run", "--until-idle")
        assert set(site.statuses().values()) == {"succeeded"}
        assert hashes(site) == expected
        assert len(started) == len(set(started)) == site.query("SELECT count(*) FROM jobs_job")[0][0]
        assert site.query("SELECT max(attempt) FROM jobs_job") == [(1,)]
        nothing_is_left(elsewhere, site, label)


PROJECT = """
version: '4.0'
actions:
  slow:
    run: python:v2 sh -c 'until [ -e /workspace/go ]; do sleep 0.05; done; echo done > output/slow.txt'
    outputs: {highly_sensitive: {text: output/slow.txt}}
"""


def study_of(folder: Path, project: str) -> Path:
    make_repository(folder / "study", {"project.yaml": project})
    return folder / "study"


def test_a_job_outlives_the_connection_and_the_runner(tmp_path):
    """SSH is cut, sshd is down for a while, the runner is killed: the job neither ends nor starts again."""
    study = study_of(tmp_path, PROJECT)
    label = "org.jobrunner.instance=outlives"
    with engine_by_ssh() as elsewhere, Site(tmp_path / "site", INSTANCE="outlives", **elsewhere.settings) as site:
        with watched_starts(label, elsewhere.socket) as started, elsewhere.engine.client() as client:
            site.manage("add_job", str(study), "slow", "--workspace", "demo")
            runner = site.start("run")
            wait_until(lambda: site.statuses()["slow"] == "executing", what="the start")
            elsewhere.sshd.stop()
            said = "SELECT status_message FROM jobs_job"
            wait_until(lambda: "does not answer" in site.query(said)[0][0], 60, "word of the lost engine")
            os.killpg(runner.pid, signal.SIGKILL)
            runner.wait()
            elsewhere.sshd.start()
            again = site.start("run")
            wait_until(lambda: site.query(said) == [("The container is running.",)], 60, "the adoption")
            (name,) = started
            _touch(client, name, "go")
            wait_until(lambda: site.statuses()["slow"] == "succeeded", 60, "the end")
            os.killpg(again.pid, signal.SIGTERM)
            again.wait(30)
        assert started == [name]
        assert (site.high / "workspaces/demo/output/slow.txt").read_text() == "done\n"
        nothing_is_left(elsewhere, site, label)


def _touch(client: docker.APIClient, container: str, name: str) -> None:
    command = client.exec_create(container, ["touch", f"/workspace/{name}"])
    client.exec_start(command["Id"])


def test_a_volume_that_disappears_costs_an_attempt_and_never_an_empty_workspace(tmp_path):
    """The engine would make a new, empty one by itself."""
    study = study_of(tmp_path, PROJECT.replace("until [ -e /workspace/go ]", "until true"))
    with engine_by_ssh() as elsewhere, Site(tmp_path / "site", INSTANCE="lost", **elsewhere.settings) as site:
        site.manage("add_job", str(study), "slow", "--workspace", "demo")
        with elsewhere.engine.client() as client:
            name = f"jobrunner-{site.query('SELECT identifier FROM jobs_job')[0][0]}-1"
            # As if an operator had removed it between two turns: the job is prepared, its volume is not there.
            site.change("UPDATE jobs_job SET status_code = 'prepared', state = 'running', started_at = created_at")
            site.manage("run", "--until-idle")
            assert name not in [volume["Name"] for volume in client.volumes()["Volumes"] or []]
        assert site.statuses() == {"slow": "succeeded"}
        assert site.query("SELECT attempt FROM jobs_job") == [(2,)]
