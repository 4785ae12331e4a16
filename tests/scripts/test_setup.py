"""scripts/setup.sh: .venv is made, found, repaired, and left alone when there is nothing to do."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.site import ROOT

pytestmark = pytest.mark.slow_test


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """A set-up for development, made once from two tiny packages, for the tests to copy."""
    folder = tmp_path_factory.mktemp("first") / "a checkout"
    (folder / "scripts").mkdir(parents=True)
    for name in ("setup.sh", "messages.sh"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts")
    production, development = make_wheel(folder, "tinyone"), make_wheel(folder, "tinytwo")
    (folder / "requirements.txt").write_text(production)
    (folder / "requirements.dev.txt").write_text(production + development)
    return folder, set_up(folder, "dev")


@pytest.fixture
def checkout(made_once):
    """The set-up folder as it was left. Tests put back what they change by setting it up again."""
    folder, _ = made_once
    set_up(folder, "dev")
    return folder


def make_wheel(folder: Path, name: str, version: str = "1.0", more: str = "") -> str:
    """Write a package with one empty module; returns its line for a requirements file. `more` is metadata."""
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return f"./{wheel.name} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def set_up(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHON": base_python()} | variables
    return subprocess.run(
        [folder / "scripts/setup.sh", *arguments], cwd="/", env=environment, capture_output=True, text=True, timeout=120
    )


def base_python() -> str:
    """The interpreter below the tests' own virtual environment."""
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def imports(folder: Path, module: str) -> bool:
    return subprocess.run([folder / ".venv/bin/python", "-c", f"import {module}"], capture_output=True).returncode == 0


def test_a_first_set_up_installs_everything_and_says_so(made_once):
    folder, first = made_once

    assert first.returncode == 0, first.stderr
    assert "Set up in" in first.stdout
    assert imports(folder, "tinyone") and imports(folder, "tinytwo")


@pytest.mark.parametrize("arguments", [["dev"], []], ids=["development", "production"])
def test_a_set_up_for_development_needs_nothing_more_for_either_use(checkout, arguments):
    again = set_up(checkout, *arguments)

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_changed_requirements_are_installed(checkout):
    with (checkout / "requirements.dev.txt").open("a") as requirements:
        requirements.write(make_wheel(checkout, "tinythree"))

    assert "Installing" in set_up(checkout, "dev").stdout

    assert imports(checkout, "tinythree")


def test_a_package_that_is_not_the_pinned_one_is_refused_and_what_was_there_stays(checkout):
    requirements = checkout / "requirements.dev.txt"
    good = requirements.read_text()
    requirements.write_text(good + make_wheel(checkout, "tinyfour").replace("sha256:", "sha256:0")[:-2] + "\n")

    refused = set_up(checkout, "dev")

    requirements.write_text(good)
    assert refused.returncode == 1
    assert "could not install requirements.dev.txt" in refused.stderr
    assert imports(checkout, "tinyone") and not imports(checkout, "tinyfour")
    assert set_up(checkout, "dev").stdout == ""


def test_a_release_of_today_that_nobody_pinned_does_not_spoil_a_pinned_set_up(checkout):
    """Seen with `coverage[toml]>=7.10.6`: pip took the newest release for it, and refused that for having no hash."""
    requirements = checkout / "requirements.dev.txt"
    good = requirements.read_text()
    pinned = make_wheel(checkout, "tinyfive", more="Provides-Extra: toml\n")
    needing = make_wheel(checkout, "tinysix", more="Requires-Dist: tinyfive[toml]>=1.0\n")
    make_wheel(checkout, "tinyfive", "1.1", more="Provides-Extra: toml\n")
    requirements.write_text(good + needing + pinned.replace("./tinyfive-1.0-py3-none-any.whl", "tinyfive==1.0"))

    installed = set_up(checkout, "dev", PIP_FIND_LINKS=checkout.as_uri(), PIP_NO_INDEX="1")

    requirements.write_text(good)
    assert installed.returncode == 0, installed.stderr
    assert (
        checkout / ".venv/lib" / f"python3.{sys.version_info.minor}" / "site-packages/tinyfive-1.0.dist-info"
    ).is_dir()


