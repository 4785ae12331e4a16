"""What a job was given: as it was recorded when it was, and how it is worked out where nothing was recorded."""

import os

import pytest
from django.utils import timezone

from jobs import storage
from jobs.inputs import Input, inputs_of, record
from jobs.models import Job, JobOutput
from jobs.states import StatusCode
from tests.factories import make_job, make_output, make_request

pytestmark = pytest.mark.django_db
C = StatusCode


@pytest.fixture(autouse=True)
def storage_base(settings, tmp_path):
    settings.HIGH_PRIVACY_STORAGE_BASE = tmp_path


def upstream(path: str = "output/rows.csv", **columns) -> JobOutput:
    job = make_job(C.SUCCEEDED, request=make_request(), action="extract")
    return make_output(job, path, **columns)


def given(job: Job, *outputs: JobOutput) -> None:
    path = storage.job_inputs(job)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(record(outputs)))


def downstream(code: StatusCode = C.SUCCEEDED) -> Job:
    began = None if code == C.WAITING_ON_WORKERS else timezone.now()
    return make_job(code, request=make_request(), action="count", needs=["extract"], started_at=began)


def test_what_was_recorded_is_told_whatever_has_been_made_since():
    old = upstream(content_hash="a" * 64, row_count=7)
    job = downstream()
    given(job, old)
    upstream(content_hash="b" * 64)
    found = inputs_of(job, 10)
    assert found.is_recorded and not found.is_cut
    assert found.files == [Input("output/rows.csv", "a" * 64, 7, "extract", old.job.identifier)]


def test_without_a_record_it_is_worked_out_and_said_so():
    made = upstream()
    found = inputs_of(downstream(), 10)
    assert not found.is_recorded
    assert [each.job for each in found.files] == [made.job.identifier]


def test_a_job_that_has_not_begun_is_not_told_what_an_earlier_life_was_given():
    job = downstream(C.WAITING_ON_WORKERS)
    given(job, upstream("old.csv"))
    newest = upstream("new.csv")
    JobOutput.objects.exclude(pk=newest.pk).update(is_current=False)
    found = inputs_of(job, 10)
    assert not found.is_recorded and [each.path for each in found.files] == ["new.csv"]


def test_a_job_that_needs_nothing_is_known_to_have_got_nothing():
    upstream()
    assert inputs_of(make_job(C.SUCCEEDED), 10).files == []


def test_a_job_whose_needed_actions_made_nothing_is_told_so():
    job = downstream()
    given(job)
    upstream()
    found = inputs_of(job, 10)
    assert found.is_recorded and found.files == []


def test_only_so_many_files_are_read_and_that_is_said():
    job = downstream()
    given(job, *[upstream(f"output/{number}.csv") for number in range(4)])
    found = inputs_of(job, 3)
    assert [each.path for each in found.files] == ["output/0.csv", "output/1.csv", "output/2.csv"] and found.is_cut
    assert not inputs_of(job, 4).is_cut


@pytest.mark.parametrize(
    "content",
    [
        b"[",
        b"{}\n",
        b"3\n",
        b'["p", "h", 1, "a"]\n',
        b'["p", "h", "1", "a", "j"]\n',
        b'["p", 5, 1, "a", "j"]\n',
        b'["p", "h", 1, "a", "../../x"]\n',
        b'["p", "h", 1, "a", ""]\n',
        b"\xff\xfe\n",
        b"[" * 70_000,
    ],
)
def test_a_damaged_record_is_no_record(content):
    job = downstream()
    given(job)
    storage.job_inputs(job).write_bytes(content)
    made = upstream()
    job.started_at = made.job.completed_at
    found = inputs_of(job, 10)
    assert not found.is_recorded and [each.path for each in found.files] == ["output/rows.csv"]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_no_record(kind, tmp_path):
    job = downstream()
    given(job, upstream())
    path = storage.job_inputs(job)
    (tmp_path / "secret").write_bytes(path.read_bytes())
    path.unlink()
    make = {"link": lambda: path.symlink_to(tmp_path / "secret"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}
    make[kind]()
    assert not inputs_of(job, 10).is_recorded


def test_a_job_that_ended_before_it_began_was_given_nothing():
    upstream()
    job = make_job(C.CANCELLED_BY_USER, action="count", needs=["extract"])
    assert inputs_of(job, 10).files == []


def test_hostile_names_of_files_are_kept_as_they_are():
    name = 'output/\n"][\u202e\u2028.csv'
    job = downstream()
    given(job, upstream(name))
    assert [each.path for each in inputs_of(job, 10).files] == [name]
