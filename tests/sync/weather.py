"""What may go wrong on the way to a fake job-server while a storm is on, by name: `weather.turn("lost_answer", 3)`.

All of `tests.fakes.faults` and `tests.fakes.spoiled` that a real server may show. Left out is what no server does: to
say that it does not know a request which it keeps, and to list other columns than it has.
"""

import threading
from collections.abc import Callable

from sync.transport import Transport
from tests.fakes import faults, spoiled
from tests.fakes.faults import Change, Fault
from tests.fakes.job_server import FakeJobServer
from tests.fakes.messages import Delivery

# Long enough for a machine that has a lot to do: a post that is given up although the server takes it may be overtaken.
PATIENCE_SECONDS = 20.0
# While nothing can come anyhow.
NO_PATIENCE_SECONDS = 0.15
# So that one megabyte is too much.
MOST_PAGE_BYTES = 500_000
SLOW = {
    "never": faults.never_answers,
    "drip": lambda: faults.delivered(Delivery.DRIP, 0.05),
    "drip_all": lambda: faults.delivered(Delivery.DRIP_ALL, 0.05),
}
# Before the server has looked at the request, or after.
QUICK: dict[str, Callable[[], Change]] = {
    **{
        f"status_{code}_{body}": lambda code=code, body=body: faults.status(code, body)
        for code, body in (
            *((400, "json"), (401, "empty"), (403, "json"), (404, "html"), (429, "empty")),
            *((500, "html"), (500, "json"), (502, "html"), (503, "empty"), (504, "html")),
        )
    },
    "dropped": faults.dropped,
    "garbage": faults.garbage,
    "login_page": faults.login_page,
    "redirect": faults.redirect,
    "lost_answer": faults.lost_answer,
    "cut": lambda: faults.delivered(Delivery.CUT),
    "partial_json": faults.partial_json,
    "binary_body": faults.binary_body,
    "called_html": faults.called_html,
    "with_cookie": faults.with_cookie,
    "duplicated": spoiled.duplicated,
    "reordered": lambda: spoiled.reordered(7),
    "of_backend": lambda: spoiled.of_backend("another"),
    "one_malformed": spoiled.with_one_malformed,
    "wrong_types": spoiled.with_wrong_types,
    "results_null": lambda: spoiled.results_instead(None),
    "results_text": lambda: spoiled.results_instead("none"),
    "results_empty": lambda: spoiled.results_instead([]),
    "a_list": spoiled.a_list_instead,
    "not_a_number": spoiled.not_a_number,
    "deep": spoiled.deep,
    "huge": lambda: spoiled.huge(1),
    "gzipped": spoiled.gzipped,
}
# Answers that come only once the fault is switched off, whatever has happened meanwhile. Twice as likely as others.
HELD = ("held", "held")
ALL = (*QUICK, *SLOW, *HELD)


class Weather:
    """The faults of one server that are on."""

    def __init__(self, server: FakeJobServer, transport: Transport):
        self._server, self._transport = server, transport
        self._on: list[tuple[str, Fault]] = []
        self._gates: dict[int, threading.Event] = {}  # of those that are held, by the identity of their fault

    def turn(self, name: str, number: int) -> None:
        """Switch a fault on: for GET, POST or both, for once, thrice or until it is cleared, as the number says."""
        on = (None, "GET", "POST")[number % 3]
        # What is slow lasts, for every post that comes through would be given up too early.
        times = None if name in SLOW else (1, 3, None)[number // 3 % 3]
        gate = threading.Event()
        change = faults.held(gate) if name in HELD else (SLOW | QUICK)[name]()
        fault = self._server.fault(change, on=on, times=times)
        self._gates[id(fault)] = gate
        self._on.append((name, fault))
        self._set_patience()

    def clear(self, number: int) -> None:
        """Switch one of the faults off."""
        if self._on:
            _, fault = self._on.pop(number % len(self._on))
            fault.stop()
            self._gates.pop(id(fault)).set()
            self._set_patience()

    def let_go(self) -> None:
        """No answer is held any more."""
        for gate in self._gates.values():
            gate.set()

    def clear_all(self) -> None:
        while self._on:
            self.clear(0)

    def _set_patience(self) -> None:
        is_slow = any(name in SLOW for name, _ in self._on)
        self._transport._seconds = NO_PATIENCE_SECONDS if is_slow else PATIENCE_SECONDS
