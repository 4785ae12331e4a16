"""Rules of the inputs that a job gets: of one moment, as they were published, and out of the container's reach."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from jobs import storage
from jobs.errors import JobError, Stopped
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner import plan as plans
from runner.workspaces import inputs, lock
from runner.workspaces.files import StorageUnavailable
from runner.workspaces.inputs import InputChanged
from runner.workspaces.lock import publishing_lock
from tests.factories import make_job
from tests.job_folders import CODE, found, link, prepare, stored
from tests.publication import never

pytestmark = pytest.mark.django_db


def test_an_input_never_lands_where_a_link_of_the_repository_points(tmp_path):
    (tmp_path / "medium").mkdir()
    stored("output/rows.csv", b"rows")
    job = make_job()

    notes = prepare(job, link("output", str(tmp_path / "medium")), wanted=JobOutput.objects.current())

    assert os.listdir(tmp_path / "medium") == []
    assert found(job) == {"output/rows.csv": b"rows"}
    assert len(notes) == 2


def test_an_input_replaces_what_the_code_has_in_its_place():
    stored("a.txt", b"made")
    stored("analysis/table.py/rows.csv", b"made")
    stored("folder", b"made")
    job = make_job()

    notes = prepare(job, *CODE, ("folder/x", b"x"), wanted=JobOutput.objects.current())

    assert found(job) == {"a.txt": b"made", "analysis/table.py/rows.csv": b"made", "folder": b"made"}
    assert sum("was replaced by the output" in note for note in notes) == 3


def test_what_the_container_can_write_is_never_a_name_of_a_stored_file():
    stored("output/rows.csv", b"rows")
    job = make_job()

    prepare(job, wanted=JobOutput.objects.current())
    (storage.job_workspace(job) / "output" / "rows.csv").write_bytes(b"overwritten by the job")

    assert (storage.high_privacy_workspace("study") / "output" / "rows.csv").read_bytes() == b"rows"


def test_another_job_may_publish_while_inputs_are_copied(other_file_system):
    stored("output/rows.csv", os.urandom(100_000))
    was_free = []

    def look_whether_the_lock_is_free() -> bool:
        with contextlib.suppress(Stopped), publishing_lock("study", lambda: True):
            was_free.append(True)
            return False
        was_free.append(False)
        return False

    prepare(make_job(), wanted=JobOutput.objects.current(), should_stop=look_whether_the_lock_is_free)

    assert len(was_free) > len(CODE) and all(was_free)


def replace(row: JobOutput, content: bytes) -> None:
    """What a publication of the same action does to one of its outputs."""
    path = storage.high_privacy_workspace("study") / row.path
    path.unlink()
    JobOutput.objects.filter(pk=row.pk).update(is_current=False)
    stored(row.path, content)


def test_inputs_are_of_one_moment_even_if_one_is_made_anew_while_another_is_copied():
    rows = [stored("output/a.csv", b"old"), stored("output/b.csv", b"old")]
    job = make_job()

    def publish_both_after_the_first_is_copied() -> bool:
        output = storage.job_workspace(job) / "output"
        if rows and output.exists() and os.listdir(output):
            while rows:
                replace(rows.pop(), b"new content")
        return False

    with pytest.raises(InputChanged, match="was replaced while it was being copied"):
        prepare(job, wanted=JobOutput.objects.current(), should_stop=publish_both_after_the_first_is_copied)
    prepare(job, wanted=JobOutput.objects.current())

    assert found(job)["output/a.csv"] == found(job)["output/b.csv"] == b"new content"


def test_a_publication_that_is_under_way_is_waited_for_before_an_input_counts_as_changed(monkeypatch):
    row = stored("output/rows.csv", b"old")
    path = storage.high_privacy_workspace("study") / "output" / "rows.csv"
    path.write_bytes(b"new content")
    publication = contextlib.ExitStack()
    publication.enter_context(publishing_lock("study", never))

    def publication_ends(seconds: float) -> None:
        replace(row, b"new content")
        publication.close()

    monkeypatch.setattr(lock.time, "sleep", publication_ends)

    with pytest.raises(InputChanged, match="was replaced while it was being copied"):
        prepare(make_job(), wanted=JobOutput.objects.current())


def changed(path: Path) -> None:
    path.write_bytes(b"edited by hand")


def changed_at_the_same_size(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"ROWS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


def removed(path: Path) -> None:
    path.unlink()


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("spoil", [changed, changed_at_the_same_size, removed, linked])
def test_an_input_that_is_not_as_it_was_published_fails_the_job_and_says_what_to_run(spoil):
    row = stored("output/rows.csv", b"rows")
    spoil(storage.high_privacy_workspace("study") / "output" / "rows.csv")
    job = make_job()

    with pytest.raises(JobError, match=f"Run {row.job.action} again") as refused:
        prepare(job, wanted=JobOutput.objects.current())

    assert "output/rows.csv" in refused.value.detail
    assert "rows.csv" not in str(refused.value).replace(row.job.action, ""), "file names never go to the job-server"


def test_trouble_of_the_disk_that_an_input_lies_on_names_that_disk_and_is_waited_for(monkeypatch):
    stored("output/rows.csv", b"rows")

    def fails(*arguments):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), b"output/rows.csv")

    monkeypatch.setattr(inputs, "open_beneath", fails)

    with pytest.raises(StorageUnavailable, match=f"{storage.high_privacy_workspace('study')}: .*mount that storage"):
        prepare(make_job(), wanted=JobOutput.objects.current())


def leave_plan(job) -> None:
    plans.make_staging(plans.high_staging(job))
    (plans.high_staging(job) / "plan.json").write_text("{}")


def test_an_input_of_an_interrupted_publication_is_waited_for():
    stored("output/rows.csv", b"rows")
    changed(storage.high_privacy_workspace("study") / "output" / "rows.csv")
    leave_plan(make_job(StatusCode.FINALIZING))

    with pytest.raises(InputChanged):
        prepare(make_job(), wanted=JobOutput.objects.current())


def test_a_plan_that_nobody_will_ever_finish_is_not_waited_for():
    stored("output/rows.csv", b"rows")
    changed(storage.high_privacy_workspace("study") / "output" / "rows.csv")
    leave_plan(make_job(StatusCode.INTERNAL_ERROR))
    forgotten = make_job(StatusCode.FINALIZING)
    leave_plan(forgotten)
    forgotten.delete()

    with pytest.raises(JobError, match="again"):
        prepare(make_job(), wanted=JobOutput.objects.current())
