"""scripts/demo_study.sh: a folder becomes a git repository, and the same content is always the same commit."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.site import DEMO_STUDY, ROOT


@pytest.fixture
def checkout(tmp_path):
    return copy_to(tmp_path / "a checkout")


def copy_to(folder: Path) -> Path:
    """What the script needs of this repository."""
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(DEMO_STUDY, folder / "demo" / "study")
    return folder


def make_repository(checkout: Path, **variables: str) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "HOME": str(checkout / "no-home")} | variables
    return subprocess.run(
        [checkout / "scripts/demo_study.sh"], cwd="/", env=environment, capture_output=True, text=True, timeout=60
    )


def git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", checkout / "demo/repo", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_repository_holds_the_study_and_a_second_call_changes_nothing(checkout):
    first = make_repository(checkout)
    made = (checkout / "demo/repo/.git").stat().st_ino

    second = make_repository(checkout)

    assert (first.returncode, first.stderr) == (0, "")
    assert "project.yaml" in git(checkout, "ls-files")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert (checkout / "demo/repo/.git").stat().st_ino == made


def test_the_same_content_is_the_same_commit_wherever_and_by_whomever_it_is_made(checkout, tmp_path):
    other = copy_to(tmp_path / "other")
    for file in (other / "demo/study").rglob("*.sh"):
        file.chmod(0o700)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text("[user]\n name = Alice\n[core]\n autocrlf = true\n[init]\n")

    make_repository(checkout)
    make_repository(other, HOME=str(tmp_path / "home"), GIT_DIR=str(tmp_path / "elsewhere"), GIT_AUTHOR_NAME="Bob")

    assert git(checkout, "rev-parse", "main") == git(other, "rev-parse", "main")
    assert not (tmp_path / "elsewhere").exists()


def test_a_branch_holds_the_same_study_with_an_action_that_can_be_cancelled_in_time(checkout):
    make_repository(checkout)
    before = git(checkout, "rev-parse", "main", "slow")

    assert git(checkout, "diff", "--name-only", "main", "slow") == "analysis/readings_by_month.sh"
    assert "sleep 5" in git(checkout, "show", "slow:analysis/readings_by_month.sh")
    git(checkout, "branch", "-D", "slow")  # a repository of before there was such a branch
    make_repository(checkout)
    assert git(checkout, "rev-parse", "main", "slow") == before


def test_a_changed_study_becomes_another_commit(checkout):
    make_repository(checkout)
    before = git(checkout, "rev-parse", "main")
    (checkout / "demo/study/analysis/new.sh").write_text("echo new\n")

    make_repository(checkout)

    assert git(checkout, "rev-parse", "main") != before
    assert "analysis/new.sh" in git(checkout, "ls-files")


def test_a_half_made_repository_is_made_anew(checkout):
    (checkout / "demo/repo/.git").mkdir(parents=True)
    (checkout / "demo/.repo-being-made/.git").mkdir(parents=True)

    assert make_repository(checkout).returncode == 0

    assert git(checkout, "status", "--porcelain") == ""
    assert not (checkout / "demo/.repo-being-made").exists()


def test_work_of_the_developer_in_the_repository_is_never_replaced(checkout):
    make_repository(checkout)
    (checkout / "demo/repo/project.yaml").write_text("mine\n")
    (checkout / "demo/study/README.md").write_text("another\n")

    refused = make_repository(checkout)

    assert refused.returncode == 1
    assert "changes of yours" in refused.stderr
    assert (checkout / "demo/repo/project.yaml").read_text() == "mine\n"
