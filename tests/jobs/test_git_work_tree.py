"""What is changed but not committed in a local repository: a look that never fails, never waits and runs nothing."""

import contextlib
import os
from pathlib import Path

import pytest

from jobs import git
from jobs.git import work_tree
from tests.git_repositories import commit, make_repository
from tests.git_repositories import git as run_git


@pytest.fixture
def study(tmp_path):
    make_repository(tmp_path / "study", {"project.yaml": "x", "analysis/a.py": "1", "old.py": "2"})
    return tmp_path / "study"


def test_changed_files_come_before_new_ones_whatever_their_names(study):
    (study / "project.yaml").write_text("changed")
    (study / "old.py").unlink()
    run_git(study, "add", "--intent-to-add", ".")
    (study / "a new\nfile ü.py").write_text("3")
    (study / "more").mkdir()
    (study / "more/b.py").write_text("4")
    assert git.uncommitted(str(study), "HEAD") == ["old.py", "project.yaml", "a new\nfile ü.py", "more/"]


def test_staged_files_are_not_committed_either(study):
    (study / "staged.py").write_text("x")
    run_git(study, "add", "staged.py")
    assert git.uncommitted(str(study), "main") == ["staged.py"]


def test_files_in_conflict_are_not_committed_either(study):
    run_git(study, "checkout", "--quiet", "-b", "other")
    commit(study, {"old.py": "theirs"})
    run_git(study, "checkout", "--quiet", "main")
    commit(study, {"old.py": "ours"})
    with contextlib.suppress(AssertionError):  # git tells of the conflict by its exit code
        run_git(study, "merge", "--quiet", "other")
    assert git.uncommitted(str(study), "main") == ["old.py"]


def test_ignored_files_are_nobodys_business(study):
    commit(study, {".gitignore": "output/\n"})
    (study / "output").mkdir()
    (study / "output/table.csv").write_text("x")
    assert git.uncommitted(str(study), "HEAD") == []


def test_where_there_is_nothing_to_look_at_there_is_nothing_to_tell(study, tmp_path):
    run_git(study, "clone", "--quiet", "--bare", str(study), str(tmp_path / "bare"))
    (study / "new.py").write_text("x")
    run_git(study, "branch", "older")
    for repo, revision in [
        (str(tmp_path / "bare"), "HEAD"),
        (str(tmp_path / "nothing"), "HEAD"),
        ("https://example.org/study", "HEAD"),
        ("--upload-pack=x", "HEAD"),
        (str(study), "older"),
    ]:
        assert git.uncommitted(repo, revision) == []


def test_a_look_that_takes_too_long_is_given_up(study, monkeypatch):
    monkeypatch.setattr(work_tree, "_LONGEST_SECONDS", 0)
    (study / "new.py").write_text("x")
    assert git.uncommitted(str(study), "HEAD") == []


def programs_of(study: Path, mark: Path) -> None:
    """Let the repository's own configuration name programs that git would start for a status."""
    program = study.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    run_git(study, "config", "core.fsmonitor", str(program))
    run_git(study, "config", "filter.x.clean", str(program))
    run_git(study, "config", "filter.x.required", "true")
    (study / ".git/info/attributes").write_text("* filter=x\n")
    (study / "project.yaml").write_text("y")


def test_a_monitor_that_a_repository_names_is_not_started(study, tmp_path):
    programs_of(study, tmp_path / "mark")
    run_git(study, "config", "--remove-section", "filter.x")
    assert git.uncommitted(str(study), "HEAD") == ["project.yaml"]
    assert not (tmp_path / "mark").exists()


def test_no_look_is_taken_where_it_would_start_a_filter_that_the_repository_names(study, tmp_path):
    programs_of(study, tmp_path / "mark")
    run_git(study, "config", "--unset", "core.fsmonitor")
    assert git.uncommitted(str(study), "HEAD") == []
    assert not (tmp_path / "mark").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a repository of another user")
def test_nothing_is_run_in_a_repository_of_another_user(study, tmp_path):
    programs_of(study, tmp_path / "mark")
    for path in [study, *study.rglob("*")]:
        os.chown(path, 12345, 12345)
    assert git.uncommitted(str(study), "HEAD") == []
    assert not (tmp_path / "mark").exists()


def test_a_commit_that_the_repository_replaces_by_another_is_still_what_runs(tmp_path):
    first = make_repository(tmp_path / "study", {"x": "1"})
    second = commit(tmp_path / "study", {"x": "2", "y": "3"})
    run_git(tmp_path / "study", "replace", second, first)

    assert git.uncommitted(str(tmp_path / "study"), "HEAD") == []
    assert git.resolve(str(tmp_path / "study"), "HEAD") == second
    assert git.read_file(str(tmp_path / "study"), second, "y") == b"3"
