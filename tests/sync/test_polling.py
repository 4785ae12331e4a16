"""One poll: what is listed becomes rows, once; cancellations are passed on; nothing is undone for not being listed."""

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Delivery, Job, JobRequest
from jobs.states import StatusCode
from sync import polling
from sync.job_server import JobServerError
from sync.polling import poll
from tests.factories import make_job
from tests.fakes import faults, spoiled
from tests.fakes.messages import json_answer

pytestmark = pytest.mark.django_db


def listing(change):
    """A fault: the list of results is another one."""

    def altered(received, act):
        page = act().json
        return json_answer(200, page | {"results": change(page["results"])})

    return altered


WRITES = ("INSERT", "UPDATE", "DELETE", "SAVEPOINT")


def queries_of(action) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        action()
    return [each["sql"] for each in captured.captured_queries]


def writes_of(action) -> list[str]:
    return [sql for sql in queries_of(action) if sql.startswith(WRITES)]


def test_a_listed_request_becomes_a_row_that_waits_with_all_that_it_carries(fake, server):
    identifier = fake.add_request(
        actions=["count", "extract"],
        workspace="w",
        commit="a" * 40,
        branch="main",
        created_by="bob",
        project="p",
        orgs=["o1", "o2"],
        codelists_ok=False,
        force_run_dependencies=True,
    ).identifier

    assert poll(server).new == 1

    request = JobRequest.objects.get(identifier=identifier)
    assert (request.source, request.outcome, request.backend) == ("polling", "waiting", fake.backend)
    assert (request.workspace, request.commit, request.branch) == ("w", "a" * 40, "main")
    assert (request.created_by, request.project, request.orgs) == ("bob", "p", ["o1", "o2"])
    assert (request.requested_actions, request.database_name) == (["count", "extract"], "default")
    assert (request.codelists_ok, request.force_run_dependencies) == (False, True)
    assert request.original["identifier"] == identifier
    assert request.delivery.is_listed and not request.delivery.settled


def test_what_is_known_already_costs_no_write(fake, server):
    for _ in range(3):
        fake.add_request()
    poll(server)
    assert writes_of(lambda: poll(server)) == []


def test_the_number_of_queries_does_not_grow_with_the_requests(fake, server):
    fake.add_request()
    poll(server)
    few = len(queries_of(lambda: poll(server)))
    for _ in range(150):
        fake.add_request()
    poll(server)
    assert len(queries_of(lambda: poll(server))) == few


def test_requests_of_other_backends_are_left_alone(fake, server):
    ours = fake.add_request().identifier
    foreign = [{"identifier": "a", "backend": "tpp"}, {"identifier": "b"}]
    fake.fault(listing(lambda results: foreign + results), on="GET")
    poll(server)
    assert list(JobRequest.objects.values_list("identifier", flat=True)) == [ours]


def test_one_malformed_result_does_not_cost_the_others(fake, server):
    identifiers = {fake.add_request().identifier for _ in range(3)}
    broken = [{"identifier": 7, "backend": fake.backend}, "x", None, {}, {"identifier": "", "backend": fake.backend}]
    fake.fault(listing(lambda results: [*broken, results[0], *broken, *results[1:]]), on="GET")
    found = poll(server)
    assert set(JobRequest.objects.waiting().values_list("identifier", flat=True)) == identifiers
    assert found.unusable


def test_a_request_without_a_commit_is_refused_and_will_be_told_so(fake, server):
    identifier = fake.add_request(commit="").identifier
    poll(server)
    request = JobRequest.objects.get(identifier=identifier)
    assert request.outcome == JobRequest.Outcome.REFUSED
    assert "sha is missing" in request.outcome_message
    assert Delivery.objects.unsettled().get().request == request


def test_more_requests_than_a_page_holds_all_arrive(fake, server, monkeypatch):
    monkeypatch.setattr(polling, "PAGE", 10)
    identifiers = {fake.add_request().identifier for _ in range(35)}
    assert poll(server).listed == identifiers
    assert JobRequest.objects.count() == 35
    assert len(fake.journal.gets) == 4


def test_a_server_that_sends_fewer_than_it_was_asked_for_is_read_to_the_end(fake, server):
    identifiers = {fake.add_request().identifier for _ in range(25)}
    fake.fault(listing(lambda results: results[:10]), on="GET")
    assert poll(server).listed == identifiers


