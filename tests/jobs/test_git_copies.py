"""The runner's copies: fetched once, shared, never trusted half done, mended when damaged."""

import errno
import fcntl
import logging
import os
import random
import shutil
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs import git
from jobs.git.copies import HISTORY, Copy
from jobs.git.names import check_repo
from tests.git_processes import kill_all_that_mention, processes_that_mention, start_resolve, wait_until
from tests.git_repositories import commit, make_repository
from tests.git_repositories import git as run_git


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "served" / "study"
    make_repository(path, {"project.yaml": "version: 1\n", "analysis/model.py": "print(1)\n"})
    return path


@pytest.fixture
def head(study):
    return run_git(study, "rev-parse", "HEAD")


def copy_of(study, *kind):
    return Copy(check_repo(str(study)), *kind)


def names(study, sha):
    with git.export(str(study), sha) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        return {member.name for member in tar}


def fetches(caplog):
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("Fetched")]


def test_a_commit_that_is_there_is_read_without_asking_its_server(serve, study, head):
    with serve(study.parent) as server:
        repo = f"{server.url}/study"
        git.read_file(repo, head, "project.yaml")
        asked = len(server.requests)

        git.read_file(repo, head, "analysis/model.py")
        git.resolve(repo, head)
        with git.export(repo, head) as stream:
            stream.read()

        assert len(server.requests) == asked


def test_only_the_one_commit_is_fetched(study, head):
    newest = commit(study, {"x": "y"})
    git.resolve(str(study), newest)

    assert run_git(copy_of(study).path, "rev-list", "--count", newest) == "1"


def test_the_copies_can_be_read_by_nobody_else(study, head, settings):
    git.resolve(str(study), head)

    assert settings.GIT_REPO_DIR.stat().st_mode & 0o777 == 0o700


def test_objects_without_their_mark_are_fetched_again(study, head, caplog):
    caplog.set_level(logging.INFO)
    git.resolve(str(study), head)
    (copy_of(study).path / "refs" / "jobrunner" / "commits" / head).unlink()

    git.read_file(str(study), head, "project.yaml")

    assert len(fetches(caplog)) == 2


@pytest.mark.parametrize("content", [b"", b"\0" * 41, b"1" * 40 + b"\n", b"\xff\xfe"])
def test_a_mark_that_a_power_cut_emptied_is_no_mark(study, head, content, caplog):
    caplog.set_level(logging.INFO)
    git.resolve(str(study), head)
    (copy_of(study).path / "refs" / "jobrunner" / "commits" / head).write_bytes(content)

    assert not copy_of(study).has(head)
    assert git.read_file(str(study), head, "project.yaml") == b"version: 1\n"
    assert len(fetches(caplog)) == 2
    assert copy_of(study).has(head)


@pytest.mark.parametrize("file", ["refs/jobrunner/commits/{head}", "info/attributes"])
def test_a_copy_that_the_disk_cannot_read_is_the_operators_affair(study, head, file):
    git.resolve(str(study), head)
    path = copy_of(study).path / file.format(head=head)
    path.unlink()
    path.symlink_to(path)  # whoever opens it gets an error that is not "no such file"

    with pytest.raises(git.GitUnavailable, match="tell the site's operator"):
        git.read_file(str(study), head, "project.yaml")


def test_what_killed_processes_left_beside_the_copies_is_swept(study, head, settings):
    damaged = settings.GIT_REPO_DIR / "another-0123.commits.damaged-77"
    (damaged / "objects").mkdir(parents=True)
    old, young = (settings.GIT_REPO_DIR / f".local-gitconfig.{pid}.5" for pid in (1, 2))
    old.touch()
    young.touch()
    os.utime(old, (0, 0))

    git.resolve(str(study), head)

    assert [path.exists() for path in (damaged, old, young)] == [False, False, True]
    assert (settings.GIT_REPO_DIR / ".local-gitconfig").exists()


@pytest.mark.parametrize(
    "leftover",
    [
        "shallow.lock",
        "config.lock",
        "HEAD.lock",
        "packed-refs.lock",
        "refs/jobrunner/commits/{newest}.lock",
        "objects/pack/tmp_pack_XXXXXX",
        "objects/pack/pack-0000.keep",
    ],
)
def test_what_a_killed_git_left_does_not_stand_in_the_way(study, head, leftover):
    git.resolve(str(study), head)
    newest = commit(study, {"x": "y"})
    path = copy_of(study).path / leftover.format(newest=newest)
    path.write_text("")

    assert git.resolve(str(study), newest) == newest
    assert not path.exists()


def test_half_of_a_new_copy_does_not_stand_in_the_way(study, head):
    copy = copy_of(study)
    (copy.path / "objects").mkdir(parents=True)
    copy.path.with_name(f"{copy.path.name}.new").mkdir()

    assert git.resolve(str(study), head) == head


def damage_pack(path):
    for pack in (path / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:30])


def remove_packs(path):
    shutil.rmtree(path / "objects" / "pack")


def remove_objects(path):
    shutil.rmtree(path / "objects")


def empty_head(path):
    (path / "HEAD").write_text("")


def spoil_configuration(path):
    (path / "config").write_text("[core\n")


def remove_shallow(path):
    (path / "shallow").unlink()


