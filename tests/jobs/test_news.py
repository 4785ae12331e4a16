"""PostgreSQL tells of committed changes, whoever makes them; what cannot be told only costs time."""

import time

import pytest
from django.db import connection, transaction

from jobs.models import Flag, Heartbeat, Job
from jobs.states import StatusCode
from jobs.wake import Wake
from tests.databases import address_of
from tests.factories import make_job
from tests.site import wait_until
from tests.threads import in_another_thread

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql_only]

LONG, SHORT = 20.0, 0.3


@pytest.fixture
def wake():
    made = Wake()
    made.begin()
    yield made
    made.close()


def pause(wake: Wake, seconds: float) -> float:
    began = time.monotonic()
    wake.wait(seconds)
    return time.monotonic() - began


def by_hand(sql: str) -> None:
    """As somebody does at psql."""
    import psycopg

    with psycopg.connect(address_of(connection.settings_dict["NAME"]), autocommit=True) as session:
        session.execute(sql)


def test_what_somebody_changes_by_hand_wakes(wake):
    job = make_job()
    assert pause(wake, SHORT) >= SHORT  # this connection's own
    by_hand(f"UPDATE jobs_job SET status_message = 'x' WHERE id = {job.pk}")
    assert pause(wake, LONG) < LONG / 2


def test_a_statement_that_changes_nothing_wakes_nobody(wake):
    """Two loops that look for something to do would wake each other for ever."""
    in_another_thread(lambda: Job.objects.filter(status_code=StatusCode.PAUSED).update(status_message="x"))
    assert pause(wake, SHORT) >= SHORT


def test_signs_of_life_wake_nobody(wake):
    in_another_thread(lambda: Heartbeat.beat("sync"))
    assert pause(wake, SHORT) >= SHORT


def test_what_is_not_committed_wakes_nobody(wake):
    def change_and_think_better_of_it() -> None:
        with transaction.atomic():
            Flag.switch("paused", "on", by="olive", reason="x")
            transaction.set_rollback(True)

    in_another_thread(change_and_think_better_of_it)
    assert pause(wake, SHORT) >= SHORT


def test_a_listener_whose_connection_is_ended_comes_back_and_has_the_loop_look(wake, caplog):
    def listeners() -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND datname = current_database()"
            )
            return [pid for (pid,) in cursor.fetchall()]

    (pid,) = wait_until(listeners, what="the listener")
    by_hand(f"SELECT pg_terminate_backend({pid})")
    assert pause(wake, LONG) < LONG / 2  # nobody knows what was missed
    wait_until(lambda: [other for other in listeners() if other != pid], what="another listener")
    by_hand("INSERT INTO jobs_flag (name, value, set_by, reason, set_at) VALUES ('paused', '', 'a', 'b', now())")
    assert pause(wake, LONG) < LONG / 2
    assert "does not tell of changes now" in caplog.text


def test_a_loop_that_has_ended_listens_no_more(wake):
    wake.close()
    import threading

    assert not [thread for thread in threading.enumerate() if thread.name == "news"]
