"""The image of production: small, nobody's secrets in it, nobody's root, and everything that the services need."""

import json
import re
import subprocess

import pytest

from tests.deployment.conftest import IMAGE, MARK, in_image

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]


def inspected() -> dict:
    return json.loads(subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=True).stdout)[0]


def test_it_says_what_it_adds_to_its_base_and_that_is_little(built):
    added = re.search(r"adds (\d+) MB to its base debian:bookworm-slim \((\d+) MB\)", built)
    assert int(added[1]) < 250 and int(added[2]) < 120


def test_nothing_of_the_building_machines_configuration_is_in_any_layer(built):
    mark, overlap, found = MARK.encode(), b"", []
    with subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE) as saved:
        while block := saved.stdout.read(1 << 20):
            found += [MARK] if mark in overlap + block else []
            overlap = block[-len(mark) :]
    assert saved.returncode == 0 and not found
    history = subprocess.run(
        ["docker", "history", "--no-trunc", IMAGE], capture_output=True, text=True, check=True
    ).stdout
    assert MARK not in history
    places = "/tmp /root /run/secrets /run/image /build /var/lib/apt/lists /var/cache/apt /etc/pip.conf"
    names = "find / -xdev -name '*.sources' -o -xdev -name 'sources.list' -o -xdev -name machine"
    left = in_image("sh", "-c", f"ls -A {places} 2>&1; {names}", user="0")
    named = [line for line in left.splitlines() if line and not line.endswith((":", "No such file or directory"))]
    assert set(named) <= {".bashrc", ".profile", "/etc/apt/sources.list.d/debian.sources"}


def test_who_runs_it_is_not_root_and_can_change_nothing_of_it(built):
    assert in_image("id").startswith("uid=10001(jobrunner) gid=10001(jobrunner)")
    writable = in_image(
        "sh", "-c", "find / -xdev -writable ! -type l ! -path '/proc/*' ! -path '/dev/*' 2>/dev/null || true"
    )
    assert set(writable.split()) <= {"/tmp", "/var/tmp", "/run/lock", "/run/shm"}


def test_it_has_what_the_services_need_and_nothing_to_build_with(built):
    tools = "for each in git ssh python gunicorn gcc cc make pip pip3 curl; do command -v $each; done; true"
    assert [path.rpartition("/")[2] for path in in_image("sh", "-c", tools).split()] == [
        "git",
        "ssh",
        "python",
        "gunicorn",
    ]
    assert "git-remote-https" in in_image("ls", "/usr/lib/git-core")
    drawn = in_image(
        "sh", "-c", "python jobs/graph_child.py | cat", stdin='{"boxes": [[9, 9], [9, 9]], "links": [[0, 1]]}'
    )
    assert len(json.loads(drawn)["centres"]) == 2


def test_it_knows_its_revision(built):
    labels = inspected()["Config"]["Labels"]
    revision = labels["org.opencontainers.image.revision"]
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", revision)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"])
    assert labels["org.opencontainers.image.source"].startswith("https://")
    asked = "import django; django.setup(); from jobs.version import version; print(version())"
    variables = ("env", "DJANGO_SETTINGS_MODULE=jobrunner_site.settings", "WORK_DIR=/tmp/work")
    assert in_image(*variables, "python", "-c", asked).strip() == revision[:12] + revision[40:]


def test_it_is_ready_for_production(built):
    script = (
        'export SECRET_KEY="$(head -c 60 /dev/urandom | base64 -w 0)"; python manage.py check --deploy && '
        "ls staticfiles/staticfiles.json"
    )
    variables = {
        "JOB_RUNNER_MODE": "production", "BACKEND": "test", "ALLOWED_HOSTS": "localhost", "WORK_DIR": "/tmp/work",
        "HIGH_PRIVACY_STORAGE_BASE": "/tmp/high", "MEDIUM_PRIVACY_STORAGE_BASE": "/tmp/medium",
    }  # fmt: skip
    said = in_image("env", *(f"{name}={value}" for name, value in variables.items()), "sh", "-c", script)
    assert "no issues" in said and "staticfiles.json" in said
