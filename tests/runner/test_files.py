"""Rules of touching files that a job made, and of storing our own."""

import errno
import os
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.errors import JobError
from runner.workspaces import files
from runner.workspaces.files import (
    NotOrdinary,
    StorageUnavailable,
    disk_trouble,
    open_by_kernel,
    open_by_walking,
    open_ordinary,
    opened_folder,
    write_atomically,
)

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


def opened_below(folder: Path) -> list[str]:
    """Where this process's descriptors lead that lead into the folder; threads of earlier tests may close theirs."""
    targets = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            targets.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [target for target in targets if target.startswith(str(folder))]


@both_ways
def test_an_error_leaves_no_descriptor_open(folder, open_it):
    (folder / "elsewhere").symlink_to("../other")

    with opened_folder(folder) as root_fd:
        for path in (b"elsewhere/rows.csv", b"output/missing", b"output/table.csv/x", b"../x"):
            with pytest.raises(OSError):
                open_it(root_fd, path, os.O_RDONLY)

    assert opened_below(folder) == []


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


@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EHOSTDOWN, errno.EMFILE]
)
def test_trouble_of_a_disk_says_where_and_what_to_do(code):
    with (
        pytest.raises(StorageUnavailable, match=r"/storage/x.*continues automatically"),
        disk_trouble(Path("/storage/x")),
    ):
        raise OSError(code, os.strerror(code))


@pytest.mark.parametrize(("files", "free_files", "words"), [(100, 0, "no inode is free"), (0, 0, "free space")])
def test_a_disk_without_free_inodes_is_not_told_to_lack_space(tmp_path, monkeypatch, files, free_files, words):
    """Some file systems have no fixed number of inodes, and tell 0 of 0."""
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_files=files, f_favail=free_files))

    with pytest.raises(StorageUnavailable, match=words), disk_trouble(tmp_path / "missing"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_up_and_then_is_silent_is_told_to_lack_space(tmp_path, monkeypatch):
    def silent(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "statvfs", silent)

    with pytest.raises(StorageUnavailable, match="free space"), disk_trouble(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_name_that_no_disk_can_hold_is_the_fault_of_the_study():
    with pytest.raises(JobError, match="shorten"), disk_trouble(Path("/storage/x")):
        raise OSError(errno.ENAMETOOLONG, "too long")


def test_a_bug_is_not_taken_for_trouble_of_a_disk():
    with pytest.raises(FileNotFoundError), disk_trouble(Path("/storage/x")):
        raise FileNotFoundError(errno.ENOENT, "missing")


def test_a_storage_that_goes_away_in_the_middle_is_trouble_of_a_disk_and_nobodys_bug(tmp_path):
    storage = tmp_path / "high"
    (storage / "workspaces").mkdir(parents=True)
    with (
        pytest.raises(StorageUnavailable, match=r"workspaces has gone away.*mount that storage again"),
        disk_trouble(storage / "workspaces" / "study"),
    ):
        storage.rename(tmp_path / "away")
        (storage / "workspaces" / "study").mkdir()


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EACCES, errno.ENOTCONN])
def test_a_mount_that_answers_no_question_is_trouble_of_a_disk(tmp_path, monkeypatch, code):
    stat = os.stat

    def stale(path, *arguments, **keywords):
        if str(path).startswith(str(tmp_path)):
            raise OSError(code, os.strerror(code), str(path))
        return stat(path, *arguments, **keywords)

    monkeypatch.setattr(os, "stat", stale)

    with pytest.raises(StorageUnavailable, match=str(tmp_path)), disk_trouble(tmp_path / "study"):
        os.stat(tmp_path / "study")


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
