"""Files in storage against manifests and database: what differs is told, leaks first, and nothing is changed."""

import json
import os

import pytest

from jobs import storage
from jobs.models import JobOutput
from runner import verifying
from runner.verifying import CHANGED, DATABASE, LEAK, MANIFEST, MISSING, UNKNOWN, Verified, verify, workspaces
from tests.console import Terminal
from tests.publication import files_in, high, make_publisher, manifest_of, medium, publish

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {"output/rows.csv": b"id,age\n1,30\n", "output/table.csv": b"group,n\na,10\n"}


@pytest.fixture(autouse=True)
def stored() -> None:
    publish(make_publisher(), FILES)


def told(found: Verified) -> list[tuple[str, str, str]]:
    return [(finding.kind, finding.storage, finding.path) for finding in found.findings]


def spoil(folder, path: str, **columns) -> None:
    manifest = manifest_of(folder)
    manifest["outputs"][path] |= columns
    storage.manifest(folder).write_text(json.dumps(manifest))


def test_what_was_stored_is_found_so_and_nothing_is_changed():
    before = files_in(high().parent.parent), files_in(medium().parent.parent)
    found = verify("study")
    assert (found.findings, found.is_sound, found.files, found.is_publishing) == ([], True, 3, False)
    assert found.size == sum(map(len, FILES.values())) + len(FILES["output/table.csv"])
    assert (files_in(high().parent.parent), files_in(medium().parent.parent)) == before


def test_a_file_that_is_gone_is_told():
    high("output/rows.csv").unlink()
    medium("output/table.csv").unlink()
    assert told(verify("study")) == [(MISSING, "high", "output/rows.csv"), (MISSING, "medium", "output/table.csv")]


@pytest.mark.parametrize("content", [b"longer than it was before, by far", b"id,age\n1,31\n"])
def test_a_file_of_another_size_or_content_is_told(content):
    high("output/rows.csv").write_bytes(content)
    assert told(verify("study")) == [(CHANGED, "high", "output/rows.csv")]


def test_a_quick_look_sees_sizes_and_reads_nothing(monkeypatch):
    monkeypatch.setattr(verifying, "digest", lambda *_: pytest.fail("a file was read"))
    high("output/rows.csv").write_bytes(b"id,age\n1,31\n")
    assert verify("study", reads_contents=False).is_sound
    high("output/rows.csv").write_bytes(b"x")
    assert not verify("study", reads_contents=False).is_sound


@pytest.mark.parametrize("make", [lambda path: os.symlink("/etc/passwd", path), os.mkfifo, os.mkdir])
def test_what_is_no_plain_file_is_told_and_never_followed_or_waited_for(make):
    high("output/rows.csv").unlink()
    make(high("output/rows.csv"))
    assert told(verify("study")) == [(CHANGED, "high", "output/rows.csv")]


def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    high("output").rename(elsewhere)
    os.symlink(elsewhere, high("output"))
    found = told(verify("study"))
    assert (CHANGED, "high", "output/rows.csv") in found and (CHANGED, "high", "output/table.csv") in found


# Medium privacy storage


def test_what_lies_beside_the_folders_of_workspaces_was_never_released(manage, tmp_path):
    base = medium().parent
    (base / "loose.csv").write_bytes(b"x")
    (base / "a bad name").mkdir()
    os.symlink("/etc", base / "link")
    (base.parent / "elsewhere").mkdir()
    assert [finding.path for finding in verifying.strangers()] == [
        "elsewhere", "workspaces/a bad name", "workspaces/link", "workspaces/loose.csv",
    ]  # fmt: skip
    called = manage("verify_workspace", "--all")
    assert called.code == 1 and "medium privacy storage holds workspaces/loose.csv" in called.out
    assert len(json.loads(manage("verify_workspace", "--all", "--json").out)["beside"]) == 4
    assert manage("verify_workspace", "study").code == 0