def test_pages_are_smaller_where_they_are_too_large(fake, server, monkeypatch):
    monkeypatch.setattr("sync.job_server.MOST_PAGE_BYTES", 20_000)
    for _ in range(100):
        fake.add_request()
    poll(server)
    assert JobRequest.objects.count() == 100


def test_a_giant_request_is_stepped_over_and_costs_no_other(fake, server, monkeypatch):
    monkeypatch.setattr("sync.job_server.MOST_PAGE_BYTES", 20_000)
    before = {fake.add_request().identifier for _ in range(15)}
    giant = fake.add_request(actions=["x" * 30_000]).identifier
    after = {fake.add_request().identifier for _ in range(15)}
    found = poll(server)
    assert found.listed == before | after
    assert "too large to be read" in found.unusable[0]
    assert not found.is_complete, "so nothing is said of those that were not seen"
    assert giant not in found.listed


def test_a_server_that_sends_too_much_whatever_it_is_asked_for_is_an_error(fake, server, monkeypatch):
    monkeypatch.setattr("sync.job_server.MOST_PAGE_BYTES", 100)
    fake.fault(lambda received, act: json_answer(200, {"results": ["x" * 1000], "count": 10**9}), on="GET")
    with pytest.raises(JobServerError, match="larger than"):
        poll(server)


def test_a_server_that_sends_more_than_it_was_asked_for_is_not_read_on(fake, server, monkeypatch):
    monkeypatch.setattr(polling, "PAGE", 10)
    monkeypatch.setattr(polling, "STORED_TOGETHER", 5)
    for _ in range(5):
        fake.add_request()
    fake.fault(listing(lambda results: results * 20), on="GET")
    assert not poll(server).is_complete
    assert len(fake.journal.gets) == 1


def test_sentences_about_unusable_results_are_bounded(fake, server):
    fake.fault(listing(lambda results: [{}] * 500), on="GET")
    fake.add_request(backend=fake.backend)
    assert len(poll(server).unusable) <= polling.MOST_UNUSABLE


def test_a_list_without_an_end_is_cut(fake, server, monkeypatch):
    monkeypatch.setattr(polling, "PAGE", 10)
    monkeypatch.setattr(polling, "MOST_LISTED", 20)
    for _ in range(35):
        fake.add_request()
    assert not poll(server).is_complete
    assert JobRequest.objects.count() == 20


def test_a_server_that_does_not_say_how_many_there_are_is_asked_until_a_page_is_short(fake, server, monkeypatch):
    monkeypatch.setattr(polling, "PAGE", 10)
    for _ in range(25):
        fake.add_request()

    def without_count(received, act):
        return json_answer(200, {"results": act().json["results"]})

    fake.fault(without_count, on="GET")
    assert len(poll(server).listed) == 25
    assert len(fake.journal.gets) == 3


def test_the_pages_before_the_one_that_failed_are_kept(fake, server, monkeypatch):
    monkeypatch.setattr(polling, "PAGE", 10)
    for _ in range(15):
        fake.add_request()
    fake.fault(faults.status(500), on="GET", when=lambda received: received.query["offset"] == "10")
    with pytest.raises(JobServerError):
        poll(server)
    assert JobRequest.objects.count() == 10


def test_the_flags_header_is_sent_with_every_poll(fake, server):
    poll(server)
    assert '"mode"' in fake.journal.gets[0].headers["flags"]
    assert fake.journal.complaints() == []


def test_a_request_that_the_database_refuses_does_not_cost_the_others(fake, server, monkeypatch, caplog):
    """As PostgreSQL does with what it cannot store; SQLite takes nearly everything."""
    real = type(JobRequest.objects.all()).bulk_create

    def refuses(self, rows, **options):
        if any(row.workspace == "poison" for row in rows):
            raise DataError("value too long")
        return real(self, rows, **options)

    monkeypatch.setattr(type(JobRequest.objects.all()), "bulk_create", refuses)
    good = [fake.add_request().identifier for _ in range(2)]
    fake.add_request(workspace="poison")
    good.append(fake.add_request().identifier)
    found = poll(server)
    assert [request.identifier for request in JobRequest.objects.waiting()] == good
    assert "cannot be stored" in found.unusable[0]


# --- cancellation (§1.5)


def jobs_of(identifier: str, **codes: StatusCode) -> JobRequest:
    request = JobRequest.objects.get(identifier=identifier)
    for action, code in codes.items():
        make_job(code, request=request, action=action)
    request.outcome = JobRequest.Outcome.PLANNED
    request.save()
    return request


