"""Rules of preparing a job's folder: what the container finds, and what it can never reach."""

import io
import os
import tarfile
import threading
from pathlib import Path

import pytest

from jobs import storage
from jobs.errors import JobError, Unavailable
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner import plan as plans
from runner.workspaces import folder, inputs
from runner.workspaces.code import CodeUnreadable
from runner.workspaces.files import Stopped, StorageUnavailable
from runner.workspaces.inputs import InputChanged
from runner.workspaces.lock import publishing_lock
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def never() -> bool:
    return False


def tar(*members: tuple) -> io.BytesIO:
    """(name, content) is a file; a third item is a dictionary of TarInfo attributes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, *attributes in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in (attributes[0] if attributes else {}).items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    stream.seek(0)
    return stream


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple:
    return (name, b"", {"type": kind, "linkname": target})


CODE = (
    ("analysis/", b"", {"type": tarfile.DIRTYPE}),
    ("analysis/table.py", b"print()", {"mode": 0o755}),
    ("a.txt", b"a"),
)


def prepare(job, *members, wanted=None, should_stop=never) -> list[str]:
    rows = JobOutput.objects.none() if wanted is None else wanted
    return folder.prepare(job, tar(*(members or CODE)), rows, should_stop=should_stop)


def stored(path: str, content: bytes) -> JobOutput:
    """An output that the action `make_rows` has published in the workspace."""
    file = storage.high_privacy_workspace("study") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    status = file.stat()
    job = make_job(StatusCode.SUCCEEDED, action=f"make_{path.replace('/', '_')}")
    return JobOutput.objects.create(
        job=job, path=path, level="highly_sensitive", size=status.st_size, modified_ns=status.st_mtime_ns
    )


def found(job) -> dict[str, bytes]:
    root = storage.job_workspace(job)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_job_finds_code_inputs_and_folders_for_its_outputs():
    stored("output/rows.csv", b"rows")
    job = make_job(output_spec={"highly_sensitive": {"x": "results/deep/x.csv", "y": "out*/y.csv"}})

    notes = prepare(job, wanted=JobOutput.objects.current())

    assert found(job) == {"analysis/table.py": b"print()", "a.txt": b"a", "output/rows.csv": b"rows"}
    assert (storage.job_workspace(job) / "results" / "deep").is_dir()
    assert notes == folder.notes(job) == []
    assert folder.prepared_at_ns(job) > 0


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
    (storage.job_folder(job) / "inputs").mkdir()
    (storage.job_folder(job) / "inputs" / "0").write_text("x")

    prepare(job)

    assert found(job) == {"analysis/table.py": b"print()", "a.txt": b"a"}
    assert sorted(os.listdir(storage.job_folder(job))) == ["prepared.json", "workspace"]


def test_a_symbolic_link_of_the_repository_becomes_a_plain_file_and_is_noted(tmp_path):
    (tmp_path / "medium").mkdir()
    job = make_job(output_spec={"highly_sensitive": {"x": "output/x.csv"}})

    notes = prepare(job, link("output", str(tmp_path / "medium")), link("etc", "/etc"), ("a.txt", b"a"))

    assert found(job) == {"output": str(tmp_path / "medium").encode(), "etc": b"/etc", "a.txt": b"a"}
    assert "output is a symbolic link in the repository" in notes[0]


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
    assert not (storage.job_folder(job) / "inputs").exists()


def test_inputs_are_copied_where_hard_links_are_impossible(monkeypatch):
    monkeypatch.setattr(inputs, "link_descriptor", lambda *arguments: False)
    stored("output/rows.csv", b"rows")
    job = make_job()

    prepare(job, wanted=JobOutput.objects.current())

    assert found(job)["output/rows.csv"] == b"rows"
    assert (storage.job_workspace(job) / "output" / "rows.csv").stat().st_nlink == 1


def test_inputs_wait_for_a_publication_and_are_read_after_it():
    """Rows and files are of one moment, however the step was timed."""
    stored("output/rows.csv", b"old")
    job = make_job()
    wanted = JobOutput.objects.current()
    with publishing_lock("study"):
        waiting = threading.Thread(target=lambda: wait_for_lock(entered))
        entered: list[int] = []
        waiting.start()
        JobOutput.objects.all().delete()
        stored("output/rows.csv", b"new content")
        assert entered == []
    waiting.join()

    prepare(job, wanted=wanted)

    assert found(job)["output/rows.csv"] == b"new content"


def wait_for_lock(entered: list[int]) -> None:
    with publishing_lock("study"):
        entered.append(1)


def changed(path: Path) -> None:
    path.write_bytes(b"edited by hand")


def removed(path: Path) -> None:
    path.unlink()


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("spoil", [changed, removed, linked])
def test_an_input_that_is_not_as_it_was_published_fails_the_job_and_says_what_to_run(spoil):
    row = stored("output/rows.csv", b"rows")
    spoil(storage.high_privacy_workspace("study") / "output" / "rows.csv")
    job = make_job()

    with pytest.raises(JobError, match=f"Run {row.job.action} again") as refused:
        prepare(job, wanted=JobOutput.objects.current())

    assert "output/rows.csv" in refused.value.detail
    assert "rows.csv" not in str(refused.value).replace(row.job.action, ""), "file names never go to the job-server"


def test_an_input_of_an_interrupted_publication_is_waited_for():
    row = stored("output/rows.csv", b"rows")
    changed(storage.high_privacy_workspace("study") / "output" / "rows.csv")
    plans.make_staging(plans.high_staging(row.job))
    (plans.high_staging(row.job) / "plan.json").write_text("{}")

    with pytest.raises(InputChanged):
        prepare(make_job(), wanted=JobOutput.objects.current())


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
    monkeypatch.setattr(folder, "remove_tree", lambda path: [path / "stuck"])

    with pytest.raises(StorageUnavailable, match="stuck"):
        prepare(job)


def test_removing_a_job_takes_the_folders_of_all_its_attempts():
    job = make_job()
    prepare(job)
    job.attempt = 2
    prepare(job)

    left = folder.remove(job)

    assert left == [] and not storage.job_folder(job).parent.exists()
