"""scripts/browser.sh: a Chromium that starts, or one paragraph that says what to do.

Each case is a machine with mounts of its own, where /usr/bin/chromium is something that does not start. Its apt-get is
a program of ours: nothing is installed anywhere.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.scripts.test_engine import write_program
from tests.site import ROOT

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("unshare") or not Path("/usr/bin/chromium").exists(),
    reason="hiding Chromium from a script needs root, unshare and a Chromium",
)
INSTALLS = 'echo "$@" >>"$ASKED"; case "$*" in *install*) umount /usr/bin/chromium;; esac'
INSTALLS_NOTHING = 'echo "$@" >>"$ASKED"'
FAILS = "echo 'E: Unable to locate package chromium' >&2; exit 100"


def browser(folder: Path, apt_get: str, *, is_hidden: bool = True, **variables: str) -> subprocess.CompletedProcess:
    """Run the script with the tools that it needs and this apt-get; without one if it is empty."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("bash", "id", "dirname", "fold", "mktemp", "tail", "rm", "umount"):
        (tools / name).symlink_to(shutil.which(name))
    if apt_get:
        write_program(tools / "apt-get", apt_get)
    hide = "mount --bind /dev/null /usr/bin/chromium && " if is_hidden else ""
    return subprocess.run(
        ["unshare", "--mount", "bash", "-c", f'{hide}PATH="$1" exec bash scripts/browser.sh', "bash", str(tools)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ASKED": str(folder / "asked"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def words(text: str) -> str:
    """Without the line breaks of long paragraphs."""
    return " ".join(text.split())


def test_a_chromium_that_starts_is_left_alone_without_a_word(tmp_path):
    found = browser(tmp_path, INSTALLS, is_hidden=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert not (tmp_path / "asked").exists()


def test_debians_chromium_is_installed_where_it_may_be(tmp_path):
    found = browser(tmp_path, INSTALLS)
    assert found.returncode == 0, found.stderr
    assert "install" in (tmp_path / "asked").read_text() and "chromium" in (tmp_path / "asked").read_text()


def test_a_chromium_that_does_not_start_after_its_installation_stops_with_advice(tmp_path):
    found = browser(tmp_path, INSTALLS_NOTHING)
    assert found.returncode == 1
    assert "was installed but does not start" in words(found.stderr)


def test_the_last_words_of_an_installation_that_fails_are_shown(tmp_path):
    found = browser(tmp_path, FAILS)
    assert found.returncode == 1
    assert "Unable to locate package chromium" in found.stderr and "could not install chromium" in words(found.stderr)


def test_without_the_right_to_install_the_tests_are_said_to_be_left_out(tmp_path):
    found = browser(tmp_path, "")
    assert found.returncode == 0
    assert "apt-get install chromium" in words(found.stdout) and "left out until then" in words(found.stdout)


def test_in_ci_a_missing_browser_is_a_failure(tmp_path):
    found = browser(tmp_path, "", CI="true")
    assert found.returncode == 1
    assert "apt-get install chromium" in words(found.stderr)