def cancelled(request: JobRequest) -> set[str]:
    return set(request.jobs.stop_requested().values_list("action", flat=True))


def test_a_cancellation_reaches_the_named_active_jobs_only(fake, server):
    identifier = fake.add_request(actions=["a", "b", "c"]).identifier
    poll(server)
    request = jobs_of(identifier, a=StatusCode.EXECUTING, b=StatusCode.CREATED, c=StatusCode.SUCCEEDED)
    fake.cancel(identifier, ["a", "a", "c", "unknown"])
    poll(server)
    assert cancelled(request) == {"a"}
    job = Job.objects.get(action="a")
    assert (job.stop_requested_by, job.stop_reason) == ("job-server", "Cancelled on the job-server.")


def test_what_was_cancelled_once_stays_cancelled_when_it_is_no_longer_named(fake, server):
    identifier = fake.add_request(actions=["a", "b"]).identifier
    poll(server)
    request = jobs_of(identifier, a=StatusCode.EXECUTING, b=StatusCode.EXECUTING)
    fake.cancel(identifier, ["a"])
    poll(server)
    fake.requests[identifier].cancelled_actions[:] = ["b"]
    poll(server)
    request.refresh_from_db()
    assert request.cancelled_actions == ["a", "b"]
    assert cancelled(request) == {"a", "b"}


def test_a_cancellation_before_there_are_jobs_is_kept_for_planning(fake, server):
    identifier = fake.add_request(actions=["a", "b"]).identifier
    poll(server)
    fake.cancel(identifier, ["b"])
    poll(server)
    assert JobRequest.objects.get(identifier=identifier).cancelled_actions == ["b"]


def test_a_cancellation_that_is_known_costs_no_write(fake, server):
    identifier = fake.add_request(actions=["a"]).identifier
    fake.cancel(identifier, ["a", "a"])
    poll(server)
    assert writes_of(lambda: poll(server)) == []


def test_very_many_names_are_refused_for_a_new_request_and_cut_for_a_cancellation(fake, server):
    """A query takes only so many values, and one request must not end every poll."""
    identifier = fake.add_request(actions=["a"]).identifier
    poll(server)
    request = jobs_of(identifier, a=StatusCode.EXECUTING)
    names = ["a", *(f"a{number}" for number in range(250_001))]
    fake.requests[identifier].cancelled_actions[:] = names
    new = fake.add_request(actions=names).identifier
    poll(server)
    assert cancelled(request) == {"a"}
    assert "requested_actions has more than" in JobRequest.objects.get(identifier=new).outcome_message


def test_a_cancellation_that_the_database_refuses_does_not_cost_the_others(fake, server, monkeypatch, caplog):
    requests = [fake.add_request(actions=["a"]).identifier for _ in range(3)]
    poll(server)
    for identifier in requests:
        jobs_of(identifier, a=StatusCode.EXECUTING)
        fake.cancel(identifier, ["a"])
    real = JobRequest.ask_to_cancel

    def refuses(self, actions, by):
        if self.identifier == requests[1]:
            raise IntegrityError("FOREIGN KEY constraint failed")
        return real(self, actions, by)

    monkeypatch.setattr(JobRequest, "ask_to_cancel", refuses)
    assert "cancellation" in poll(server).unusable[0]
    assert Job.objects.stop_requested().count() == 2


# --- being listed


def test_what_is_no_longer_listed_goes_on(fake, server):
    identifier = fake.add_request(actions=["a"]).identifier
    poll(server)
    request = jobs_of(identifier, a=StatusCode.EXECUTING)
    fake.hide(identifier)
    poll(server)
    request.refresh_from_db()
    assert not request.delivery.is_listed
    assert not request.jobs.stop_requested().exists()
    assert Delivery.objects.unsettled().count() == 1


def test_what_is_listed_again_is_told_again(fake, server):
    identifier = fake.add_request(actions=["a"]).identifier
    poll(server)
    fake.hide(identifier)
    poll(server)
    Delivery.objects.update(acknowledged="x", settled=True, is_unknown=True)
    fake.reveal(identifier)
    poll(server)
    delivery = Delivery.objects.get()
    assert (delivery.is_listed, delivery.acknowledged, delivery.settled) == (True, "", False)
    assert not delivery.is_unknown


