"""Rules of the manifest, which other tools read."""

import json
import logging
import os

import pytest

from jobs import storage
from jobs.levels import HIGHLY_SENSITIVE, MODERATELY_SENSITIVE
from runner import manifest
from runner.mounted import require_storage
from tests.factories import make_request
from tests.publication import files_in, high, make_publisher, manifest_of, medium, publish

pytestmark = pytest.mark.django_db
BOTH = {"output/rows.csv": b"id\n1\n", "output/table.csv": b"sex,n\nF,10\n"}
NEWER_FORM = {
    *("level", "job_id", "job_request", "action", "user", "repo", "commit", "size", "timestamp", "content_hash"),
    *("excluded", "rule", "message", "row_count", "col_count", "out_of_date_action", "out_of_date_output"),
}
OLDER_FORM_OF_ACTION = {
    *("state", "commit", "docker_image_id", "job_id", "run_by_user", "created_at", "completed_at", "exit_code")
}


def tables(**columns):
    request = columns.pop("request", None) or make_request(study_actions=["tables"])
    return make_publisher(action="tables", request=request, image_id="sha256:abc", exit_code=0, **columns)


def test_it_tells_of_each_output_in_both_forms():
    job = tables()

    publish(job, BOTH)

    written = manifest_of(high())
    output = written["outputs"]["output/table.csv"]
    assert set(written) == {"workspace", "repo", "outputs", "files", "actions"}
    assert (written["workspace"], written["repo"]) == ("study", "https://github.com/opensafely/study")
    assert set(output) == NEWER_FORM
    assert output["level"] == MODERATELY_SENSITIVE and output["rule"] == "passed"
    assert (output["row_count"], output["col_count"]) == (1, 2)
    assert (output["job_id"], output["job_request"]) == (job.identifier, job.request.identifier)
    assert (output["action"], output["user"], output["commit"]) == ("tables", "alice", "c" * 40)
    assert output["timestamp"] == high("output/table.csv").stat().st_mtime_ns / 1e9
    assert set(written["outputs"]["output/rows.csv"]) == NEWER_FORM
    assert written["files"]["output/rows.csv"] == {"created_by_action": "tables", "privacy_level": HIGHLY_SENSITIVE}
    assert set(written["actions"]["tables"]) == OLDER_FORM_OF_ACTION
    assert written["actions"]["tables"]["state"] == "succeeded"


def test_outputs_of_actions_that_the_study_no_longer_has_are_marked():
    publish(make_publisher(action="old", output_spec={HIGHLY_SENSITIVE: {"x": "old.csv"}}), {"old.csv": b"x"})

    publish(tables(), BOTH)

    marks = {path: output["out_of_date_action"] for path, output in manifest_of(high())["outputs"].items()}
    assert marks == {"old.csv": True, "output/rows.csv": False, "output/table.csv": False}


def test_an_action_that_comes_back_is_marked_no_more():
    publish(make_publisher(action="old", output_spec={HIGHLY_SENSITIVE: {"x": "old.csv"}}), {"old.csv": b"x"})
    publish(tables(), BOTH)

    publish(tables(request=make_request(study_actions=["tables", "old"])), BOTH)

    assert not manifest_of(high())["outputs"]["old.csv"]["out_of_date_action"]


