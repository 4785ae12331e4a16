"""What stands in the way of a publication, in either storage, is found before the first file is replaced."""

import os
import shutil
import subprocess

import pytest

from jobs import storage
from jobs.errors import JobError
from jobs.levels import HIGHLY_SENSITIVE, MODERATELY_SENSITIVE
from jobs.models import JobOutput
from runner import outputs
from runner.plan import medium_staging
from runner.workspaces import files
from runner.workspaces.files import StorageUnavailable
from tests.publication import (
    files_in,
    finalize,
    high,
    job_with,
    leave,
    make_publisher,
    manifest_of,
    medium,
    never,
    publish,
)

pytestmark = pytest.mark.django_db
BOTH = {"output/rows.csv": b"id\n1\n", "output/table.csv": b"sex,n\nF,10\n"}
TABLE = BOTH["output/table.csv"]
IDENTIFYING = b"patient_id,n\n1,2\n"


def stored() -> tuple:
    """All that readers see."""
    return tuple(
        {name: content for name, content in files_in(folder).items() if not name.startswith(".publishing")}
        for folder in (high(), medium())
    )


def test_an_output_of_high_storage_may_stand_below_the_name_of_a_note():
    publish(job_with(MODERATELY_SENSITIVE, "output/a.csv", action="a"), {"output/a.csv": IDENTIFYING})

    publish(job_with(HIGHLY_SENSITIVE, "output/a.csv.txt/b.csv", action="b"), {"output/a.csv.txt/b.csv": b"x"})

    assert high("output/a.csv.txt/b.csv").read_bytes() == b"x"
    assert medium("output/a.csv.txt").is_file()


@pytest.mark.parametrize(
    ("earlier", "now"), [("output/x/a.csv", "output/x"), ("output/x", "output/x/a.csv"), ("output/x/a.csv", "output")]
)
@pytest.mark.parametrize("content", [TABLE, IDENTIFYING])
def test_nothing_stays_released_whose_place_in_high_storage_something_else_has_taken(earlier, now, content):
    """Somebody removed the earlier output in high storage only."""
    publish(job_with(MODERATELY_SENSITIVE, earlier, action="a"), {earlier: content})
    assert [name for name in files_in(medium()) if name.startswith(earlier)]
    shutil.rmtree(high("output"))

    publish(job_with(HIGHLY_SENSITIVE, now, action="b"), {now: b"rows"})

    assert high(now).read_bytes() == b"rows"
    assert not [name for name in files_in(medium()) if not name.startswith("metadata/")]
    assert set(manifest_of(high())["outputs"]) == {now} and not manifest_of(medium())["outputs"]


def test_a_neighbour_of_the_same_beginning_is_not_taken_for_what_lies_below():
    publish(job_with(MODERATELY_SENSITIVE, "output/x-1.csv", action="a"), {"output/x-1.csv": TABLE})

    publish(job_with(HIGHLY_SENSITIVE, "output/x", action="b"), {"output/x": b"rows"})

    assert medium("output/x-1.csv").read_bytes() == TABLE
    assert set(manifest_of(medium())["outputs"]) == {"output/x-1.csv"}


@pytest.mark.parametrize("level", [HIGHLY_SENSITIVE, MODERATELY_SENSITIVE])
@pytest.mark.parametrize("storage_of", [high, medium])
@pytest.mark.parametrize("by_kernel", [True, False])
def test_a_link_among_the_folders_of_storage_is_waited_for_and_nothing_is_stored_behind_it(
    level, storage_of, by_kernel, tmp_path, monkeypatch
):
    """Behind it an earlier version could lie, released."""
    if not by_kernel:
        monkeypatch.setattr(files, "kernel_resolves_beneath", lambda: False)
    publish(make_publisher(action="tables"), BOTH)
    (tmp_path / "new.csv").write_bytes(b"theirs")
    storage_of("deep").symlink_to(tmp_path)
    before = stored()
    job = job_with(level, "output/table.csv", "deep/new.csv", action="tables")
    leave(job, {"output/table.csv": b"n\n1\n", "deep/new.csv": b"n\n2\n"})

    with pytest.raises(StorageUnavailable, match="continues automatically") as trouble:
        finalize(job)
    assert stored() == before and (tmp_path / "new.csv").read_bytes() == b"theirs"
    assert str(storage_of("deep")) in trouble.value.detail and "deep" not in str(trouble.value)
    storage_of("deep").unlink()
    finalize(job)

    assert high("deep/new.csv").read_bytes() == b"n\n2\n"