DAMAGES = [damage_pack, remove_packs, remove_objects, empty_head, spoil_configuration]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_copy_is_thrown_away_and_fetched_anew(study, head, damage):
    git.resolve(str(study), head)
    damage(copy_of(study).path)

    assert git.read_file(str(study), head, "project.yaml") == b"version: 1\n"

    damage(copy_of(study).path)
    assert names(study, head) == {"project.yaml", "analysis", "analysis/model.py"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_many_at_once_get_over_a_damaged_copy(study, head, damage):
    git.resolve(str(study), head)
    damage(copy_of(study).path)

    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda _: git.read_file(str(study), head, "project.yaml"), range(16)))

    assert set(contents) == {b"version: 1\n"}


@pytest.mark.parametrize("damage", [*DAMAGES, remove_shallow])
def test_a_damaged_copy_does_not_stop_the_next_fetch(study, head, damage):
    newest = commit(study, {"x": "y"})
    git.resolve(str(study), newest)
    damage(copy_of(study).path)

    assert git.resolve(str(study), head) == head
    assert names(study, head) == {"project.yaml", "analysis", "analysis/model.py"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_history_is_fetched_anew(study, head, damage):
    commit(study, {"x": "y"})
    assert git.is_on_branch(str(study), head, "main")
    damage(copy_of(study, HISTORY).path)

    assert git.is_on_branch(str(study), head, "main")


def test_a_damaged_copy_whose_source_is_gone_says_so_and_is_not_read(study, head):
    git.resolve(str(study), head)
    damage_pack(copy_of(study).path)
    shutil.rmtree(study)

    with pytest.raises(git.GitError, match="There is no folder"):
        git.read_file(str(study), head, "project.yaml")


def test_many_at_once_fetch_a_commit_once(study, head, caplog):
    caplog.set_level(logging.INFO)

    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda _: git.read_file(str(study), head, "project.yaml"), range(16)))

    assert set(contents) == {b"version: 1\n"}
    assert len(fetches(caplog)) == 1


def test_many_at_once_fetch_different_commits(study):
    shas = [commit(study, {"number": str(number)}) for number in range(12)]

    with ThreadPoolExecutor(6) as pool:
        contents = list(pool.map(lambda sha: git.read_file(str(study), sha, "number"), shas))

    assert contents == [str(number).encode() for number in range(12)]


def test_a_copy_that_is_busy_for_too_long_is_unavailable_for_now(study, head, settings):
    git.resolve(str(study), head)
    newest = commit(study, {"x": "y"})
    settings.GIT_TIMEOUT_SECONDS = 0.2
    copy = copy_of(study)
    with copy.path.with_name(f"{copy.path.name}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(git.GitUnavailable, match="busy"):
            git.resolve(str(study), newest)
        assert git.read_file(str(study), head, "project.yaml") == b"version: 1\n"


def test_many_fetches_do_not_leave_many_packs(study):
    shas = [commit(study, {"number": str(number)}) for number in range(25)]
    for sha in shas:
        git.resolve(str(study), sha)

    packs = list((copy_of(study).path / "objects" / "pack").glob("*.pack"))

    assert len(packs) <= 20
    assert [git.read_file(str(study), sha, "number") for sha in shas] == [str(n).encode() for n in range(25)]


def test_a_full_disk_is_the_operators_affair(study, head, settings, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", refuse)

    with pytest.raises(git.GitUnavailable, match="No space left"):
        git.resolve(str(study), head)


def test_a_folder_that_cannot_be_written_is_the_operators_affair(study, head, settings, tmp_path):
    (tmp_path / "file").write_text("")
    settings.GIT_REPO_DIR = tmp_path / "file" / "repos"

    with pytest.raises(git.GitUnavailable, match="tell the site's operator"):
        git.resolve(str(study), head)


def fetch_and_kill(settings, study, sha):
    moment = random.uniform(0, 0.05)
    print(f"killed {moment:.4f} s after git had begun")  # shown with a failure
    fetching = start_resolve(settings, str(study), sha)
    wait_until(lambda: len(processes_that_mention(sha)) > 1 or fetching.poll() is not None)
    # No condition to wait for: the moment of the kill is meant to be any.
    time.sleep(moment)
    kill_all_that_mention(str(settings.GIT_REPO_DIR))
    fetching.kill()
    fetching.wait()


@pytest.mark.slow_test
def test_a_fetch_killed_at_any_moment_leaves_nothing_that_is_trusted_or_in_the_way(study, settings):
    shas = [commit(study, {f"file{number}": os.urandom(400_000)}) for number in range(12)]
    for sha in shas:
        fetch_and_kill(settings, study, sha)

        if copy_of(study).has(sha):
            assert f"file{shas.index(sha)}" in names(study, sha)

    for number, sha in enumerate(shas):
        assert f"file{number}" in names(study, sha)
    leftovers = [
        path for path in copy_of(study).path.rglob("*") if path.name.startswith("tmp_") or path.suffix == ".lock"
    ]
    assert leftovers == []


@pytest.mark.slow_test
def test_a_git_that_outlives_its_runner_keeps_the_lock_until_it_ends(serve, study, head, settings):
    with serve(study.parent) as server:
        repo = f"{server.url}/study"
        server.faults.append("hang")
        runner = start_resolve(settings, repo, head)
        wait_until(lambda: server.requests)
        runner.kill()
        runner.wait()
        settings.GIT_TIMEOUT_SECONDS = 0.3

        with pytest.raises(git.GitUnavailable, match="busy"):
            git.resolve(repo, head)

        kill_all_that_mention(server.url)
        settings.GIT_TIMEOUT_SECONDS = 20
        assert git.resolve(repo, head) == head
