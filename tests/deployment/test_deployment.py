"""compose.yaml in production, started as an operator starts it: services are killed in turn, and nothing is lost."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import uuid
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tests.deployment.conftest import IMAGE
from tests.engine import demo_images
from tests.ports import hold_port, port_of
from tests.site import ROOT, wait_until

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]

USER = 10001
SERVICES = ("run", "sync", "web")


class Deployment:
    """`with Deployment(folder) as site:` has started all services; leaving removes what they have made."""

    def __init__(self, folder: Path):
        self.work, self.project = folder / "work", f"jobrunner-test-{uuid.uuid4().hex[:8]}"
        with hold_port() as holder:
            self.port = port_of(holder)
        dotenv = folder / "settings.env"
        dotenv.write_text(
            "JOB_RUNNER_MODE=production\nBACKEND=test\nALLOWED_HOSTS=localhost\nBEHIND_TLS_PROXY=true\n"
            f"WORK_DIR={self.work}\nHIGH_PRIVACY_STORAGE_BASE={folder}/high\nMEDIUM_PRIVACY_STORAGE_BASE={folder}/medium\n"
            "ALLOW_LOCAL_REPOS=true\nDOCKER_REGISTRY=jobrunner-demo\nUSING_DUMMY_DATA_BACKEND=true\n"
        )
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "DOCKER_HOST")}
        self.environment = kept | {
            "DOTENV_FILE": str(dotenv), "SECRETS": str(folder / "secrets"), "COMPOSE_PROJECT_NAME": self.project,
            "JOB_RUNNER_IMAGE": IMAGE, "WEB_ADDRESS": f"127.0.0.1:{self.port}",
        }  # fmt: skip

    def __enter__(self) -> "Deployment":
        try:
            self.make("serve")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error) -> None:
        self.make("serve", ARGS="--profile command down --volumes --timeout 5", expect=None)
        for container in self._docker("ps", "-aq", "--filter", f"label=org.jobrunner.instance={self.instance}").split():
            self._docker("rm", "-f", container)

    @property
    def instance(self) -> str:
        import hashlib

        return f"test-{hashlib.sha256(str(self.work).encode()).hexdigest()[:8]}"

    def make(self, target: str, *, expect: int | None = 0, **variables: str) -> str:
        """`make docker-TARGET`; returns what it printed."""
        done = subprocess.run(
            [f"scripts/docker/{target}.sh"], cwd=ROOT, env=self.environment | variables, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
        assert expect is None or done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def refused(self, why: str, *, line: str = "", **variables: str) -> str:
        """`make docker-serve` with another line in .env or other variables fails for that reason; what it said."""
        dotenv = Path(self.environment["DOTENV_FILE"])
        before = dotenv.read_text()
        dotenv.write_text(f"{before}{line}\n")
        try:
            done = subprocess.run(
                ["scripts/docker/serve.sh"], cwd=ROOT, env=self.environment | variables, capture_output=True, text=True,
                stdin=subprocess.DEVNULL, timeout=300,
            )  # fmt: skip
        finally:
            dotenv.write_text(before)
        assert done.returncode == 1 and why in " ".join(done.stderr.split()), done.stdout + done.stderr
        return done.stderr

    def container(self, service: str) -> str:
        label = f"label=com.docker.compose.service={service}"
        return self._docker(
            "ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}", "--filter", label
        )

    def state(self, service: str) -> dict:
        return json.loads(self._docker("inspect", self.container(service)))[0]

    def kill(self, service: str) -> None:
        """As the kernel kills for want of memory: what `docker kill` ends would stay ended."""
        script = "kill -KILL $(cat /proc/1/task/1/children)"
        self._docker("exec", self.container(service), "sh", "-c", script)
        wait_until(lambda: self.state(service)["RestartCount"] >= 1, 60, f"the restart of {service}")

    def query(self, sql: str) -> list[tuple]:
        with contextlib.closing(sqlite3.connect(self.work / "database/db.sqlite3", timeout=20)) as database:
            return database.execute(sql).fetchall()

    def answer(self, path: str) -> dict:
        """Of the web; nothing while it does not answer."""
        request = Request(f"http://127.0.0.1:{self.port}{path}", headers={"Host": "localhost"})
        try:
            with urlopen(request, timeout=10) as response:
                return json.loads(response.read())
        except (URLError, OSError):
            return {}

    def _docker(self, *words: str) -> str:
        return subprocess.run(
            ["docker", *words], capture_output=True, text=True, check=True, timeout=120
        ).stdout.strip()


@pytest.fixture
def study(tmp_path) -> Path:
    """The demo study in a folder that `run` sees, and nothing else of this checkout."""
    demo_images()
    subprocess.run(["scripts/demo_study.sh"], cwd=ROOT, check=True, capture_output=True)
    folder = tmp_path / "work/studies/demo"
    shutil.copytree(ROOT / "demo/repo", folder)
    for path in [tmp_path / "work", *(tmp_path / "work").rglob("*")]:
        os.chown(path, USER, USER)
    return folder


def test_each_service_is_killed_while_a_study_runs_and_nothing_is_lost(built, tmp_path, study):
    with Deployment(tmp_path) as site:
        wait_until(lambda: site.answer("/healthz/").get("status") == "ok", 120, "all services at work")
        site.make("run", ARGS=f"python manage.py add_job {study} run_all --workspace demo")
        wait_until(lambda: site.query("SELECT 1 FROM jobs_job WHERE status_code = 'executing'"), 60, "a running job")
        for service in SERVICES:
            site.kill(service)
        assert site.query("SELECT COUNT(*) FROM jobs_job WHERE completed_at IS NULL")[0][0] > 0  # in the middle
        wait_until(lambda: not site.query("SELECT 1 FROM jobs_job WHERE completed_at IS NULL"), 180, "the study's end")
        jobs = site.query("SELECT action, status_code FROM jobs_job")
        assert len(jobs) == 9 and {code for _, code in jobs} == {"succeeded"}
        assert "all as stored" in site.make("exec", ARGS="python manage.py verify_workspace demo")
        wait_until(lambda: site.answer("/healthz/").get("status") == "ok", 120, "all services at work again")
        for path in (tmp_path / "high", tmp_path / "medium", site.work / "database/db.sqlite3"):
            assert path.stat().st_uid == USER and not path.stat().st_mode & 0o077

        # What each can see, as the container has it and not only as the file says.
        for service in SERVICES:
            inside = site.state(service)
            mounts = {mount["Destination"] for mount in inside["Mounts"]}
            assert ("/var/run/docker.sock" in mounts) is (service == "run")
            assert inside["HostConfig"]["ReadonlyRootfs"] and not inside["HostConfig"]["CapAdd"]
            assert not [
                name for name in inside["Config"]["Env"] if name.startswith(("SECRET_KEY=", "JOB_SERVER_TOKEN="))
            ]
        said = site.make("exec", SERVICE="web", ARGS="sh -c 'ls /run/secrets; ls /var/run/docker.sock 2>&1 || true'")
        assert sorted(said.split()[:3]) == ["DATABASE_URL", "RAP_API_TOKENS", "SECRET_KEY"] and "No such file" in said
        assert f"the engine sees {site.work} as {site.work}" in site.make(
            "exec", ARGS="sh -c 'python manage.py doctor docker || true'"
        )
        # Another installation that wants the same port hears of it before anything of it is started.
        site.refused("is taken by another program", COMPOSE_PROJECT_NAME=f"{site.project}-two")
        # A wrong setting: what migrate says, of this start and without colours.
        said = site.refused("MAX_WORKERS: Not a valid integer", line="MAX_WORKERS=lots")
        assert "\x1b" not in said and "Applying" not in said

        site.make("serve", ARGS="stop")
        ends = {service: site.state(service)["State"] for service in SERVICES}
        assert {service: end["ExitCode"] for service, end in ends.items()} == dict.fromkeys(SERVICES, 0)
        assert not any(end["OOMKilled"] for end in ends.values())
