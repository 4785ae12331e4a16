"""Logs that are kept compressed: read as ever, wherever a log is read, and nothing else is taken for one."""

import gzip
from pathlib import Path

import pytest

from jobs import logs
from jobs.logs import LogTrouble, archived
from jobs.logs.archived import packed_path as archived_path
from tests.logs import stamped

TEXT = b"".join(stamped(f"line {number}") for number in range(1, 5001))


@pytest.fixture
def path(settings):
    found = settings.HIGH_PRIVACY_STORAGE_BASE / "logs" / "2026-01" / "jobrunner-a-1" / "logs.txt"
    found.parent.mkdir(parents=True)
    return found


def pack(path, text: bytes = TEXT) -> None:
    archived_path(path).write_bytes(gzip.compress(text))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def opened(path):
    return logs.opened(path, is_complete=True)


def test_a_compressed_log_is_read_as_the_plain_one_was(path):
    path.write_bytes(TEXT)
    with opened(path) as reader:
        plain = (reader.size, reader.last(3), reader.around(2500, 5), reader.start_of(4000))
    pack(path)
    path.unlink()
    with opened(path) as reader:
        assert (reader.size, reader.last(3), reader.around(2500, 5), reader.start_of(4000)) == plain


def test_an_end_of_whoever_reads_is_no_trouble_of_the_storage(path):
    path.write_bytes(TEXT)
    with pytest.raises(BrokenPipeError), opened(path):
        raise BrokenPipeError


def test_people_are_told_where_it_lies_now(path, monkeypatch):
    monkeypatch.setattr(logs, "path_of", lambda job: path)
    assert logs.place_of(None) == path
    pack(path)
    assert logs.place_of(None) == archived_path(path)
    path.write_bytes(TEXT)
    assert logs.place_of(None) == path


def test_while_both_are_there_the_plain_one_counts(path):
    pack(path, b"old\n")
    path.write_bytes(TEXT)
    with opened(path) as reader:
        assert reader.size == len(TEXT)


def test_nothing_of_it_stays_on_any_disk_and_no_descriptor_stays_open(path, settings):
    pack(path)
    before = open_descriptors()
    for _ in range(3):
        with opened(path) as reader:
            assert reader.size == len(TEXT)
            assert not list(settings.WORK_DIR.glob("log-*"))
    assert open_descriptors() == before


def test_where_the_work_directory_cannot_be_written_it_is_kept_in_memory(path, settings):
    pack(path)
    settings.WORK_DIR = settings.WORK_DIR / "not-there"
    with opened(path) as reader:
        assert reader.size == len(TEXT)


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(TEXT)[:-20], gzip.compress(TEXT)[:50] + b"x" * 500])
def test_a_damaged_one_is_told_and_leaves_nothing_open(path, content):
    archived_path(path).write_bytes(content)
    before = open_descriptors()
    if content == b"":  # what is empty unpacks to nothing
        with opened(path) as reader:
            assert reader.size == 0
    else:
        with pytest.raises(LogTrouble, match=r"logs\.txt\.gz is damaged"), opened(path):
            pass
    assert open_descriptors() == before


def test_a_file_that_unpacks_to_more_than_any_log_may_have_is_no_log(path, monkeypatch):
    monkeypatch.setattr(archived, "MOST_BYTES", 3 * 1024**2)
    pack(path, b"x" * (4 * 1024**2))
    with pytest.raises(LogTrouble, match="more than any log may have"), opened(path):
        pass


def test_a_link_is_not_followed(path, tmp_path):
    (tmp_path / "secret.gz").write_bytes(gzip.compress(b"secret"))
    archived_path(path).symlink_to(tmp_path / "secret.gz")
    with pytest.raises(LogTrouble, match="a link"), opened(path):
        pass


def test_without_either_there_is_no_log(path):
    with pytest.raises(LogTrouble, match=r"^There is no log\.$"), opened(path):
        pass