def test_a_list_that_lacks_what_a_package_needs_is_refused_and_says_how_to_see_it(checkout):
    requirements = checkout / "requirements.dev.txt"
    good = requirements.read_text()
    requirements.write_text(good + make_wheel(checkout, "tinyseven", more="Requires-Dist: tinyeight\n"))

    refused = set_up(checkout, "dev")
    refused_again = set_up(checkout, "dev")

    requirements.write_text(good)
    assert (refused.returncode, refused_again.returncode) == (1, 1)
    assert "tinyseven 1.0 requires tinyeight, which is not installed." in refused.stderr


def test_what_an_earlier_list_has_left_does_not_spoil_the_next_one(checkout):
    requirements = checkout / "requirements.dev.txt"
    good = requirements.read_text()
    needing = make_wheel(checkout, "tinynine", more="Requires-Dist: tinyten<2\n")
    requirements.write_text(good + needing + make_wheel(checkout, "tinyten"))
    set_up(checkout, "dev")
    requirements.write_text(good + make_wheel(checkout, "tinyten", "2.0"))

    changed = set_up(checkout, "dev")

    requirements.write_text(good)
    assert changed.returncode == 0 and changed.stdout.count("Making a virtual environment") == 1, changed.stderr
    assert not imports(checkout, "tinynine")


def test_what_pythonpath_names_does_not_matter(checkout, tmp_path):
    information = tmp_path / "strange-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: strange\nVersion: 1.0\nRequires-Dist: nowhere\n"
    )
    (checkout / ".venv/installed-requirements.dev.txt").unlink()

    assert set_up(checkout, "dev", PYTHONPATH=str(tmp_path)).returncode == 0


def test_an_environment_whose_making_was_interrupted_is_made_anew(checkout):
    (checkout / ".venv/being-made").touch()
    leftover = checkout / ".venv/leftover"
    leftover.touch()

    assert "Making a virtual environment" in set_up(checkout, "dev").stdout

    assert not leftover.exists()
    assert imports(checkout, "tinytwo")


def test_an_environment_that_was_moved_here_is_made_anew(checkout, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(checkout, moved, symlinks=True)

    assert "Making a virtual environment" in set_up(moved).stdout

    assert str(moved) in (moved / ".venv/bin/pip").read_text()


def test_an_environment_whose_interpreter_has_gone_is_made_anew(checkout):
    (checkout / ".venv/bin/python").unlink()

    assert "Making a virtual environment" in set_up(checkout, "dev").stdout

    assert imports(checkout, "tinyone")


def only(tools: Path, *names: str) -> str:
    """A PATH with nothing but these programs and what the script needs of the system."""
    tools.mkdir()
    for name in ("bash", "dirname", "cat", "head", "grep", "fold", "flock", "id", "env", *names):
        (tools / name).symlink_to(shutil.which(name))
    return str(tools)


def write_stub(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_without_a_new_enough_python_it_says_what_to_install(checkout, tmp_path):
    path = only(tmp_path / "tools")
    write_stub(tmp_path / "tools/python3.13", "echo 'a stub of a version manager' >&2; exit 127")
    write_stub(tmp_path / "tools/python3", "exit 1")
    (checkout / ".venv/being-made").touch()

    refused = set_up(checkout, PATH=path, PYTHON="")

    assert refused.returncode == 1
    assert "Python 3.11 or newer was not found" in refused.stderr


def test_without_the_venv_module_it_says_what_to_ask_an_administrator_for(checkout, tmp_path):
    path = only(tmp_path / "tools")
    write_stub(tmp_path / "tools/python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    (checkout / ".venv/being-made").touch()

    refused = set_up(checkout, PATH=path, PYTHON="")

    assert refused.returncode == 1
    assert "apt-get install python3-venv" in " ".join(refused.stderr.split())


def test_it_refuses_a_kind_of_set_up_that_does_not_exist(checkout):
    refused = set_up(checkout, "everything")

    assert refused.returncode == 1
    assert "There is no requirements.everything.txt" in refused.stderr
