"""The rows of a publication: all of them or an error, whatever an earlier try has left."""

import pytest
from django.db import IntegrityError

from jobs.models import JobOutput
from runner import publishing
from tests.publication import finalize, high, job_with, leave, publish

pytestmark = pytest.mark.django_db


def test_a_row_that_the_database_refuses_is_never_dropped_without_a_word(monkeypatch):
    make = publishing._row

    def wrong(job, entry):
        row = make(job, entry)
        row.size = -1
        return row

    monkeypatch.setattr(publishing, "_row", wrong)

    with pytest.raises(IntegrityError):
        publish(job_with(), {"output/table.csv": b"x"})


def test_rows_that_an_earlier_try_has_left_become_those_of_this_one():
    job = job_with()
    stale = {"level": "highly_sensitive", "size": 5, "modified_ns": 1, "content_hash": "0" * 64, "is_current": False}
    for path in ("output/table.csv", "output/other.csv"):
        JobOutput.objects.create(job=job, path=path, **stale)
    high().mkdir(parents=True)
    leave(job, {"output/table.csv": b"x"})

    plan = finalize(job)

    row = JobOutput.objects.get()
    assert (row.path, row.is_current) == ("output/table.csv", True)
    assert (row.size, row.content_hash) == (1, plan.entries[0].content_hash)
