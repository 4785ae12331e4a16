"""In what order a publication touches the disk: that decides what a power cut or a reader may see."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jobs import storage
from jobs.errors import Stopped
from jobs.levels import HIGHLY_SENSITIVE, MODERATELY_SENSITIVE
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner import outputs, staging, stored_folder
from runner.plan import high_staging, medium_staging
from tests.factories import make_job
from tests.publication import files_in, finalize, high, leave, make_publisher, medium, never, publish
from tests.runner.test_publishing_killed import CHANGING

pytestmark = pytest.mark.django_db
BOTH = {"output/rows.csv": b"id\n1\n", "output/table.csv": b"sex,n\nF,10\n"}
MARKER = b"patient_id,n\n4711,2\n"


def path_of(descriptor: int | None, name: str | Path) -> Path:
    return Path(os.readlink(f"/proc/self/fd/{descriptor}"), name) if descriptor is not None else Path(name)


@dataclass
class Disk:
    """What was renamed to what and synced, in order; `synced` are the inodes, for a staged file may have two names."""

    renamed: list[Path] = field(default_factory=list)
    synced: set[int] = field(default_factory=set)
    unsynced_at_plan: list[str] = field(default_factory=list)
    changed: dict[Path, str] = field(default_factory=dict)  # folders with changes that are not durable yet
    removed: list[Path] = field(default_factory=list)  # readers' files

    def rename(self, source, target, *, src_dir_fd=None, dst_dir_fd=None) -> None:
        path = path_of(dst_dir_fd, target)
        if path.name == "plan.json":
            self._look_at_staged(path.parent)
        _rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self.renamed.append(path)
        self.changed[path.parent] = path.name

    def unlink(self, name, *, dir_fd=None) -> None:
        path = path_of(dir_fd, name)
        _unlink(name, dir_fd=dir_fd)
        if ".publishing" not in str(path):
            self.removed.append(path)
            self.changed[path.parent] = path.name

    def fsync(self, descriptor: int) -> None:
        _fsync(descriptor)
        self.synced.add(os.fstat(descriptor).st_ino)
        self.changed.pop(Path(os.readlink(f"/proc/self/fd/{descriptor}")), None)

    def sync_all(self, descriptor: int) -> None:
        _sync_all(descriptor)
        everything = [*high().parent.rglob("*"), *medium().parent.rglob("*"), high().parent, medium().parent]
        self.synced |= {path.stat().st_ino for path in everything if path.exists()}
        self.changed.clear()

    def _look_at_staged(self, folder: Path) -> None:
        beside = [medium(folder.relative_to(high()))]
        for staged in [folder, *beside]:
            paths = [staged, *staged.parents[:3], *staged.glob("[0-9]*")] if staged.exists() else []
            self.unsynced_at_plan += [str(path) for path in paths if path.stat().st_ino not in self.synced]


_rename, _unlink, _fsync, _sync_all = os.rename, os.unlink, os.fsync, staging.sync_file_system


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    monkeypatch.setattr(os, "rename", disk.rename)
    monkeypatch.setattr(os, "unlink", disk.unlink)
    monkeypatch.setattr(os, "fsync", disk.fsync)
    monkeypatch.setattr(staging, "sync_file_system", disk.sync_all)
    monkeypatch.setattr(stored_folder, "sync_file_system", disk.sync_all)
    return disk


MANY = {f"output/{number}.csv": b"n\n1\n" for number in range(40)}


@pytest.mark.parametrize("files", [BOTH, BOTH | {"output/table.csv": bytes(9 * 1024 * 1024)}, BOTH | MANY])
def test_every_staged_file_and_folder_is_durable_before_the_plan_is(disk, files):
    spec = {
        HIGHLY_SENSITIVE: {"rows": "output/rows.csv", "large": "output/table.csv"},
        MODERATELY_SENSITIVE: {"others": "output/*.csv"},
    }
    job = make_job(StatusCode.FINALIZING, output_spec=spec)
    leave(job, files)

    _, plan = outputs.collect(job, should_stop=never)

    assert disk.renamed[-1].name == "plan.json" and disk.changed == {}
    assert len(plan.entries) == len(files) and disk.unsynced_at_plan == []


def test_every_change_is_durable_before_the_database_is_told(disk):
    job = make_publisher()
    leave(job, BOTH)
    _, plan = outputs.collect(job, should_stop=never)

    with outputs.publishing(job, plan, should_stop=never):
        not_durable = {str(folder.relative_to(storage.settings.WORK_DIR)) for folder in disk.changed}

    assert not_durable == set()


def test_the_manifest_gets_its_name_after_the_files_that_it_tells_of(disk):
    publish(make_publisher(), BOTH)

    for folder in (high(), medium()):
        names = [str(path.relative_to(folder)) for path in disk.renamed if path.is_relative_to(folder)]
        stored = [name for name in names if name.startswith("output/")]
        assert stored and max(map(names.index, stored)) < names.index("metadata/manifest.json")


def test_high_storage_tells_of_a_publication_only_when_medium_storage_is_through(disk):
    publish(make_publisher(), BOTH)

    manifests = [path for path in disk.renamed if path.name == "manifest.json" and path.parent.name == "metadata"]
    assert manifests == [storage.manifest(medium()), storage.manifest(high())]


def test_a_removal_is_durable_before_the_database_is_told(disk):
    publish(make_publisher(action="tables"), BOTH)
    spec = {HIGHLY_SENSITIVE: {"table": "output/table.csv"}}
    job = make_job(StatusCode.FINALIZING, action="tables", output_spec=spec)
    leave(job, BOTH)
    _, plan = outputs.collect(job, should_stop=never)

    with outputs.publishing(job, plan, should_stop=never):
        assert disk.removed == [medium("output/table.csv")]
        assert not disk.changed


def test_a_stop_wins_up_to_the_plan(monkeypatch):
    job = make_publisher()
    leave(job, BOTH)
    durable = []
    sync = staging._sync

    def synced(folder, count):
        sync(folder, count)
        durable.append(folder)

    monkeypatch.setattr(staging, "_sync", synced)

    with pytest.raises(Stopped):
        outputs.collect(job, should_stop=lambda: durable == [high_staging(job), medium_staging(job)])

    assert len(durable) == 2 and outputs.load_plan(job) is None


def test_no_byte_of_an_excluded_file_ever_lies_in_medium_storage(monkeypatch):
    publish(make_publisher(action="tables"), BOTH)
    job = make_publisher(action="tables")
    leave(job, BOTH | {"output/table.csv": MARKER})
    seen = []

    def look_before_and_after(call):
        def looked_at(*arguments, **keywords):
            result = call(*arguments, **keywords)
            with monkeypatch.context() as quiet:
                for name, original in originals.items():
                    quiet.setattr(os, name, original)
                seen.extend(name for name, content in files_in(medium()).items() if MARKER in content)
            return result

        return looked_at

    originals = {name: getattr(os, name) for name in CHANGING}
    for name, original in originals.items():
        monkeypatch.setattr(os, name, look_before_and_after(original))
    plan = finalize(job)

    assert plan.excluded == ["output/table.csv"] and seen == []


def test_a_note_never_takes_the_name_of_an_output_of_another_action():
    publish(
        make_job(StatusCode.FINALIZING, output_spec={MODERATELY_SENSITIVE: {"a": "a.csv.txt"}}), {"a.csv.txt": b"n"}
    )

    for content in (MARKER, b"n\n1\n"):
        job = make_job(StatusCode.FINALIZING, action="tables", output_spec={MODERATELY_SENSITIVE: {"a": "a.csv"}})
        publish(job, {"a.csv": content})

        assert medium("a.csv.txt").read_bytes() == b"n"


def test_an_excluded_output_has_no_note_where_its_note_would_be_a_folder_of_the_same_job():
    job = make_job(StatusCode.FINALIZING, output_spec={MODERATELY_SENSITIVE: {"a": "*.csv", "b": "a.csv.txt/b.csv"}})

    publish(job, {"a.csv": MARKER, "a.csv.txt/b.csv": b"n\n1\n"})

    assert {name for name in files_in(medium()) if not name.startswith("metadata/")} == {"a.csv.txt/b.csv"}
    assert JobOutput.objects.get(path="a.csv").excluded
