"""An export is what was released, exactly and nothing else, or there is none."""

import hashlib
import json
import os
import stat
import zipfile

import pytest

from jobs import storage
from jobs.errors import Stopped
from runner import exporting
from runner.exporting import NoExport, export
from tests.console import Terminal
from tests.publication import high, make_publisher, manifest_of, medium, publish

pytestmark = pytest.mark.django_db(transaction=True)
FILES = {"output/rows.csv": b"id,age\n1,30\n", "output/table.csv": b"group,n\na,10\n"}


@pytest.fixture(autouse=True)
def stored(settings) -> None:
    settings.MIN_FREE_DISK_BYTES = 0
    publish(make_publisher(), FILES)


@pytest.fixture
def manage(capsys, monkeypatch) -> Terminal:
    return Terminal(capsys, monkeypatch)


def left(settings) -> list[str]:
    return sorted(os.listdir(settings.EXPORT_DIR)) if settings.EXPORT_DIR.is_dir() else []


def test_it_holds_what_was_released_and_what_the_manifest_says_of_it(settings):
    made = export("study")
    with zipfile.ZipFile(made.path) as archive:
        assert sorted(archive.namelist()) == ["metadata/manifest.json", "output/table.csv"]
        assert archive.read("output/table.csv") == FILES["output/table.csv"]
        told = json.loads(archive.read("metadata/manifest.json"))
        assert archive.testzip() is None
    assert list(told["outputs"]) == ["output/table.csv"] and "id,age" not in json.dumps(told)
    assert (made.files, made.size) == (1, made.path.stat().st_size)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.EXPORT_DIR.stat().st_mode) == 0o700


def test_one_file_that_is_not_as_it_was_released_stops_it(settings, monkeypatch):
    monkeypatch.setattr(exporting.time, "sleep", lambda seconds: None)
    for spoil, why in (
        (lambda path: path.write_bytes(b"group,n\na,11\n"), "has another content than when it was released"),
        (lambda path: path.unlink(), "is no longer there"),
        (os.mkfifo, "is a FIFO"),
    ):
        spoil(medium("output/table.csv"))
        with pytest.raises(NoExport) as refused:
            export("study")
        assert f"output/table.csv {why}" in str(refused.value) or "FIFO" in why
        assert left(settings) == []


def test_a_link_is_never_followed(settings, monkeypatch, tmp_path):
    monkeypatch.setattr(exporting.time, "sleep", lambda seconds: None)
    medium("output/table.csv").unlink()
    os.symlink(high("output/rows.csv"), medium("output/table.csv"))
    with pytest.raises(NoExport):
        export("study")
    assert left(settings) == []


def test_where_something_lies_that_was_not_released_nothing_is_exported(settings):
    medium("output/more.csv").write_bytes(b"x")
    with pytest.raises(NoExport, match=r"output/more\.csv is in no manifest: nothing says that it was released"):
        export("study")
    assert left(settings) == []


def test_a_manifest_that_releases_what_is_highly_sensitive_stops_it(settings):
    manifest = manifest_of(high())
    manifest["outputs"]["output/table.csv"]["level"] = "highly_sensitive"
    storage.manifest(high()).write_text(json.dumps(manifest))
    with pytest.raises(NoExport, match="is highly_sensitive by the other storage's manifest"):
        export("study")


def test_what_did_not_pass_the_checks_is_not_in_it(settings):
    settings.LEVEL4_MAX_CSV_ROWS = 2
    publish(make_publisher(), FILES | {"output/table.csv": b"n\n" + b"10\n" * 50})
    made = export("study")
    with zipfile.ZipFile(made.path) as archive:
        assert archive.namelist() == ["metadata/manifest.json"]


def test_a_file_that_only_the_manifest_beside_it_releases_is_not_exported(settings, monkeypatch):
    """Whoever can write to medium privacy storage could add both."""
    monkeypatch.setattr(exporting.time, "sleep", lambda seconds: None)
    manifest = manifest_of(medium())
    medium("output/more.csv").write_bytes(b"x")
    added = manifest["outputs"]["output/table.csv"] | {"size": 1, "content_hash": hashlib.sha256(b"x").hexdigest()}
    manifest["outputs"]["output/more.csv"] = added
    storage.manifest(medium()).write_text(json.dumps(manifest))
    with pytest.raises(NoExport, match=r"output/more\.csv is not what the manifest in high privacy storage says"):
        export("study")
    assert left(settings) == []


def test_two_at_once_never_share_a_file(settings, monkeypatch):
    monkeypatch.setattr(exporting.timezone, "now", lambda: exporting.datetime(2026, 1, 1, tzinfo=exporting.UTC))
    real = exporting._add

    def meddling(*arguments):
        with pytest.raises(NoExport, match="is being made already"):
            export("study")
        real(*arguments)

    monkeypatch.setattr(exporting, "_add", meddling)
    with zipfile.ZipFile(export("study").path) as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"outputs": []}'])
def test_without_a_manifest_that_can_be_read_there_is_no_export(settings, content):
    storage.manifest(medium()).write_text(content)
    with pytest.raises(NoExport):
        export("study")
    assert left(settings) == []


def test_a_workspace_that_has_released_nothing_has_no_export():
    with pytest.raises(NoExport, match="Nothing of other has been released"):
        export("other")


def test_a_full_disk_is_told_before_anything_is_written(settings):
    settings.MIN_FREE_DISK_BYTES = 10**18
    with pytest.raises(NoExport, match=r"have to stay free\. Free space, or set EXPORT_DIR"):
        export("study")
    assert left(settings) == []


def test_a_stop_in_the_middle_leaves_nothing(settings):
    with pytest.raises(Stopped):
        export("study", should_stop=lambda: True)
    assert left(settings) == []


def test_what_is_published_meanwhile_is_read_once_more(settings, monkeypatch):
    real, tries = exporting._add, []

    def meddling(*arguments):
        tries.append(1)
        if len(tries) == 1:
            publish(make_publisher(), FILES | {"output/table.csv": b"group,n\na,20\n"})
        real(*arguments)

    monkeypatch.setattr(exporting, "_add", meddling)
    monkeypatch.setattr(exporting.time, "sleep", lambda seconds: None)
    with zipfile.ZipFile(export("study").path) as archive:
        assert archive.read("output/table.csv") == b"group,n\na,20\n"
    assert len(tries) == 2


# The command


def test_the_command_names_the_archive_and_notes_who_and_why(manage, settings):
    from jobs.models import AuditEntry

    called = manage("export_workspace", "study", "--reason", "for the paper")
    (name,) = left(settings)
    assert called.code == 0 and called.out.strip() == str(settings.EXPORT_DIR / name)
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.object_id, entry.reason) == ("export", "study", "for the paper")
    assert entry.after == f"1 files in {name}"


def test_the_command_as_json(manage, settings):
    called = manage("export_workspace", "study", "--reason", "for the paper", "--json")
    said = json.loads(called.out)
    assert said["files"] == 1 and said["path"].endswith(left(settings)[0]) and said["bytes"] > 0


def test_the_command_refuses_what_it_cannot_do(manage, settings):
    assert manage("export_workspace", "nothing", "--reason", "x").refusal == (
        "There is no workspace nothing in storage. There are: study."
    )
    for reason in ([], ["--reason", ""], ["--reason", "  "]):
        assert manage("export_workspace", "study", *reason).code == 1 and left(settings) == []
    medium("output/more.csv").write_bytes(b"x")
    called = manage("export_workspace", "study", "--reason", "x")
    assert called.code == 1 and "nothing says that it was released" in called.refusal