@pytest.mark.parametrize("level", [HIGHLY_SENSITIVE, MODERATELY_SENSITIVE])
@pytest.mark.parametrize("storage_of", [high, medium])
def test_a_mount_among_the_folders_of_storage_is_waited_for(level, storage_of):
    storage_of("deep").mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", storage_of("deep")]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("cannot mount a file system here")
    try:
        job = job_with(level, "deep/new.csv")
        leave(job, {"deep/new.csv": b"n\n2\n"})
        with pytest.raises(StorageUnavailable, match="a link, a mount or no folder") as trouble:
            finalize(job)
    finally:
        subprocess.run(["umount", "--lazy", storage_of("deep")], check=True)
    assert str(storage_of("deep")) in trouble.value.detail
    finalize(job)

    assert high("deep/new.csv").read_bytes() == b"n\n2\n"


@pytest.mark.parametrize("storage_of", [high, medium])
@pytest.mark.parametrize("make", ["touch", "symlink_to"])
def test_a_metadata_folder_that_is_none_is_waited_for(storage_of, make, tmp_path):
    publish(make_publisher(action="tables"), BOTH)
    shutil.move(storage_of("metadata"), tmp_path / "metadata")
    getattr(storage_of("metadata"), make)(*([tmp_path / "metadata"] if make == "symlink_to" else []))
    before = files_in(high("output")), files_in(medium("output"))
    job = make_publisher(action="tables")
    leave(job, {"output/rows.csv": b"new", "output/table.csv": b"n\n1\n"})

    with pytest.raises(StorageUnavailable, match="continues automatically") as trouble:
        finalize(job)
    assert str(storage_of("metadata")) in trouble.value.detail
    assert (files_in(high("output")), files_in(medium("output"))) == before
    storage_of("metadata").unlink()
    finalize(job)

    assert high("output/rows.csv").read_bytes() == b"new"
    assert set(manifest_of(high())["outputs"]) == set(BOTH)


def test_what_medium_storage_has_in_the_way_is_found_before_high_storage_changes():
    publish(make_publisher(action="tables"), BOTH)
    medium("output/new.csv").mkdir()
    before = stored()
    job = job_with(MODERATELY_SENSITIVE, "output/table.csv", "output/new.csv", action="tables")
    leave(job, {"output/table.csv": b"n\n1\n", "output/new.csv": b"n\n1\n"})

    with pytest.raises(JobError, match="rename it, or ask the operators") as refused:
        finalize(job)

    assert f"remove {medium('output/new.csv')}" in refused.value.detail
    assert stored() == before and not JobOutput.objects.filter(job=job).exists()


@pytest.mark.parametrize(("before", "now"), [("output/x/y/a.csv", "output/x"), ("output/x", "output/x/y/a.csv")])
def test_a_file_that_became_a_folder_or_the_reverse_is_refused_with_a_way_out(before, now):
    publish(job_with(HIGHLY_SENSITIVE, before), {before: b"1"})
    job = job_with(HIGHLY_SENSITIVE, now)
    leave(job, {now: b"2"})

    with pytest.raises(JobError, match="rename it, or ask the operators") as refused:
        outputs.collect(job, should_stop=never)

    assert f"Rename the output, or ask the operators to remove {high('output/x')} if" in refused.value.detail


def test_a_link_with_the_name_of_an_output_is_replaced_and_never_followed(tmp_path):
    high("output").mkdir(parents=True)
    high("output/table.csv").symlink_to(tmp_path)

    publish(job_with(), {"output/table.csv": b"rows"})

    assert not high("output/table.csv").is_symlink() and high("output/table.csv").read_bytes() == b"rows"


def test_a_released_copy_that_is_neither_staged_nor_stored_is_never_told_as_a_success():
    job = make_publisher()
    leave(job, BOTH)
    _, plan = outputs.collect(job, should_stop=never)
    shutil.rmtree(medium())
    with pytest.raises(StorageUnavailable, match="Mount medium privacy storage again"):
        finalize(job)
    assert not medium().exists()
    medium_staging(job).mkdir(parents=True)

    with pytest.raises(RuntimeError, match="neither staged nor stored"):
        finalize(job)

    assert outputs.load_plan(job) == plan and not high("output").exists()
    assert not storage.manifest(high()).exists()
