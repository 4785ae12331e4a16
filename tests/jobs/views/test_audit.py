"""The audit as people look through it and carry it away; and that nobody rewrites it."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from jobs import asking
from jobs.models import AuditEntry, Who
from jobs.people.roles import OPERATOR, VIEWER
from jobs.views.audit import PAGE_SIZE, as_cell
from tests.factories import make_job
from tests.web import client_of

pytestmark = pytest.mark.django_db
ALICE = Who("alice", AuditEntry.Via.DASHBOARD, "10.0.0.1")


def note(verb: str = "cancel", who: Who = ALICE, **columns) -> AuditEntry:
    AuditEntry.note(who, verb, **columns)
    return AuditEntry.objects.first()


def shown(address: str) -> list[int]:
    return [entry.pk for entry in client_of(OPERATOR).get(address).context["entries"]]


def test_an_entry_says_who_what_when_to_what_from_what_to_what_why_and_from_where():
    job = make_job(workspace="diabetes", action="plot")
    asking.cancel([job.identifier], ALICE, "wrong codelist")
    page = client_of(OPERATOR).get("/audit/").content.decode()
    for text in ("alice", "10.0.0.1", "dashboard", "cancel", f'href="/j/{job.identifier}/"', "diabetes: plot",
                 "created", "cancel asked for", "wrong codelist"):  # fmt: skip
        assert text in page, text


@pytest.mark.parametrize(
    "address", ["actor=bob", "verb=switch", "kind=flag", "kind=flag&object=paused", "since=2026-03-02",
                "until=2026-03-02&since=2026-03-02", "actor=bob&verb=switch&kind=flag"],
)  # fmt: skip
def test_the_audit_is_narrowed_by_the_address(address):
    note(object_kind="job", object_id="x", at=datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC))
    wanted = note("switch", Who("bob", "admin"), object_kind="flag", object_id="paused",
                  at=datetime(2026, 3, 2, tzinfo=UTC))  # fmt: skip
    assert shown(f"/audit/?{address}") == [wanted.pk]


def test_a_day_that_is_none_narrows_nothing_and_is_pointed_at():
    entry = note()
    page = client_of(OPERATOR).get("/audit/?since=yesterday")
    assert [each.pk for each in page.context["entries"]] == [entry.pk]
    assert "Enter a valid date" in page.content.decode()
    assert shown("/audit/?until=9999-12-31&before=x") == [entry.pk]


def test_days_without_entries_have_none():
    note(at=datetime(2026, 3, 1, tzinfo=UTC))
    assert shown("/audit/?until=2026-02-01") == shown("/audit/?since=2026-04-01") == []


def test_pages_follow_each_other_without_gap_whatever_is_added_meanwhile():
    pks = [note().pk for _ in range(PAGE_SIZE + 5)]
    client = client_of(OPERATOR)
    first = client.get("/audit/?actor=alice")
    note()
    link = re.search(r'rel="next" href="([^"]*)"', first.content.decode())[1].replace("&amp;", "&")
    assert "actor=alice" in link
    second = client.get(link)
    seen = [entry.pk for page in (first, second) for entry in page.context["entries"]]
    assert seen == pks[::-1]
    assert 'rel="next"' not in second.content.decode()


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "address", ["", "?actor=alice", "?verb=cancel", "?kind=job", "?since=2020-01-01", "?before=99"]
)
def test_no_page_sorts_the_audit_or_reads_more_than_it_shows(address):
    for _ in range(3):
        note(object_kind="job", object_id="x")
    client = client_of(OPERATOR)
    with CaptureQueriesContext(connection) as captured:
        client.get(f"/audit/{address}")
    queries = [query["sql"] for query in captured if 'FROM "jobs_auditentry"' in query["sql"]]
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute("EXPLAIN QUERY PLAN " + query)
            plan = " ".join(row[3] for row in cursor.fetchall())
            assert "TEMP B-TREE" not in plan, plan
            if address.startswith(("?actor", "?verb", "?kind")):
                assert "audit_by_" in plan, plan


def test_a_page_takes_the_same_number_of_queries_however_long_it_is():
    client = client_of(OPERATOR)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get("/audit/")
        return len(captured)

    note()
    few = queries()
    for _ in range(50):
        note()
    assert queries() == few


def exported(form: str, address: str = "") -> str:
    answer = client_of(OPERATOR, name="olive").get(f"/audit/export.{form}{address}")
    assert answer["Content-Disposition"].startswith('attachment; filename="audit-development-')
    return b"".join(answer.streaming_content).decode()


def test_the_export_holds_what_the_filter_finds_and_is_audited_itself():
    note(reason="wanted", at=datetime(2026, 3, 1, tzinfo=UTC))
    note("kill", reason="not wanted")
    rows = list(csv.DictReader(io.StringIO(exported("csv", "?verb=cancel"))))
    assert [(row["actor"], row["reason"], row["at"]) for row in rows] == [
        ("alice", "wanted", "2026-03-01T00:00:00+00:00")
    ]
    newest = AuditEntry.objects.first()
    assert (newest.actor, newest.verb, newest.object_id, newest.after) == ("olive", "export", "csv", "verb=cancel")


def test_the_export_goes_on_beyond_one_piece(monkeypatch):
    monkeypatch.setattr("jobs.views.audit._CHUNK", 2)
    for number in range(5):
        note(reason=str(number))
    assert [row["reason"] for row in json.loads(exported("json", "?verb=cancel"))] == ["4", "3", "2", "1", "0"]
    assert json.loads(exported_nothing()) == []


def exported_nothing() -> str:
    return b"".join(client_of(OPERATOR).get("/audit/export.json?actor=nobody").streaming_content).decode()


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "=cmd|' /C calc'!A0"]
)
def test_no_cell_is_a_formula(text):
    assert as_cell(text)[0] in "'\\"
    note(reason=text)
    cells = next(csv.DictReader(io.StringIO(exported("csv", "?actor=alice"))))
    assert cells["reason"][0] in "'\\"


def test_other_forms_of_export_are_not_there():
    assert client_of(OPERATOR).get("/audit/export.exe").status_code == 404
    assert client_of(VIEWER).get("/audit/export.csv").status_code == 403


def test_what_people_wrote_is_shown_as_text():
    nasty = "<script>alert(1)</script>\u202e"
    note(reason=nasty, before=nasty, after=nasty, label=nasty, object_kind="job", object_id="../../x")
    page = client_of(OPERATOR).get("/audit/").content.decode()
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


@pytest.fixture
def triggers():
    """As migration 0005 makes them; the other tests run without."""
    migration = import_module("jobs.migrations.0005_roles_and_append_only_audit")
    with connection.schema_editor() as editor:
        migration.refuse_changes(None, editor)
    yield
    with connection.schema_editor() as editor:
        migration.allow_changes(None, editor)


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_to_change_or_remove_an_entry(triggers):
    entry = note()
    for change in (
        lambda: AuditEntry.objects.update(actor="mallory"),
        lambda: AuditEntry.objects.all().delete(),
        lambda: AuditEntry.objects.filter(pk=entry.pk).update(at=entry.at - timedelta(days=1)),
        entry.delete,
        lambda: connection.cursor().execute("DELETE FROM jobs_auditentry"),
        lambda: connection.cursor().execute(
            "TRUNCATE jobs_auditentry"
            if connection.vendor == "postgresql"
            else "REPLACE INTO jobs_auditentry SELECT * FROM jobs_auditentry"
        ),
    ):
        with pytest.raises(DatabaseError, match="only ever added to"), transaction.atomic():
            change()
    assert AuditEntry.objects.get().actor == "alice"
    note("kill")
    assert AuditEntry.objects.count() == 2
