"""Rules of touching files that a job made, and of storing our own."""

import errno
import gc
import hashlib
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from jobs.errors import JobError
from runner.workspaces import files
from runner.workspaces.copying import copy, digest
from runner.workspaces.files import (
    NotOrdinary,
    Stopped,
    StorageUnavailable,
    disk_trouble,
    open_by_kernel,
    open_by_walking,
    open_ordinary,
    opened_folder,
    write_atomically,
)
from runner.workspaces.lock import publishing_lock
from runner.workspaces.removal import remove_tree

both_ways = pytest.mark.parametrize("open_it", [open_by_kernel, open_by_walking])


def never() -> bool:
    return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job's folder beside another study's file."""
    (tmp_path / "other.csv").write_text("another study's rows")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "rows.csv").write_text("another study's rows")
    made = tmp_path / "job"
    (made / "output").mkdir(parents=True)
    (made / "output" / "table.csv").write_text("a,b\n")
    return made


@both_ways
def test_a_plain_file_below_the_folder_is_opened(folder, open_it):
    with opened_folder(folder) as root_fd:
        descriptor = open_it(root_fd, b"output/table.csv", os.O_RDONLY)
        content = os.read(descriptor, 100)
        os.close(descriptor)

    assert content == b"a,b\n"


@both_ways
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("link.csv", "../other.csv"),
        ("absolute.csv", "/etc/hostname"),
        ("inside.csv", "output/table.csv"),
        ("loop", "loop"),
        ("dangling", "nowhere"),
    ],
)
def test_a_symbolic_link_is_never_followed(folder, open_it, name, target):
    (folder / name).symlink_to(target)

    with opened_folder(folder) as root_fd, pytest.raises(OSError) as caught:
        open_it(root_fd, name.encode(), os.O_RDONLY)

    assert caught.value.errno == errno.ELOOP


@both_ways
@pytest.mark.parametrize("path", [b"elsewhere/rows.csv", b"../other.csv", b"output/../../other.csv", b"/etc/hostname"])
def test_no_path_leads_out_of_the_folder(folder, open_it, path):
    (folder / "elsewhere").symlink_to("../other")

    with opened_folder(folder) as root_fd, pytest.raises(OSError) as caught:
        open_it(root_fd, path, os.O_RDONLY)

    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)


@both_ways
def test_an_error_leaves_no_descriptor_open(folder, open_it):
    (folder / "elsewhere").symlink_to("../other")
    gc.collect()  # what an earlier test has left is not closed in the middle of this one
    before = len(os.listdir("/proc/self/fd"))

    with opened_folder(folder) as root_fd:
        for path in (b"elsewhere/rows.csv", b"output/missing", b"output/table.csv/x", b"../x"):
            with pytest.raises(OSError):
                open_it(root_fd, path, os.O_RDONLY)

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_kernel_without_the_call_is_served_by_walking(folder, monkeypatch):
    def refuses(*arguments):
        raise OSError(errno.ENOSYS, "no such call")

    files.kernel_resolves_beneath.cache_clear()
    monkeypatch.setattr(files, "open_by_kernel", refuses)

    with opened_folder(folder) as root_fd:
        os.close(files.open_beneath(root_fd, b"output/table.csv", os.O_RDONLY))
    works = files.kernel_resolves_beneath()

    files.kernel_resolves_beneath.cache_clear()
    assert works is False


def make_fifo(path: Path):
    os.mkfifo(path)


def make_socket(path: Path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def make_hard_link(path: Path):
    path.hardlink_to(path.parent / "output" / "table.csv")


def make_device(path: Path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_fifo, "named pipe"),
        (make_socket, "socket"),
        (make_hard_link, "hard link"),
        (make_device, "device"),
        (Path.mkdir, "folder"),
        (lambda path: path.symlink_to("output/table.csv"), "symbolic link"),
    ],
)
def test_what_is_not_a_plain_file_is_refused_at_once_by_what_it_is(folder, make, words):
    make(folder / "x")

    with opened_folder(folder) as root_fd, pytest.raises(NotOrdinary, match=words):
        open_ordinary(root_fd, b"x")


def test_a_file_that_is_swapped_for_a_link_while_it_is_opened_never_leaks(folder):
    """The race of H8: one thread flips the name, the other opens it."""
    path, link, plain = folder / "flip", folder / "link", folder / "plain"
    plain.write_text("own")
    done = threading.Event()

    def flip():
        while not done.is_set():
            link.symlink_to("../other.csv")
            link.replace(path)
            (folder / "new").write_text("own")
            (folder / "new").replace(path)

    flipping = threading.Thread(target=flip)
    flipping.start()
    seen, refused = set(), 0
    with opened_folder(folder) as root_fd:
        for _ in range(20_000):
            try:
                descriptor = open_ordinary(root_fd, b"flip")
            except NotOrdinary:
                refused += 1
                continue
            seen.add(os.read(descriptor, 100))
            os.close(descriptor)
    done.set()
    flipping.join()

    assert refused and seen == {b"own"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES])
def test_trouble_of_a_disk_says_where_and_what_to_do(code):
    with pytest.raises(StorageUnavailable, match=r"/storage/x.*goes on by itself"), disk_trouble(Path("/storage/x")):
        raise OSError(code, os.strerror(code))


def test_a_name_that_no_disk_can_hold_is_the_fault_of_the_study():
    with pytest.raises(JobError, match="shorten"), disk_trouble(Path("/storage/x")):
        raise OSError(errno.ENAMETOOLONG, "too long")


def test_a_bug_is_not_taken_for_trouble_of_a_disk():
    with pytest.raises(FileNotFoundError), disk_trouble(Path("/storage/x")):
        raise FileNotFoundError(errno.ENOENT, "missing")


def test_a_file_is_replaced_as_a_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text("old")

    write_atomically(path, [b"ne", b"w"])

    assert path.read_text() == "new"
    assert [name for name in os.listdir(tmp_path) if "manifest" in name] == ["manifest.json"]


def test_a_replacement_that_fails_leaves_the_old_content(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text("old")

    def pieces():
        yield b"half"
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError):
        write_atomically(path, pieces())

    assert path.read_text() == "old"


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 3 * 1024 * 1024 + 5])
def test_copies_and_hashes_are_those_of_the_whole_file(tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)

    with (tmp_path / "source").open("rb") as source, (tmp_path / "a").open("wb") as a, (tmp_path / "b").open("wb") as b:
        copy(source.fileno(), a.fileno(), never)
        copied_digest = digest(source.fileno(), never, copy_to=b.fileno())

    assert (tmp_path / "a").read_bytes() == content == (tmp_path / "b").read_bytes()
    assert copied_digest == hashlib.sha256(content).hexdigest()


def test_a_copy_between_file_systems_works_too(tmp_path):
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    content = os.urandom(100_000)
    (tmp_path / "source").write_bytes(content)
    target = shared_memory / f"jobrunner-test-{os.getpid()}"

    with (tmp_path / "source").open("rb") as source, target.open("wb") as opened:
        copy(source.fileno(), opened.fileno(), never)
    copied = target.read_bytes()
    target.unlink()

    assert copied == content


def test_a_stop_is_heard_in_the_middle_of_a_file(tmp_path):
    (tmp_path / "source").write_bytes(bytes(5 * 1024 * 1024))
    asked = []

    def stop_at_second_piece() -> bool:
        asked.append(1)
        return len(asked) == 2

    with (tmp_path / "source").open("rb") as source, pytest.raises(Stopped):
        digest(source.fileno(), stop_at_second_piece)

    assert len(asked) == 2


def test_only_one_publication_at_a_time_in_a_workspace_and_others_are_not_held_up():
    order = []

    def second():
        with publishing_lock("study"):
            order.append("second")

    waiting = threading.Thread(target=second)
    with publishing_lock("study"):
        waiting.start()
        with publishing_lock("another"):
            order.append("another")
        waiting.join(0.05)
        order.append("first")
    waiting.join()

    assert order == ["another", "first", "second"]


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".."])
def test_a_lock_is_never_made_for_a_name_that_leads_elsewhere(name):
    with pytest.raises(ValueError), publishing_lock(name):
        pass


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
