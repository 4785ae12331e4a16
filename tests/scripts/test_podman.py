"""scripts/podman.sh: Podman and the init of its containers, or one paragraph that says what to do.

Its apt-get is a program of ours: nothing is installed anywhere.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.scripts.test_browser import words
from tests.scripts.test_engine import write_program
from tests.site import ROOT

INSTALLS = """echo "$@" >>"$ASKED"; for name in podman catatonit; do cp "$TOOLS/fold" "$TOOLS/$name"; done"""


def podman(folder: Path, *there: str, apt_get: str = "", **variables: str) -> subprocess.CompletedProcess:
    """Run the script with the tools that it needs, these programs and this apt-get; without one if it is empty."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("bash", "id", "dirname", "fold", "mktemp", "tail", "rm", "cp"):
        (tools / name).symlink_to(shutil.which(name))
    for name in there:
        write_program(tools / name, "true")
    if apt_get:
        write_program(tools / "apt-get", apt_get)
    environment = {"PATH": str(tools), "ASKED": str(folder / "asked"), "TOOLS": str(tools)} | variables
    command = ["bash", "scripts/podman.sh"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_what_is_there_is_left_alone_without_a_word(tmp_path):
    found = podman(tmp_path, "podman", "catatonit", apt_get=INSTALLS)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert not (tmp_path / "asked").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root installs packages")
@pytest.mark.parametrize("there", [(), ("podman",)])
def test_debians_packages_are_installed_where_they_may_be(tmp_path, there):
    found = podman(tmp_path, *there, apt_get=INSTALLS)
    assert found.returncode == 0, found.stderr
    assert "podman catatonit" in (tmp_path / "asked").read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root installs packages")
def test_an_installation_that_brings_nothing_stops_with_advice(tmp_path):
    found = podman(tmp_path, apt_get="true")
    assert found.returncode == 1
    assert "were installed but are not found" in words(found.stderr)


def test_without_the_right_to_install_the_tests_are_said_to_be_left_out_and_in_ci_that_is_a_failure(tmp_path):
    (tmp_path / "here").mkdir(), (tmp_path / "ci").mkdir()
    here, in_ci = podman(tmp_path / "here"), podman(tmp_path / "ci", CI="true")
    assert (here.returncode, in_ci.returncode) == (0, 1)
    assert "apt-get install podman catatonit" in words(here.stdout) and "left out until then" in words(here.stdout)
    assert "apt-get install podman catatonit" in words(in_ci.stderr)
