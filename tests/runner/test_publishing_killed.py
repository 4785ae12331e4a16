"""Publishing survives `kill -9` at every single call that changes something on disk."""

import os
import shutil
import signal
from contextlib import suppress

import pytest
from django.db import connections

from jobs import storage
from jobs.errors import JobError
from jobs.levels import HIGHLY_SENSITIVE, MODERATELY_SENSITIVE
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner import outputs, publishing
from runner.plan import high_staging
from tests.factories import make_job
from tests.publication import files_in, finalize, high, leave, make_publisher, manifest_of, medium, never, publish

pytestmark = [pytest.mark.django_db(transaction=True)]
CHANGING = (
    *("rename", "link", "fsync", "unlink", "rmdir", "mkdir", "fchmod"),
    *("open", "write", "pwrite", "ftruncate", "copy_file_range"),
)
SPEC = {
    HIGHLY_SENSITIVE: {"rows": "output/rows.csv", "more": "output/more*.csv"},
    MODERATELY_SENSITIVE: {"table": "output/table.csv", "chart": "deep/er/*.csv"},
}
IDENTIFYING = b"patient_id,n\n1,2\n"
EARLIER = {
    "output/rows.csv": b"old",
    "output/more1.csv": b"old",
    "output/table.csv": IDENTIFYING,
    "deep/er/a.csv": b"n\n1\n",
}
LATER = {
    "output/rows.csv": b"new",
    "output/more2.csv": b"new",
    "output/table.csv": b"n\n1\n",
    "deep/er/a.csv": IDENTIFYING,
    "deep/er/b.csv": b"n\n2\n",
}


def kill_at(count: int) -> None:
    """The process dies right before its `count`th call that changes something on disk."""
    calls = iter(range(1, count + 1))

    def deadly(call):
        def dies_at_last(*arguments, **keywords):
            if next(calls, count) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **keywords)

        return dies_at_last

    for name in CHANGING:
        setattr(os, name, deadly(getattr(os, name)))


