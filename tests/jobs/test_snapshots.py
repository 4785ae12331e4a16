"""Copies of the database: whole or not there, read by nobody else, the newest kept; and one can be put back."""

import json
import shutil
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs import snapshots as module
from jobs.snapshots import NoSnapshot, Snapshot, snapshots, take
from tests.site import Site

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite_only]  # PostgreSQL's: test_dumping.py


@pytest.fixture
def database(tmp_path, monkeypatch, settings) -> Path:
    """One in WAL mode with 1,000 rows."""
    path = tmp_path / "db.sqlite3"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE job (name TEXT)")
        made.executemany("INSERT INTO job VALUES (?)", [(f"job {number}",) for number in range(1000)])
        made.commit()
    monkeypatch.setattr(module, "_database", lambda: path)
    settings.SNAPSHOT_DIR, settings.MIN_FREE_DISK_BYTES = tmp_path / "snapshots", 0
    return path


@pytest.fixture
def clock(monkeypatch):
    """Each look at it is a day later."""
    days = iter(range(1000))
    monkeypatch.setattr(
        module.timezone, "now", lambda: datetime(2026, 1, 1, 2, 3, 4, tzinfo=UTC) + timedelta(days=next(days))
    )


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as opened:
        return opened.execute("SELECT count(*) FROM job").fetchone()[0]


def files(settings) -> list[str]:
    return sorted(path.name for path in settings.SNAPSHOT_DIR.iterdir())


def test_a_snapshot_is_a_whole_database_that_nobody_else_may_read(database, settings):
    made = take()
    assert rows(made.path) == 1000 and made.size == made.path.stat().st_size
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.SNAPSHOT_DIR.stat().st_mode) == 0o700
    assert snapshots() == [made] and files(settings) == [made.path.name]


def test_it_is_taken_while_others_write_and_holds_what_was_committed(database):
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("INSERT INTO job VALUES ('committed')")
        writer.commit()
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO job VALUES ('not yet')")
        assert rows(take().path) == 1001
        writer.commit()


def test_only_the_newest_are_kept_and_nothing_else_is_touched(database, settings, clock):
    settings.SNAPSHOTS_KEPT = 2
    settings.SNAPSHOT_DIR.mkdir()
    others = ["notes.txt", "db-before-upgrade.sqlite3", "db-20260101T000000Z.sqlite3.gz"]
    for name in others:
        (settings.SNAPSHOT_DIR / name).touch()
    for _ in range(4):
        take()
    kept = ["db-20260103T020304Z.sqlite3", "db-20260104T020304Z.sqlite3"]
    assert [snapshot.path.name for snapshot in snapshots()] == kept[::-1]
    assert files(settings) == sorted(
        [*kept, "notes.txt", "db-before-upgrade.sqlite3", "db-20260101T000000Z.sqlite3.gz"]
    )


def test_what_a_killed_try_has_left_is_removed_and_never_taken_for_one(database, settings):
    settings.SNAPSHOT_DIR.mkdir()
    left = settings.SNAPSHOT_DIR / "db-20260101T020304Z.sqlite3.unfinished"
    left.touch()
    assert snapshots() == []
    take()
    assert not left.exists() and len(snapshots()) == 1


def test_a_copy_that_is_damaged_is_none_and_the_older_ones_stay(database, settings, clock, monkeypatch):
    settings.SNAPSHOTS_KEPT = 1
    good = take()
    monkeypatch.setattr(module, "_opened", lambda path, mode, real=module._opened: Damaged(real(path, mode)))
    with pytest.raises(NoSnapshot, match="The copy is damaged"):
        take()
    assert snapshots() == [good] and files(settings) == [good.path.name]


class Damaged:
    def __init__(self, real):
        self._real = real

    def execute(self, sql, *arguments):
        if "integrity_check" in sql:
            return self._real.execute("SELECT 'row 7 missing from index'")
        return self._real.execute(sql, *arguments)

    def close(self):
        self._real.close()


def test_two_at_once_do_not_remove_each_other_s_file(database, settings, monkeypatch):
    """The daily chore and an operator, or two machines with one folder."""
    others, itself = [], module._copy

    def copy(path: Path) -> None:
        with pytest.raises(NoSnapshot, match="Another copy is being made"):
            take()
        others.append(True)
        itself(path)

    monkeypatch.setattr(module, "_copy", copy)
    made = take()
    assert others == [True] and files(settings) == [made.path.name]


def test_without_room_none_is_made(database, settings):
    settings.MIN_FREE_DISK_BYTES = 10**18
    with pytest.raises(NoSnapshot, match=r"is free in .* have to stay free"):
        take()
    assert files(settings) == []


def test_trouble_is_one_sentence(database, settings, tmp_path):
    (tmp_path / "file").touch()
    settings.SNAPSHOT_DIR = tmp_path / "file" / "snapshots"
    with pytest.raises(NoSnapshot, match="No snapshot could be made in"):
        take()


def test_no_snapshot_is_no_error(settings, tmp_path):
    settings.SNAPSHOT_DIR = tmp_path / "none"
    assert snapshots() == []


@pytest.mark.slow_test
def test_the_command_makes_one_that_can_be_put_back(tmp_path):
    """As its help says."""
    study = tmp_path / "nothing"
    with Site(tmp_path / "site", EXECUTOR="fake", SNAPSHOTS_KEPT="3") as site:
        site.manage("pause", "on", "--reason", "before")
        (told,) = json.loads(site.manage("snapshot_database", "--json"))["snapshots"]
        site.manage("pause", "off", "--reason", "after")
        assert told["path"] in site.manage("snapshot_database", "--list").replace("\n", "")
        assert not study.exists()
        database = site.work_dir / "db.sqlite3"
        shutil.copyfile(told["path"], database)
        for end in ("-wal", "-shm"):
            Path(f"{database}{end}").unlink(missing_ok=True)
        flags = json.loads(site.manage("flags", "--json"))["flags"]
    assert [flag["on"] for flag in flags if flag["name"] == "paused"] == [True]


def test_one_of_a_day_to_come_or_without_content_takes_no_other_ones_place(database, settings):
    settings.SNAPSHOTS_KEPT = 1
    take()
    (settings.SNAPSHOT_DIR / "db-20300101T000000Z.sqlite3").write_bytes(b"")
    made = take_a_second_later(settings)
    assert made.path.is_file() and [each.path for each in snapshots()] == [made.path]


def take_a_second_later(settings) -> Snapshot:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.timezone, "now", lambda: datetime.now(UTC) + timedelta(seconds=2))
        return take()


def test_two_installations_with_one_folder_never_replace_each_others(database, monkeypatch):
    monkeypatch.setattr(module.timezone, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    first = take()
    before = first.path.read_bytes()
    with pytest.raises(NoSnapshot):
        take()
    assert first.path.read_bytes() == before and [path.name for path in first.path.parent.glob("db-*")] == [
        first.path.name
    ]
