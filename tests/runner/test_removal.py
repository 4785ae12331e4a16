"""Whatever a job left is removed, and nothing else."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from runner.workspaces.removal import remove_tree


def test_a_tree_of_any_kind_is_removed_and_what_links_point_to_stays(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("x")
    (root / "a" / "empty").mkdir()
    (root / "a" / "b" / "link").symlink_to(outside)
    (root / "link").symlink_to(outside)
    os.mkfifo(root / "a" / "fifo")
    for name in (b"new\nline", b"\xff\xfe", b"-rf", b"\x1b[31m", b"x" * 255, b".removing-1-1"):
        (Path(os.fsdecode(os.fsencode(root / "a") + b"/" + name))).write_text("x")
    (root / "a" / "b").chmod(0)
    (root / "a").chmod(0)

    left = remove_tree(root)

    assert left == [] and not root.exists()
    assert (outside / "kept").read_text() == "kept"


def test_a_tree_of_two_thousand_levels_is_removed(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(2_000):
        os.mkdir("deeper", dir_fd=descriptor)
        below = os.open("deeper", os.O_RDONLY, dir_fd=descriptor)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)

    left = remove_tree(root)

    assert left == [] and not root.exists()


def test_a_tree_without_permissions_is_removed_by_its_owner_who_is_not_root(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setgid(12345)
        os.setuid(12345)
        root = tmp_path / "root"
        (root / "closed" / "inner").mkdir(parents=True)
        (root / "closed" / "inner" / "file").write_text("x")
        (root / "closed" / "inner").chmod(0)
        (root / "closed").chmod(0)
        left = remove_tree(root)
        os._exit(0 if not left and not root.exists() else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_what_cannot_be_removed_is_named_and_the_rest_goes(tmp_path, request):
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "stuck").write_text("x")
    (root / "a" / "other").write_text("x")
    made = subprocess.run(["chattr", "+i", root / "a" / "b" / "stuck"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("files cannot be made immutable here")
    request.addfinalizer(lambda: subprocess.run(["chattr", "-R", "-i", root], check=True))

    left = remove_tree(root)

    assert [path.name for path in left] == ["stuck"]
    assert left[0].exists()
    assert sum(len(names) for _, _, names in os.walk(root)) == 1


def test_removing_what_is_not_there_or_is_a_link_touches_nothing(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")

    assert remove_tree(tmp_path / "missing") == []
    assert remove_tree(tmp_path / "link") == [tmp_path / "link"]
    assert (tmp_path / "kept").is_dir()


@pytest.mark.parametrize(("call", "left"), [("listdir", [".", "a"]), ("fstat", ["."])])
def test_a_disk_that_fails_to_answer_leaves_things_and_raises_nothing(tmp_path, monkeypatch, call, left):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "file").touch()
    works = getattr(os, call)
    # The folder's own answer first, then that of the folder inside it.
    for fails_at in range(len(left)):
        calls = iter(range(100))

        def fails(descriptor, calls=calls, fails_at=fails_at):
            if next(calls) == fails_at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return works(descriptor)

        with monkeypatch.context() as trouble:
            trouble.setattr(os, call, fails)
            found = remove_tree(root)

        assert found == [root / left[fails_at]]
    assert remove_tree(root) == []
