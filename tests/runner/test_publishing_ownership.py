"""After a kill: whose is the file that stands at an output's name? A job chooses its size and its time."""

import os
import shutil

import pytest
from django.utils import timezone

from jobs import storage
from jobs.levels import HIGHLY_SENSITIVE, MODERATELY_SENSITIVE
from jobs.models import Job, JobOutput
from jobs.states import State, StatusCode
from runner import outputs, publishing
from runner.plan import high_staging
from runner.side import Side
from runner.workspaces.files import StorageUnavailable
from tests.publication import finalize, high, job_with, leave, manifest_of, medium, never, publish

pytestmark = pytest.mark.django_db
FIRST, SECOND = b"a,b\n1,1\n", b"a,b\n9,9\n"


def planned(level: str, content: bytes, **columns) -> tuple:
    """A job with a plan, whose output tells a time of its own choice."""
    job = job_with(level, **columns)
    leave(job, {"output/table.csv": content})
    os.utime(storage.job_workspace(job) / "output" / "table.csv", (0, 0))
    _, plan = outputs.collect(job, should_stop=never)
    return job, plan


def killed_before_release(monkeypatch, job, plan) -> None:
    """The file has its name in high privacy storage, and nothing else is done."""

    def dies(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as deadly:
        deadly.setattr(publishing, "_release", dies)
        deadly.setattr(Side, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            publishing._publish(job, plan, never)


@pytest.mark.parametrize("content", [SECOND, FIRST])
@pytest.mark.parametrize("is_through", [True, False])
def test_a_file_of_the_same_size_and_time_that_another_job_put_there_is_not_taken_for_ones_own(
    monkeypatch, content, is_through
):
    """Else the earlier version came back to medium privacy storage. Even with the same content it is the other's."""
    job, plan = planned(MODERATELY_SENSITIVE, FIRST, action="first")
    killed_before_release(monkeypatch, job, plan)
    other, others_plan = planned(HIGHLY_SENSITIVE, content, action="second")
    if is_through:
        finalize(other)
    else:
        killed_before_release(monkeypatch, other, others_plan)

    finalize(job)
    if not is_through:
        finalize(other)

    assert high("output/table.csv").read_bytes() == content and not medium("output/table.csv").exists()
    assert manifest_of(high())["outputs"]["output/table.csv"]["action"] == "second"
    assert [row.job for row in JobOutput.objects.current()] == [other]


def test_ones_own_file_is_known_again_where_storage_was_copied_meanwhile(monkeypatch):
    """No inode is the same then, and an earlier job's file had the same size and time."""
    publish(job_with(MODERATELY_SENSITIVE, action="first"), {"output/table.csv": SECOND})
    job, plan = planned(MODERATELY_SENSITIVE, FIRST, action="first")
    killed_before_release(monkeypatch, job, plan)
    shutil.copytree(high(), high().with_name("copy"))
    shutil.rmtree(high())
    high().with_name("copy").rename(high())

    finalize(job)

    assert high("output/table.csv").read_bytes() == medium("output/table.csv").read_bytes() == FIRST
    assert [row.job for row in JobOutput.objects.current()] == [job]


def test_an_output_is_lost_although_an_earlier_jobs_file_still_stands_there():
    earlier = job_with(action="first")
    publish(earlier, {"output/table.csv": SECOND})
    ended = {"status_code": StatusCode.SUCCEEDED, "state": State.SUCCEEDED, "completed_at": timezone.now()}
    Job.objects.filter(pk=earlier.pk).update(**ended)
    job, plan = planned(HIGHLY_SENSITIVE, FIRST, action="first")
    (high_staging(job) / "0").unlink()

    with pytest.raises(RuntimeError, match="neither staged nor stored"):
        finalize(job)

    assert outputs.load_plan(job) == plan


@pytest.mark.parametrize("make", ["mkdir", "symlink_to"])
def test_what_is_no_file_is_never_taken_for_an_output(make, tmp_path):
    job, _ = planned(HIGHLY_SENSITIVE, FIRST)
    (high_staging(job) / "0").unlink()
    high("output").mkdir()
    getattr(high("output/table.csv"), make)(*([tmp_path / "x"] if make == "symlink_to" else []))

    with pytest.raises(RuntimeError, match="neither staged nor stored"):
        finalize(job)


def test_where_one_of_its_outputs_is_anothers_a_job_leaves_the_rest_of_its_action_alone(monkeypatch):
    """Who published over it may have been a later job of the same action, whose other outputs stay current."""
    job = job_with(HIGHLY_SENSITIVE, "output/*.csv", action="tables")
    leave(job, {"output/a.csv": b"1", "output/b.csv": b"1"})
    _, plan = outputs.collect(job, should_stop=never)
    publishing._publish(job, plan, never)
    later = job_with(HIGHLY_SENSITIVE, "output/*.csv", action="tables")
    publish(later, {"output/a.csv": b"2", "output/c.csv": b"2"})

    finalize(job)

    current = {row.path: row.job for row in JobOutput.objects.current()}
    assert current == {"output/a.csv": later, "output/b.csv": job, "output/c.csv": later}


def test_a_manifest_made_again_tells_of_the_job_whose_file_it_is(monkeypatch):
    """Rows of the job that was killed are the later ones, and tell the same size and time."""
    job, plan = planned(HIGHLY_SENSITIVE, FIRST, action="first")
    killed_before_release(monkeypatch, job, plan)
    other, _ = planned(HIGHLY_SENSITIVE, SECOND, action="second")
    finalize(other)
    finalize(job)
    storage.manifest(high()).unlink()

    publish(job_with(HIGHLY_SENSITIVE, "x.csv"), {"x.csv": b"x"})

    listed = manifest_of(high())["outputs"]["output/table.csv"]
    assert listed["action"] == "second" and not listed["out_of_date_output"]


@pytest.mark.parametrize("storage_of", [high, medium])
def test_what_comes_in_the_way_of_a_publication_that_has_begun_is_waited_for(monkeypatch, storage_of):
    """To refuse the job now would leave its first outputs in storage, and nothing that tells of them."""
    job = job_with(MODERATELY_SENSITIVE, "output/*.csv", action="tables")
    leave(job, {"output/a.csv": b"n\n1\n", "output/b.csv": b"n\n2\n"})
    _, plan = outputs.collect(job, should_stop=never)
    killed_before_release(monkeypatch, job, plan)
    high("output/b.csv").rename(high_staging(job) / "1")  # killed before this one
    storage_of("output/b.csv").mkdir(parents=True)

    with pytest.raises(StorageUnavailable, match="continues automatically") as trouble:
        finalize(job)
    assert str(storage_of("output/b.csv")) in trouble.value.detail and outputs.load_plan(job) == plan
    storage_of("output/b.csv").rmdir()
    finalize(job)

    assert high("output/b.csv").read_bytes() == medium("output/b.csv").read_bytes() == b"n\n2\n"
