"""A PostgreSQL that takes no writes, such as the old server after a failover: no job fails, and it is waited for."""

import os

import psycopg
import pytest
from django.core.management import CommandError
from django.db import InternalError, OperationalError, connection

from jobs import lock, session_lock
from jobs.service import Stop, is_passing, run_forever
from tests.databases import PostgresqlDatabase, address_of
from tests.factories import make_job
from tests.site import Site, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql_only]

READ_ONLY = "SET default_transaction_read_only = on"


@pytest.fixture
def read_only():
    with connection.cursor() as cursor:
        cursor.execute(READ_ONLY)
    yield
    connection.close()


def test_a_refused_write_says_that_the_database_does_not_take_it_now(read_only):
    with pytest.raises(OperationalError, match="read-only transaction") as refused:
        make_job()
    assert is_passing(refused.value)


def test_our_own_mistakes_stay_what_they_are():
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        with pytest.raises(Exception, match="does not exist"):
            cursor.execute("SELECT 1 FROM nowhere")
        with pytest.raises(InternalError, match="current transaction is aborted"):
            cursor.execute("SELECT 1")
        cursor.execute("ROLLBACK")


@pytest.mark.parametrize("state", ["25006", "25P03", "XX000"])
def test_what_the_server_gives_up_by_itself_is_no_bug_of_ours(state):
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$"
    with connection.cursor() as cursor, pytest.raises(OperationalError):
        cursor.execute(raising)


def test_the_next_turn_has_a_connection_of_its_own(read_only, caplog):
    """The name may lead to the server that has taken over by then."""
    turns = []

    def turn() -> bool:
        turns.append(True)
        make_job()
        return len(turns) < 3

    run_forever(turn, lambda: None, Stop())
    assert len(turns) == 3
    assert "waiting for the database: cannot execute" in caplog.text and "answers again" in caplog.text


@pytest.mark.slow_test
def test_a_start_on_a_server_that_takes_no_writes_is_one_sentence(tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as site:
        name = site.database.name
        site.change(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        for command, code in ((["run"], 1), (["sync", "--plan-only"], 1), (["status"], 2)):
            said = site.manage(*command, expect=code)
            assert "The database does not answer: " in said and "read-only" in said and "Traceback" not in said
        with psycopg.connect(address_of("postgres"), autocommit=True) as server:
            server.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        process = site.start("run")
        wait_until(lambda: site.query("SELECT 1 FROM jobs_heartbeat"), what="the runner")
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.slow_test
def test_no_server_is_one_sentence_for_every_command(tmp_path):
    site = Site(tmp_path, EXECUTOR="fake", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    for command, code in ((["migrate"], 1), (["run"], 1), (["status"], 2), (["copy_database"], 1)):
        (tmp_path / "workdir").mkdir(exist_ok=True)
        (tmp_path / "workdir" / "db.sqlite3").touch()
        said = site.manage(*command, expect=code)
        assert "The database does not answer: " in said and "Traceback" not in said
    said = site.manage("doctor", "database", expect=2)
    assert "does not answer: connection failed" in said and "DATABASE_URL leads to it" in said


def test_a_server_that_refuses_the_connection_of_the_lock_is_one_sentence(settings, monkeypatch):
    """It took the first connection and not the second one: full, or just restarting."""
    database = PostgresqlDatabase(empty=True)

    def parameters() -> dict:
        return psycopg.conninfo.conninfo_to_dict(database.address) | {"options": "-c nosuch.thing", "user": "nobody"}

    monkeypatch.setattr(session_lock.connection, "get_connection_params", parameters)
    settings.WORK_DIR.mkdir(exist_ok=True)
    with pytest.raises(CommandError, match="The database does not answer: ") as said, lock.only_one("run", "x"):
        pass
    assert os.linesep not in str(said.value)
    database.drop()
