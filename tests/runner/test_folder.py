"""Rules of preparing a job's folder: what the container finds, and what it can never reach."""

import io
import os
import tarfile

import pytest
from django.utils import timezone

from jobs import storage
from jobs.errors import JobError, Stopped, Unavailable
from jobs.inputs import inputs_of
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner.workspaces import folder, notes
from runner.workspaces.code import CodeUnreadable
from runner.workspaces.files import StorageUnavailable
from runner.workspaces.notes import notes as notes_of
from runner.workspaces.notes import prepared_at_ns
from tests.factories import make_job
from tests.job_folders import found, link, prepare, stored, tar
from tests.publication import never

pytestmark = pytest.mark.django_db


def test_the_job_finds_code_inputs_and_folders_for_its_outputs():
    stored("output/rows.csv", b"rows")
    job = make_job(output_spec={"highly_sensitive": {"x": "results/deep/x.csv", "y": "out*/y.csv"}})

    notes = prepare(job, wanted=JobOutput.objects.current())

    assert found(job) == {"analysis/table.py": b"print()", "a.txt": b"a", "output/rows.csv": b"rows"}
    assert (storage.job_workspace(job) / "results" / "deep").is_dir()
    assert notes == notes_of(job) == []
    assert prepared_at_ns(job) > 0


def test_everything_belongs_to_the_user_of_the_container_who_may_write_it(settings):
    if os.geteuid() == 0:
        settings.JOB_USER_ID, settings.JOB_GROUP_ID = 10001, 10002
    stored("output/rows.csv", b"rows")
    job = make_job()

    prepare(job, wanted=JobOutput.objects.current())

    root = storage.job_workspace(job)
    for path in (root, *root.rglob("*")):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (settings.JOB_USER_ID, settings.JOB_GROUP_ID)
        assert status.st_mode & 0o200
    assert os.access(root / "analysis" / "table.py", os.X_OK)
    assert not (root / "a.txt").stat().st_mode & 0o111


def test_a_second_try_starts_from_nothing():
    job = make_job()
    prepare(job)
    (storage.job_workspace(job) / "left over").write_text("x")

    prepare(job)

    assert found(job) == {"analysis/table.py": b"print()", "a.txt": b"a"}
    assert sorted(os.listdir(storage.job_folder(job))) == ["prepared.json", "workspace"]


def test_a_symbolic_link_of_the_repository_becomes_a_plain_file_and_is_noted(tmp_path):
    (tmp_path / "medium").mkdir()
    job = make_job(output_spec={"highly_sensitive": {"x": "output/x.csv"}})

    notes = prepare(job, link("output", str(tmp_path / "medium")), link("etc", "/etc"), ("a.txt", b"a"))

    assert found(job) == {"output": str(tmp_path / "medium").encode(), "etc": b"/etc", "a.txt": b"a"}
    assert "output is a symbolic link in the repository" in notes[0]


@pytest.mark.parametrize(
    "member",
    [
        ("../escape", b"x"),
        ("/absolute", b"x"),
        ("a/../../escape", b"x"),
        ("a//b", b"x"),
        link("hard", "a.txt", tarfile.LNKTYPE),
        link("device", "", tarfile.CHRTYPE),
        link("fifo", "", tarfile.FIFOTYPE),
    ],
)
def test_an_archive_holds_files_and_folders_below_its_own_folder_only(member, tmp_path):
    job = make_job()

    with pytest.raises(JobError):
        prepare(job, ("a.txt", b"a"), member)

    assert not (storage.job_folder(job) / "escape").exists() and not (tmp_path / "escape").exists()


def test_a_path_that_is_both_file_and_folder_is_the_fault_of_the_repository():
    with pytest.raises(JobError, match="both as a file and as a folder"):
        prepare(make_job(), link("output", "/etc"), ("output/x", b"x"))


@pytest.mark.parametrize("keep", [100, 700, 5_000])
def test_code_that_breaks_off_is_fetched_again_and_not_the_fault_of_the_study(keep):
    whole = tar(("big", bytes(20_000)), ("after", b"x")).getvalue()

    with pytest.raises(CodeUnreadable) as caught:
        folder.prepare(make_job(), io.BytesIO(whole[:keep]), JobOutput.objects.none(), should_stop=never)

    assert isinstance(caught.value, Unavailable)


def test_odd_names_and_many_files_of_a_repository_arrive_as_they_are():
    names = ["new\nline", "\udcff\udcfe", "-rf", "x" * 200, "deep/" * 40 + "file", "\u00fc"]
    job = make_job()

    prepare(job, *((name, b"x") for name in names))

    assert sorted(found(job)) == sorted(names)


def test_preparing_stops_when_asked_and_can_be_done_again():
    stored("output/rows.csv", b"rows")
    job = make_job()
    for calls_before_stop in range(7):
        asked = iter([False] * calls_before_stop)
        with pytest.raises(Stopped):
            prepare(job, wanted=JobOutput.objects.current(), should_stop=lambda asked=asked: next(asked, True))

    prepare(job, wanted=JobOutput.objects.current())

    assert found(job)["output/rows.csv"] == b"rows"
    assert os.listdir(storage.high_privacy_workspace("study") / "output") == ["rows.csv"]


def test_a_folder_that_cannot_be_cleared_is_named_for_the_operator(monkeypatch):
    job = make_job()
    monkeypatch.setattr(notes, "remove_tree", lambda path: [path / "stuck"])

    with pytest.raises(StorageUnavailable, match=str(storage.job_folder(job))) as trouble:
        prepare(job)
    assert "stuck" in trouble.value.detail


def test_removing_a_job_takes_the_folders_of_all_its_attempts():
    job = make_job()
    prepare(job)
    job.attempt = 2
    prepare(job)

    left = folder.remove(job)

    assert left == [] and not storage.job_folder(job).parent.exists()


def test_what_a_job_was_given_stays_on_record_beside_its_log():
    row = stored("output/rows.csv", b"rows")
    JobOutput.objects.update(content_hash="c" * 64)
    job = make_job(StatusCode.PREPARING, needs=[row.job.action], started_at=timezone.now())

    prepare(job, wanted=JobOutput.objects.current())
    folder.remove(job)
    JobOutput.objects.update(content_hash="d" * 64, is_current=False)

    given = inputs_of(job, 10)
    assert given.is_recorded
    assert [(each.path, each.sha256, each.job) for each in given.files] == [
        ("output/rows.csv", "c" * 64, row.job.identifier)
    ]