def test_where_nothing_was_ever_released_there_are_no_strangers(settings, tmp_path):
    settings.MEDIUM_PRIVACY_STORAGE_BASE = tmp_path / "none"
    assert verifying.strangers() == []


def test_what_bears_the_name_of_a_note_and_holds_something_else_may_be_a_leak(settings):
    settings.LEVEL4_MAX_CSV_ROWS = 2
    publish(make_publisher(), FILES | {"output/table.csv": b"n\n" + b"10\n" * 50})
    assert verify("study").is_sound and medium("output/table.csv.txt").exists()
    medium("output/table.csv.txt").write_bytes(b"n\n" + b"10\n" * 50)
    assert told(verify("study")) == [(LEAK, "medium", "output/table.csv.txt")]
    medium("output/table.csv.txt").unlink()
    os.symlink("/etc/passwd", medium("output/table.csv.txt"))
    assert told(verify("study")) == [(LEAK, "medium", "output/table.csv.txt")]


def test_the_manifest_beside_a_file_alone_releases_nothing():
    medium("output/leak.csv").write_bytes(b"x")
    manifest = manifest_of(medium())
    manifest["files"]["output/leak.csv"] = {"created_by_action": "make", "privacy_level": "moderately_sensitive"}
    storage.manifest(medium()).write_text(json.dumps(manifest))
    assert told(verify("study")) == [(LEAK, "medium", "output/leak.csv")]


@pytest.mark.parametrize(
    "name",
    ["output/rows.csv", "output/extra.csv", "extra.csv.txt", "a/b/c", "metadata/rows.csv", "metadata/a\n.log"],
)
def test_a_file_that_nobody_released_may_be_a_leak(name):
    medium(name).parent.mkdir(parents=True, exist_ok=True)
    medium(name).write_bytes(b"x")
    assert told(verify("study")) == [(LEAK, "medium", name)]


def test_a_link_in_medium_storage_may_be_a_leak():
    os.symlink(high("output/rows.csv"), medium("output/link.csv"))
    assert told(verify("study")) == [(LEAK, "medium", "output/link.csv")]


def test_an_output_that_was_kept_back_may_not_be_there_and_its_note_may(settings):
    settings.LEVEL4_MAX_CSV_ROWS = 1
    publish(make_publisher(), FILES | {"output/table.csv": b"group,n\na,10\nb,20\nc,30\n"})
    assert medium("output/table.csv.txt").exists() and verify("study").findings == []
    medium("output/table.csv").write_bytes(b"group,n\na,10\nb,20\nc,30\n")
    assert told(verify("study")) == [(LEAK, "medium", "output/table.csv")]


def test_a_manifest_there_that_names_something_more_sensitive_is_a_leak_itself():
    spoil(medium(), "output/table.csv", level="highly_sensitive")
    assert (LEAK, "medium", "output/table.csv") in told(verify("study"))


def test_what_is_highly_sensitive_by_the_other_manifest_may_be_a_leak():
    spoil(high(), "output/table.csv", level="highly_sensitive")
    assert told(verify("study"))[0] == (LEAK, "medium", "output/table.csv")


def test_the_worst_comes_first():
    high("output/rows.csv").unlink()
    high("output/other.csv").write_bytes(b"x")
    medium("z.csv").write_bytes(b"x")
    assert [kind for kind, *_ in told(verify("study"))] == [LEAK, MISSING, UNKNOWN]


# Manifest and database


def test_a_file_that_nobody_knows_is_told_and_is_no_fault():
    high("output/notes.txt").write_bytes(b"x")
    found = verify("study")
    assert told(found) == [(UNKNOWN, "high", "output/notes.txt")] and found.is_sound


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"outputs": []}', b"[" * 100_000])
def test_a_damaged_manifest_is_told_and_left_as_it_is(content):
    storage.manifest(high()).write_bytes(content)
    found = verify("study")
    assert told(found) == [(MANIFEST, "high", "metadata/manifest.json")]
    assert storage.manifest(high()).read_bytes() == content


