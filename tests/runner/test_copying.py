"""Copies and hashes of files of any size, holes and all."""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from runner.workspaces.copying import copy, data_ranges, digest
from runner.workspaces.files import (
    Stopped,
)
from tests.publication import never


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 3 * 1024 * 1024 + 5])
def test_copies_and_hashes_are_those_of_the_whole_file(tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)

    with (tmp_path / "source").open("rb") as source, (tmp_path / "a").open("wb") as a, (tmp_path / "b").open("wb") as b:
        copy(source.fileno(), a.fileno(), never)
        copied_digest = digest(source.fileno(), never, copy_to=b.fileno())

    assert (tmp_path / "a").read_bytes() == content == (tmp_path / "b").read_bytes()
    assert copied_digest == hashlib.sha256(content).hexdigest()


@pytest.fixture
def other_folder(tmp_path):
    """A folder on another file system, where files cannot be linked or cloned to."""
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    with tempfile.TemporaryDirectory(dir=shared_memory, prefix="jobrunner-test-") as folder:
        yield Path(folder)


def test_a_copy_between_file_systems_works_too(tmp_path, other_folder):
    content = os.urandom(100_000)
    (tmp_path / "source").write_bytes(content)

    with (tmp_path / "source").open("rb") as source, (other_folder / "target").open("wb") as opened:
        copy(source.fileno(), opened.fileno(), never)

    assert (other_folder / "target").read_bytes() == content


MIB = 1024 * 1024
# (offset, content) of what is written; the file's size.
HOLES = {
    "nothing but a hole": ([], 20 * MIB),
    "at the end": ([(0, b"x" * 5000)], 20 * MIB),
    "at the start": ([(20 * MIB - 3, b"end")], 20 * MIB),
    "between": ([(0, b"a"), (7 * MIB + 5, b"b" * 100), (19 * MIB, os.urandom(MIB))], 20 * MIB),
}


@pytest.mark.parametrize(("written", "size"), HOLES.values(), ids=HOLES.keys())
@pytest.mark.parametrize("with_hash", [False, True])
def test_holes_stay_holes_on_another_file_system(tmp_path, other_folder, written, size, with_hash):
    with (tmp_path / "source").open("wb") as file:
        for offset, content in written:
            file.seek(offset)
            file.write(content)
        file.truncate(size)
    content = (tmp_path / "source").read_bytes()
    target = other_folder / "target"

    with (tmp_path / "source").open("rb") as source, target.open("wb") as opened:
        if with_hash:
            assert digest(source.fileno(), never, copy_to=opened.fileno()) == hashlib.sha256(content).hexdigest()
        else:
            copy(source.fileno(), opened.fileno(), never)
        in_place = digest(source.fileno(), never)

    assert target.read_bytes() == content
    assert in_place == hashlib.sha256(content).hexdigest()
    assert target.stat().st_blocks * 512 <= sum(len(piece) for _, piece in written) + 64 * 1024


def test_a_sparse_file_is_written_back_before_its_holes_are_asked_for(tmp_path, monkeypatch):
    """File systems were known to take data for a hole while it was only in memory."""
    calls = []

    def noted(name):
        call = getattr(os, name)
        return lambda *arguments: (calls.append(name), call(*arguments))[1]

    with (tmp_path / "source").open("w+b") as file:
        file.truncate(3 * MIB)
        for name in ("fsync", "lseek"):
            monkeypatch.setattr(os, name, noted(name))
        assert list(data_ranges(file.fileno())) == []

    assert calls[:2] == ["fsync", "lseek"]


def test_a_file_system_that_cannot_tell_its_holes_is_copied_whole(tmp_path, other_folder, monkeypatch):
    with (tmp_path / "source").open("wb") as file:
        file.write(b"x")
        file.truncate(3 * MIB)
    content = (tmp_path / "source").read_bytes()
    seek = os.lseek

    def knows_no_holes(descriptor, offset, whence):
        if whence == os.SEEK_DATA:
            return offset
        return 3 * MIB if whence == os.SEEK_HOLE else seek(descriptor, offset, whence)

    monkeypatch.setattr(os, "lseek", knows_no_holes)
    with (tmp_path / "source").open("rb") as source, (other_folder / "target").open("wb") as opened:
        assert list(data_ranges(source.fileno())) == [(0, 3 * MIB)]
        copy(source.fileno(), opened.fileno(), never)

    assert (other_folder / "target").read_bytes() == content


def test_a_stop_is_heard_in_the_middle_of_a_hole(tmp_path):
    with (tmp_path / "source").open("wb") as file:
        file.truncate(2**40)
    asked = iter([False, False, True])

    with (tmp_path / "source").open("rb") as source, pytest.raises(Stopped):
        digest(source.fileno(), lambda: next(asked))


def test_a_stop_is_heard_in_the_middle_of_a_file(tmp_path):
    (tmp_path / "source").write_bytes(bytes(5 * 1024 * 1024))
    asked = []

    def stop_at_second_piece() -> bool:
        asked.append(1)
        return len(asked) == 2

    with (tmp_path / "source").open("rb") as source, pytest.raises(Stopped):
        digest(source.fileno(), stop_at_second_piece)

    assert len(asked) == 2