def finalize_in_a_process_that_dies(job, count: int) -> bool:
    """Whether it got through before it was killed."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            kill_at(count)
            with suppress(JobError):
                finalize(job)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def snapshot() -> tuple:
    """All that matters of storage and database, without times."""
    manifests = []
    for folder in (high(), medium()):
        written = manifest_of(folder)
        for item in (*written["outputs"].values(), *written["actions"].values()):
            item.pop("timestamp", None)
            item.pop("completed_at", None)
        manifests.append(written)
    stored = [
        {name: content for name, content in files_in(folder).items() if not name.endswith("manifest.json")}
        for folder in (high(), medium())
    ]
    columns = ("job__action", "job", "path", "level", "size", "content_hash", "excluded", "rule", "is_current")
    hidden = [folder.joinpath(".publishing").exists() for folder in (high(), medium())]
    return manifests, stored, hidden, list(JobOutput.objects.order_by("pk").values_list(*columns))


@pytest.mark.slow_test
def test_a_publication_killed_at_any_call_is_carried_through_by_the_next_try(settings, tmp_path):
    earlier, job = (make_job(StatusCode.FINALIZING, action="tables", output_spec=SPEC) for _ in range(2))
    publish(earlier, EARLIER)
    leave(job, LATER)
    state = tmp_path / "state"
    shutil.copytree(settings.WORK_DIR, state)

    def restore():
        shutil.rmtree(settings.WORK_DIR)
        shutil.copytree(state, settings.WORK_DIR)
        JobOutput.objects.filter(job=job).delete()
        JobOutput.objects.filter(job=earlier).update(is_current=True)

    names_before = set(manifest_of(high())["outputs"])
    finalize(job)
    expected = snapshot()

    count, is_through = 0, False
    while not is_through:
        count += 1
        restore()
        is_through = finalize_in_a_process_that_dies(job, count)
        assert set(manifest_of(high())["outputs"]) >= names_before
        is_committed = JobOutput.objects.current().filter(job=job).exists()
        if outputs.load_plan(job) is None and not is_through and not is_committed:
            assert high("output/rows.csv").read_bytes() == b"old"
        if not is_through:
            if is_committed:
                outputs.forget(job)  # the rows and the status were committed: the next step only cleans up
            else:
                finalize(job)
        got = snapshot()
        # Rows of the second try have new primary keys, but the same content in the same order.
        assert got == expected, f"killed at call {count}"

    assert count > 50


@pytest.mark.slow_test
def test_a_refusal_killed_at_any_call_stays_a_refusal():
    """A plan whose staged files were gone already would look like a publication that is through."""
    job = make_job(StatusCode.FINALIZING, action="tables", output_spec=SPEC)
    count, is_through, clash = 0, False, high("output/rows.csv")
    while not is_through:
        count += 1
        outputs.forget(job)
        leave(job, LATER)
        outputs.collect(job, should_stop=never)
        clash.mkdir(parents=True)  # another job's folder takes the place meanwhile

        is_through = finalize_in_a_process_that_dies(job, count)

        if not is_through:
            with pytest.raises(JobError):
                finalize(job)
        assert outputs.load_plan(job) is None
        assert not JobOutput.objects.exists()
        assert not high("output/table.csv").exists()
        clash.rmdir()
    assert count > 10


def test_an_output_that_is_neither_staged_nor_stored_is_never_told_as_a_success():
    job = make_publisher()
    leave(job, {"output/rows.csv": b"rows", "output/table.csv": b"n\n1\n"})
    _, plan = outputs.collect(job, should_stop=never)
    (high_staging(job) / "0").unlink()

    with pytest.raises(RuntimeError, match="neither staged nor stored"):
        finalize(job)

    assert outputs.load_plan(job) == plan and not JobOutput.objects.exists()


def test_a_file_that_a_killed_publication_has_put_there_is_not_taken_for_ours():
    """Both were killed before their rows were written: only the other's plan tells whose the file is."""
    first, second = make_publisher(action="first"), make_publisher(action="second")
    for job, rows in ((first, b"first"), (second, b"second one")):
        leave(job, {"output/rows.csv": rows, "output/table.csv": b"n\n1\n"})
        _, plan = outputs.collect(job, should_stop=never)
        publishing._publish(job, plan, never)

    finalize(first)
    finalize(second)

    assert {row.path: row.job.action for row in JobOutput.objects.current()} == {
        "output/rows.csv": "second",
        "output/table.csv": "second",
    }


def test_a_file_that_another_job_published_over_meanwhile_is_not_claimed():
    """Killed after its files had their names but before its rows were written; then another job used the same name."""
    job = make_publisher(action="first")
    leave(job, {"output/rows.csv": b"first", "output/table.csv": b"n\n1\n"})
    _, plan = outputs.collect(job, should_stop=never)
    with outputs.publishing(job, plan, should_stop=never):
        pass
    spec = {HIGHLY_SENSITIVE: {"rows": "output/rows.csv"}}
    publish(make_job(StatusCode.FINALIZING, action="second", output_spec=spec), {"output/rows.csv": b"second one"})

    finalize(job)

    listed = manifest_of(high())["outputs"]
    current = {row.path: row.job.action for row in JobOutput.objects.current()}
    assert current == {"output/rows.csv": "second", "output/table.csv": "first"}
    assert {path: output["action"] for path, output in listed.items()} == current
    assert high("output/rows.csv").read_bytes() == b"second one"


def test_a_plan_is_found_again_although_the_job_folder_is_gone():
    job = make_publisher()
    leave(job, {"output/rows.csv": b"rows", "output/table.csv": b"n\n1\n"})
    outputs.collect(job, should_stop=never)
    shutil.rmtree(storage.job_folder(job))

    finalize(job)

    assert files_in(high("output")) == {"rows.csv": b"rows", "table.csv": b"n\n1\n"}