DAMAGE = {
    "truncated": b'{"workspace": "study", "outputs": {"output/ro',
    "empty": b"",
    "not an object": b"[]",
    "wrong parts": b'{"outputs": []}',
    "wrong items": b'{"outputs": {"a": 1}}',
    "not text": b"\xff\xfe\x00",
    "nested": b"[" * 200_000,
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_manifest_is_kept_aside_and_made_again_without_losing_an_entry(content, caplog):
    publish(make_publisher(action="other", output_spec={HIGHLY_SENSITIVE: {"x": "other.csv"}}), {"other.csv": b"x"})
    publish(tables(), BOTH)
    before = manifest_of(high())
    storage.manifest(high()).write_bytes(content)

    with caplog.at_level(logging.ERROR):
        publish(tables(), BOTH)

    after = manifest_of(high())
    aside = [name for name in os.listdir(high("metadata")) if name.startswith("manifest.json.corrupt-")]
    assert high(f"metadata/{aside[0]}").read_bytes() == content and len(aside) == 1
    assert set(after["outputs"]) == set(before["outputs"]) and set(after["actions"]) == {"other", "tables"}
    assert after["outputs"]["other.csv"]["content_hash"] == before["outputs"]["other.csv"]["content_hash"]
    assert "made again from the database" in caplog.text


def make_folder(path, elsewhere):
    path.mkdir()
    (path / "file").touch()


STRANGE = {
    "a folder": make_folder,
    "a FIFO, which nobody writes to": lambda path, elsewhere: os.mkfifo(path),
    "a link that leads nowhere": lambda path, elsewhere: path.symlink_to(elsewhere / "missing"),
    "a link to a manifest of somebody": lambda path, elsewhere: path.symlink_to(elsewhere / "theirs.json"),
    "a file of no size that we write": lambda path, elsewhere: (path.touch(), os.truncate(path, 3 * 1024**3)),
}


@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE.keys())
@pytest.mark.parametrize("storage_of", [high, medium])
def test_a_manifest_that_is_no_plain_file_is_kept_aside_and_made_again(make, storage_of, tmp_path):
    """Opened, a FIFO would hang for ever with the workspace's lock held."""
    publish(make_publisher(action="other"), {"output/rows.csv": b"other", "output/table.csv": b"n\n1\n"})
    publish(tables(output_spec={MODERATELY_SENSITIVE: {"chart": "chart.csv"}}), {"chart.csv": b"n\n1\n"})
    before = set(manifest_of(storage_of())["outputs"])
    (tmp_path / "theirs.json").write_text('{"outputs": {"theirs": {}}}')
    storage.manifest(storage_of()).unlink()
    make(storage.manifest(storage_of()), tmp_path)

    publish(tables(output_spec={MODERATELY_SENSITIVE: {"chart": "chart.csv"}}), {"chart.csv": b"n\n2\n"})

    aside = [name for name in os.listdir(storage_of("metadata")) if name.startswith("manifest.json.corrupt-")]
    assert set(manifest_of(storage_of())["outputs"]) == before and len(aside) == 1
    assert (tmp_path / "theirs.json").read_text() == '{"outputs": {"theirs": {}}}'


def test_the_manifest_of_high_storage_is_read_for_medium_storage_only_if_it_is_a_plain_file():
    storage.manifest(high()).parent.mkdir(parents=True)
    os.mkfifo(storage.manifest(high()))

    require_storage("study")


def test_a_manifest_made_again_loads_no_lists_of_the_study_for_each_output(django_assert_num_queries):
    publish(tables(), BOTH)
    storage.manifest(high()).unlink()

    with django_assert_num_queries(1) as queries:
        made = manifest.load("study", high())

    assert set(made["outputs"]) == set(BOTH)
    for column in ("original", "study_actions", "requested_actions", "output_spec"):
        assert f'"{column}"' not in queries[0]["sql"]


def test_a_lost_manifest_is_made_again_with_outputs_that_stand_unreplaced():
    publish(tables(), BOTH | {"extra.csv": b"x"})
    spec = {HIGHLY_SENSITIVE: {"x": "extra.csv"}}
    publish(make_publisher(action="tables", output_spec=spec), {"extra.csv": b"y"})
    storage.manifest(high()).unlink()
    high("output/table.csv").unlink()

    publish(make_publisher(action="other", output_spec={HIGHLY_SENSITIVE: {"x": "other.csv"}}), {"other.csv": b"x"})

    listed = manifest_of(high())["outputs"]
    assert set(listed) == {"extra.csv", "other.csv", "output/rows.csv"}
    assert listed["output/rows.csv"]["out_of_date_output"] and not listed["extra.csv"]["out_of_date_output"]


def test_a_damaged_manifest_of_medium_storage_is_made_again_without_highly_sensitive_names():
    spec = {HIGHLY_SENSITIVE: {"rows": "others_rows.csv"}}
    publish(make_publisher(action="other", output_spec=spec), {"others_rows.csv": b"1"})
    publish(tables(), BOTH)
    storage.manifest(medium()).write_bytes(b"{")

    publish(tables(), BOTH)

    assert set(manifest_of(medium())["outputs"]) == {"output/table.csv"}
    assert b"rows.csv" not in b"".join(
        content for name, content in files_in(medium("metadata")).items() if "manifest" in name
    )


def test_entries_of_the_older_system_stay():
    older = {"workspace": "study", "repo": "r", "files": {"old.csv": {"created_by_action": "a"}}, "note": "kept"}
    storage.manifest(high()).parent.mkdir(parents=True)
    storage.manifest(high()).write_text(json.dumps(older))

    publish(tables(), BOTH)

    written = manifest_of(high())
    assert written["files"]["old.csv"] == {"created_by_action": "a"} and written["note"] == "kept"


def test_it_is_json_whatever_the_names_hold():
    names = ["a\u2028b", '"quoted"', "back\\slash", "\U0001f600", "</script>"]
    content = {"outputs": {name: {"size": 1} for name in names}, "files": {}, "repo": "\u00e9"}

    text = b"".join(manifest.as_json(content))

    assert json.loads(text) == content
    assert text.isascii()