def test_an_incomplete_list_says_nothing_of_those_that_are_missing(fake, server, monkeypatch):
    monkeypatch.setattr(polling, "PAGE", 10)
    for _ in range(15):
        fake.add_request()
    poll(server)
    fake.fault(faults.status(502, "html"), on="GET", when=lambda received: received.query["offset"] == "10")
    with pytest.raises(JobServerError):
        poll(server)
    assert Delivery.objects.listed().count() == 15


def test_a_list_with_a_gap_says_nothing_of_those_that_are_missing(fake, server, monkeypatch):
    identifier = fake.add_request().identifier
    poll(server)
    monkeypatch.setattr("sync.job_server.MOST_PAGE_BYTES", 20_000)
    fake.requests[identifier].requested_actions[:] = ["x" * 30_000]
    assert poll(server).listed == set()
    assert Delivery.objects.listed().count() == 1


def test_a_list_that_was_cut_says_nothing_of_those_that_are_missing(fake, server, monkeypatch):
    monkeypatch.setattr(polling, "PAGE", 10)
    for _ in range(25):
        fake.add_request()
    poll(server)
    monkeypatch.setattr(polling, "MOST_LISTED", 10)
    assert len(poll(server).listed) == 10
    assert Delivery.objects.listed().count() == 25


def test_a_request_that_came_by_the_rap_api_is_the_same_when_it_is_polled(fake, server):
    identifier = fake.add_request(actions=["a"]).identifier
    JobRequest.objects.create(identifier=identifier, source="rap_api", backend=fake.backend, workspace="w")
    poll(server)
    request = JobRequest.objects.get()
    assert request.source == "rap_api"
    assert request.delivery.is_listed


def test_of_the_same_request_twice_in_a_list_one_row_is_made(fake, server):
    fake.add_request()
    fake.fault(listing(lambda results: results * 3), on="GET")
    assert poll(server).new == 1


def test_the_oldest_request_waits_first_whatever_the_order_of_the_list(fake, server):
    first = fake.add_request().identifier
    second = fake.add_request().identifier
    fake.fault(listing(lambda results: results[::-1]), on="GET")
    poll(server)
    assert [request.identifier for request in JobRequest.objects.waiting()] == [first, second]


# --- poison


def adding(text: str):
    """A fault: every result has this, too."""
    return spoiled.changed_text(lambda page: page.replace('"backend"', f'{text}, "backend"'))


@pytest.mark.parametrize("depth", [49, 51, 500, *range(900, 1000, 12)])
def test_an_unknown_key_may_be_nested_as_deeply_as_can_be_read(fake, server, depth):
    """Where reading just succeeds, writing the row, from deeper down the stack, did not."""
    fake.add_request()
    fake.fault(adding('"deep": ' + "[" * depth + "]" * depth), on="GET")
    try:
        assert poll(server).unusable == []
    except JobServerError as error:
        assert depth > 500 and "broken JSON" in str(error)
    else:
        assert JobRequest.objects.get().is_waiting


def test_a_number_that_is_too_large_for_json_does_not_cost_its_request(fake, server):
    fake.add_request()
    fake.fault(adding('"large": [1e999, -1e999]'), on="GET")
    assert poll(server).unusable == []
    assert JobRequest.objects.get().original["large"] == ["inf", "-inf"]


def test_a_row_that_the_database_does_not_take_costs_no_other_row(fake, server, monkeypatch):
    good, bad, also_good = (fake.add_request().identifier for _ in range(3))
    read = polling.request_from_remote

    def spoil(result, backend):
        request = read(result, backend)
        if request.identifier == bad:
            request.branch = "\ud800"  # as if a check had been forgotten
        return request

    monkeypatch.setattr(polling, "request_from_remote", spoil)
    assert poll(server).unusable == [f"{bad} cannot be stored"]
    assert set(JobRequest.objects.values_list("identifier", flat=True)) == {good, also_good}
    assert Delivery.objects.count() == 2


def test_a_request_is_stored_with_its_delivery_or_not_at_all(fake, server, monkeypatch):
    """Without one nobody would be told of it, should the server not list it again."""
    fake.add_request()

    def locked(self, request_pks):
        raise OperationalError("database is locked")

    monkeypatch.setattr(type(Delivery.objects.all()), "begin", locked)
    with pytest.raises(OperationalError):
        poll(server)
    assert not JobRequest.objects.exists()