def test_a_missing_manifest_is_told():
    storage.manifest(medium()).unlink()
    assert (MANIFEST, "medium", "metadata/manifest.json") in told(verify("study"))


def test_rows_that_say_otherwise_are_told():
    JobOutput.objects.filter(path="output/rows.csv").update(content_hash="0" * 64)
    assert told(verify("study")) == [(DATABASE, "high", "output/rows.csv")]
    JobOutput.objects.filter(path="output/rows.csv").update(path="output/none.csv")
    assert told(verify("study")) == [(DATABASE, "high", "output/none.csv")]


def test_outputs_that_are_out_of_date_are_held_against_the_manifest_only():
    JobOutput.objects.update(is_current=False)
    assert verify("study").findings == []


def test_what_is_published_meanwhile_is_looked_at_again(monkeypatch):
    real, calls = verifying.digest, []

    def digest(*arguments) -> str:
        calls.append(1)
        if len(calls) == 1:
            publish(make_publisher(), FILES | {"output/rows.csv": b"id,age\n1,99\n"})
        return real(*arguments)

    monkeypatch.setattr(verifying, "digest", digest)
    found = verify("study")
    assert found.findings == [] and len(calls) > 3 and found.files == 3


def test_a_publication_under_way_is_told():
    (high() / ".publishing" / "job").mkdir(parents=True)
    assert verify("study").is_publishing


def test_workspaces_are_those_of_either_storage():
    for folder in (high().parent / "only_high", medium().parent / "only-medium", high().parent / "no name"):
        folder.mkdir()
    os.symlink("/etc", high().parent / "link")
    assert workspaces() == ["only-medium", "only_high", "study"]


def test_a_workspace_with_nothing_in_it_is_sound():
    (high().parent / "empty").mkdir()
    assert verify("empty").findings == []


# The command


@pytest.fixture
def manage(capsys, monkeypatch) -> Terminal:
    return Terminal(capsys, monkeypatch)


def test_the_command_says_so_with_its_exit_code(manage):
    called = manage("verify_workspace", "study")
    assert called.code == 0 and called.out.startswith("✓ study: 3 files, ") and "all as stored" in called.out
    high("output/evil\x1b[2J").write_bytes(b"x")
    medium("output/leak.csv").write_bytes(b"x")
    called = manage("verify_workspace", "--all")
    assert called.code == 1 and "✗ study" in called.out and "may be a leak  medium  output/leak.csv" in called.out
    assert "\x1b" not in called.out and "evil\\x1b[2J" in called.out


def test_the_command_s_json_tells_all(manage):
    medium("leak.csv").write_bytes(b"x")
    (found,) = json.loads(manage("verify_workspace", "study", "--json").out)["workspaces"]
    assert (found["workspace"], found["is_sound"], found["files"]) == ("study", False, 3)
    assert found["findings"][0] == {
        "kind": "leak", "storage": "medium", "path": "leak.csv",
        "text": "is in no manifest: nothing says that it was released",
    }  # fmt: skip


def test_very_many_findings_are_cut_short_at_the_terminal(manage, monkeypatch):
    monkeypatch.setattr("runner.console.verification.MOST_TOLD", 2)
    for number in range(5):
        medium(f"{number}.csv").write_bytes(b"x")
    assert "and 3 more: --json tells all" in manage("verify_workspace", "study").out


@pytest.mark.parametrize("arguments", [(), ("study", "--all")])
def test_it_has_to_be_said_which(manage, arguments):
    assert manage("verify_workspace", *arguments).refusal == "Say which workspaces, or --all."


@pytest.mark.parametrize("name", ["other", "../study", "a\x1b[2J"])
def test_a_workspace_that_there_is_not_is_refused(manage, name):
    refusal = manage("verify_workspace", name).refusal
    assert "There is no workspace" in refusal and "study" in refusal and "\x1b" not in refusal
