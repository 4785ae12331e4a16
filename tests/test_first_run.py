"""docs/production.md, read as a newcomer does: its `.env` and its commands, on an empty machine (here: a folder)."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.site import ROOT, Site

pytestmark = pytest.mark.slow_test


def blocks() -> list[str]:
    """The indented blocks of the page, in order."""
    text = (ROOT / "docs" / "production.md").read_text()
    return [
        re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    ]


def test_the_first_steps_lead_to_a_site_that_is_set_up(tmp_path):
    def here(text: str) -> str:
        return text.replace("/var/lib/jobrunner", str(tmp_path / "data")).replace("/etc/jobrunner", str(tmp_path))

    steps, env = (here(block) for block in blocks()[:2])
    (tmp_path / ".env").write_text(env)
    (tmp_path / ".env").chmod(0o600)
    site = Site(
        tmp_path, DOTENV_FILE=str(tmp_path / ".env"), DJANGO_SETTINGS_MODULE="tests.browser.production_settings"
    )
    for name in ("WORK_DIR", "DOCKER_REGISTRY", "CHORES"):
        del site.environment[name]
    lines = [line.partition("   #")[0].strip() for line in steps.splitlines()]

    [secret] = [line for line in lines if "token_urlsafe" in line]
    secret = secret.replace("sudo install -m 400 -o jobrunner", "install -m 400").replace("python3", sys.executable)
    subprocess.run(["bash", "-euo", "pipefail", "-c", secret], check=True, timeout=60)
    [made] = [line for line in lines if line.startswith("mkdir")]
    subprocess.run(shlex.split(made), check=True, timeout=60)
    site.manage("collectstatic", "--no-input", "--verbosity", "0")  # make static

    commands = [line.partition("manage.py ")[2] for line in lines if line.startswith(".venv/bin/python manage.py")]
    assert [command.split()[0] for command in commands] == ["migrate", "add_person", "check"]
    said = [site.manage(*shlex.split(command)) for command in commands]
    assert "assword" in said[1] and "no issues" in said[2]
    site.manage("sync", "--once", "--plan-only")
    assert (tmp_path / "data" / "work" / "db.sqlite3").stat().st_size
