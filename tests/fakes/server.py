"""The fake job-server as tests hold it in their hands.

with FakeJobServer(era="2025-05") as server:
    request = server.add_request(actions=["make_table"])
    ...  # a runner polls server.url with server.token
    assert server.jobs(request.identifier)[0]["status"] == "succeeded"
    assert server.journal.complaints() == []
"""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Self

from tests.fakes.answers import answer_to
from tests.fakes.eras import ERAS, NEWEST
from tests.fakes.faults import Change, Fault, Faults, When
from tests.fakes.journal import Journal
from tests.fakes.messages import Answer, Received
from tests.fakes.rap_client import RapClient
from tests.fakes.store import UNFINISHED, Store, StoredRequest
from tests.fakes.transport import Listener
from tests.ports import HOST, hold_port, port_of

ONE_BACKEND = {"test": "token-of-test"}


class FakeJobServer:
    """A job-server of one era on a port of this machine, from `with` or `start` until `stop`."""

    def __init__(
        self,
        era: str = NEWEST,
        backends: dict[str, str] = ONE_BACKEND,
        port: int = 0,
        keep_alive: bool = True,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        """`backends`: slug -> token, the first one is the default; port 0 takes a free one; `tls` makes it https."""
        self.store = Store(ERAS[era], backends, clock)
        self.journal = Journal(set(backends.values()))
        self.faults = Faults()
        self.backend, self.token = next(iter(backends.items()))
        self._port, self._keep_alive, self._tls = port, keep_alive, tls
        self._listener: Listener | None = None
        self._holder: socket.socket | None = None
        self.page: Callable[[Received], Answer | None] | None = None  # for people; None of an answer: not a page

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.stop()

    def start(self) -> None:
        """The port is the server's own from here to `stop`, also while it is down."""
        self._holder = hold_port(self._port)
        self._port = port_of(self._holder)
        self._listen()

    def stop(self) -> None:
        """End all connections and threads. Raises what went wrong inside of the fake itself."""
        holder, self._holder = self._holder, None
        try:
            self._end_listening()
        finally:
            if holder:
                holder.close()

    def _listen(self) -> None:
        self._listener = Listener(self._answer, self._port, self._keep_alive, self._tls)

    def _end_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener:
            listener.close()
            if listener.errors:
                raise ExceptionGroup("the fake job-server itself failed", listener.errors)

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Nobody listens while the block runs; afterwards the server is back on its port, with all that it knew."""
        self._end_listening()
        yield
        self._listen()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """The base of the polling API."""
        return f"{'https' if self._tls else 'http'}://{HOST}:{self._port}/api/v2/"

    def fault(self, change: Change, on: str | None = None, times: int | None = None, when: When | None = None) -> Fault:
        """Switch a fault of `faults.py` on: for GET, POST or both, for so many requests or until it is stopped."""
        return self.faults.add(change, on, times, when)

    # What users do.

    def add_request(self, identifier: str = "", actions: Iterable[str] = ("run_all",), **columns) -> StoredRequest:
        """A user asks for actions; `columns` are those of StoredRequest. A polling runner will find the request."""
        return self.store.add(self.new_request(identifier, actions, **columns))

    def new_request(self, identifier: str = "", actions: Iterable[str] = ("run_all",), **columns) -> StoredRequest:
        """A request that nobody sees yet, for RapClient.create."""
        columns = {"backend": self.backend, "created_at": self.store.clock()} | columns
        identifier = identifier or self.store.new_identifier()
        return StoredRequest(identifier, requested_actions=list(actions), **columns)

    def rap_client(self, url: str, token: str, timeout_seconds: float = 60) -> RapClient:
        """The part that calls a runner at `url` (which ends in a slash) instead of being polled."""
        return RapClient(self.store, self.journal, url, token, timeout_seconds)

    def cancel(self, identifier: str, actions: list[str] | None = None) -> None:
        """A user clicks on cancel. Without actions: "cancel all", which in old eras names all jobs that exist by then,
        finished ones too, and none if the runner has not posted any; the newest names the unfinished ones."""
        with self.store.lock:
            request = self.store.requests[identifier]
            is_old = self.store.era.active_rule != "stored_status"
            jobs = [job for job in request.jobs.values() if is_old or job["status"] in UNFINISHED]
            request.cancelled_actions += [job["action"] for job in jobs] if actions is None else actions

    def hide(self, identifier: str) -> None:
        """The request disappears from the list although it is not deleted."""
        self.store.requests[identifier].listed = False

    def reveal(self, identifier: str) -> None:
        """The request is listed again, or still, whatever the era's rule says."""
        self.store.requests[identifier].listed = True

    def forget(self, identifier: str) -> None:
        """The request is deleted with its jobs: from now on it is unknown."""
        with self.store.lock:
            del self.store.requests[identifier]

    # What the job-server knows.

    @property
    def requests(self) -> dict[str, StoredRequest]:
        with self.store.lock:
            return dict(self.store.requests)

    def jobs(self, identifier: str) -> list[dict]:
        """Copies of the request's jobs with all columns, in the order of their arrival; times are datetimes in UTC."""
        with self.store.lock:
            return [dict(job) for job in self.store.requests[identifier].jobs.values()]

    def statuses(self, identifier: str) -> dict[str, str]:
        """Action -> status of the request's jobs."""
        return {job["action"]: job["status"] for job in self.jobs(identifier)}

    def status(self, identifier: str) -> str:
        """Of the request, as it is stored (newest era) or as its jobs say."""
        return self.store.status(identifier)

    def lost_requests(self) -> list[str]:
        """The requests of which no job is known."""
        return [identifier for identifier, each in self.requests.items() if not each.jobs]

    def unfinished_requests(self) -> list[str]:
        """The requests without jobs or with unfinished ones: what a runner still has to deliver."""
        with self.store.lock:
            return [
                identifier
                for identifier, each in self.store.requests.items()
                if not each.jobs or any(job["status"] in UNFINISHED for job in each.jobs.values())
            ]

    def _answer(self, received: Received) -> Answer:
        """Called in the thread of a connection; the lock keeps journal and store in one order."""
        page = self.page(received) if self.page else None
        if page:
            return page
        stored = False

        def act() -> Answer:
            nonlocal stored
            answer = answer_to(received, self.store)
            stored = answer.status == 200
            return answer

        with self.store.lock:
            self.journal.arrived(received)
            fault = self.faults.take(received)
            answer = fault.change(received, act) if fault else act()
            self.journal.answered(received, stored)
        return answer
