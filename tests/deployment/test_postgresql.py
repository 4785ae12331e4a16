"""compose.yaml with the profile postgresql: a study survives a crash of the database, which nobody else can reach.

No registry answers here, so the image `postgres` is stood in for: this machine's own PostgreSQL in the image of
production, behind an entrypoint that does what the real one is documented to do (`postgresql_entrypoint.sh`). What
compose gives it, and what it may, is the real thing.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.conftest import IMAGE
from tests.deployment.test_deployment import Deployment, study
from tests.postgres_cluster import programs
from tests.site import ROOT, wait_until

__all__ = ["study"]

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]

STAND_IN = f"{IMAGE}-postgresql"
PASSWORD = "of-a-test-0123456789"
DOCKERFILE = f"""
FROM {IMAGE}
USER root
COPY files /
RUN ln -s /usr/lib/postgresql/*/bin/pg_isready /usr/bin/pg_isready \\
    && useradd --system --home-dir /var/lib/postgresql postgres && mkdir -p /var/lib/postgresql/data /run/postgresql
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["/entrypoint.sh"]
"""


@pytest.fixture(scope="module")
def postgresql_image(built, tmp_path_factory) -> Iterator[str]:
    found = programs()
    if found is None or not str(found).startswith("/usr/lib/postgresql/"):
        pytest.skip("Debian's PostgreSQL is not installed: scripts/postgres.sh does it")
    folder = tmp_path_factory.mktemp("image")
    files = folder / "files"
    for place in (found.parent, Path("/usr/share/postgresql") / found.parent.name):
        shutil.copytree(place, files / place.relative_to("/"), symlinks=True)
    linked = subprocess.run(["ldd", *found.glob("*")], capture_output=True, text=True, check=False).stdout
    for library in map(Path, sorted(set(re.findall(r"=> (/\S+)", linked)))):
        if not re.match(r"(libc|libm|ld-linux.*|libpthread|libdl|librt)\.so", library.name):
            target = files / "usr" / library.resolve().relative_to("/usr").parent / library.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    shutil.copy(ROOT / "tests/deployment/postgresql_entrypoint.sh", files / "entrypoint.sh")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    command = ["docker", "build", "--tag", STAND_IN, str(folder)]
    done = subprocess.run(command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DOCKER_BUILDKIT": "0"},
                          capture_output=True, text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    yield STAND_IN
    subprocess.run(["docker", "image", "rm", STAND_IN], capture_output=True)


class OnPostgresql(Deployment):
    def __init__(self, folder: Path):
        super().__init__(folder)
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "POSTGRES_PASSWORD").write_text(PASSWORD)
        (secrets / "DATABASE_URL").write_text(f"postgresql://jobrunner:{PASSWORD}@postgresql/jobrunner")
        self.environment |= {"COMPOSE_PROFILES": "postgresql", "POSTGRES_IMAGE": STAND_IN}

    def crash_database(self) -> None:
        """It ends at once, without a word to anybody and without a checkpoint."""
        self._docker("exec", "--user", "postgres", self.container("postgresql"), "sh", "-c", "kill -QUIT 1")
        wait_until(lambda: self.state("postgresql")["RestartCount"] >= 1, 60, "its restart")

    def query(self, sql: str) -> list[tuple]:
        command = ["exec", "--user", "postgres", self.container("postgresql"), "sh", "-c"]
        script = f'exec /usr/lib/postgresql/*/bin/psql --user jobrunner --no-align --tuples-only --command "{sql}"'
        return [tuple(line.split("|")) for line in self._docker(*command, script).splitlines()]


def test_a_study_survives_a_crash_of_the_database_which_only_the_services_reach(postgresql_image, tmp_path, study):
    with OnPostgresql(tmp_path) as site:
        wait_until(lambda: site.answer("/healthz/").get("status") == "ok", 120, "all services at work")
        assert site.answer("/healthz/")["database"]["kind"] == "postgresql"
        site.make("run", ARGS=f"python manage.py add_job {study} run_all --workspace demo")
        wait_until(lambda: site.query("SELECT 1 FROM jobs_job WHERE status_code = 'executing'"), 60, "a running job")
        site.crash_database()
        wait_until(lambda: site.answer("/healthz/").get("status") == "ok", 120, "all services at work again")
        wait_until(lambda: not site.query("SELECT 1 FROM jobs_job WHERE completed_at IS NULL"), 180, "the study's end")
        assert site.query("SELECT status_code, count(*) FROM jobs_job GROUP BY status_code") == [("succeeded", "9")]
        assert "all as stored" in site.make("exec", ARGS="python manage.py verify_workspace demo")

        inside = site.state("postgresql")
        assert inside["HostConfig"]["ReadonlyRootfs"] and not inside["HostConfig"]["PortBindings"]
        assert list(inside["NetworkSettings"]["Networks"]) == [f"{site.project}_database"]
        assert PASSWORD not in str(inside["Config"])
        site.make("serve", ARGS="stop")
        assert site.state("postgresql")["State"]["ExitCode"] == 0
