"""Storing new jobs: drafts made before, rows in one go, and nothing that `bulk_create` would have kept is lost."""

import pytest

from jobs.models import InvalidTransition, Job, StatusChange
from jobs.models.job import job_identifier
from jobs.models.new_jobs import Beginning, Draft, store
from jobs.states import State
from tests.factories import make_job, make_request

pytestmark = pytest.mark.django_db

CREATED = Beginning("created", "Waiting for the runner.")


def a_job(action: str = "report", **columns) -> Job:
    columns = {"identifier": job_identifier("abc", action), "backend": "tpp", "workspace": "study", **columns}
    return Job(action=action, **columns)


def test_a_stored_job_has_every_column_of_its_draft():
    """Each kind of column: text, lists, dictionaries, yes or no, numbers, what has a default and what is empty."""
    job = a_job(
        run_command="r:v1 'é \"%s\"'",
        image="r:v1",
        arguments=['é "%s"', "%(x)s", ""],
        output_spec={"highly_sensitive": {"rows": "output/*.csv"}},
        needs=[],
        requires_db=True,
        metrics={"peak": 1.5},
    )
    store(make_request(), [(Draft(job), CREATED)], {}, by="alice")

    found = Job.objects.get()
    given = {field.name: getattr(job, field.name) for field in Job._meta.concrete_fields if not field.is_relation}
    added = ("id", "status_code", "status_message", "state", "created_at", "updated_at", "status_changed_at")
    assert {name: getattr(found, name) for name in given if name not in added} == {
        name: value for name, value in given.items() if name not in added
    }


def test_jobs_begin_pending_with_the_first_line_of_their_timeline_all_at_one_moment():
    store(make_request(), [(Draft(a_job()), CREATED)], {}, by="alice")

    job, line = Job.objects.get(), StatusChange.objects.get()
    assert (job.state, job.status_code, job.status_message) == (State.PENDING, "created", "Waiting for the runner.")
    assert job.created_at == job.updated_at == job.status_changed_at == line.at
    assert (line.job, line.from_code, line.to_code, line.message, line.actor, line.attempt) == (
        job,
        "",
        "created",
        "Waiting for the runner.",
        "alice",
        1,
    )


def test_jobs_wait_for_new_and_for_older_ones_and_are_stored_in_the_given_order():
    older = make_job(action="extract")
    new = [a_job("table", needs=["extract"]), a_job("a_figure", needs=["extract", "table"])]

    store(make_request(), [(Draft(job), CREATED) for job in new], {"extract": older.pk}, by="alice")

    table, figure = Job.objects.exclude(pk=older.pk).order_by("pk")
    assert (table.action, figure.action) == ("table", "a_figure")
    assert set(table.waits_for.all()) == {older}
    assert set(figure.waits_for.all()) == {older, table}


def test_no_job_begins_in_the_middle():
    with pytest.raises(InvalidTransition, match="cannot begin as executed"):
        store(make_request(), [(Draft(a_job()), Beginning("executed", ""))], {}, by="alice")
    assert not Job.objects.exists()


def test_a_job_that_its_request_rules_out_is_over_from_the_start():
    store(make_request(), [(Draft(a_job()), Beginning("stale_codelists", "Out of date."))], {}, by="alice")

    job, line = Job.objects.get(), StatusChange.objects.get()
    assert (job.state, job.status_code, job.completed_at) == (State.FAILED, "stale_codelists", job.created_at)
    assert (line.from_code, line.to_code, line.message) == ("", "stale_codelists", "Out of date.")
