"""A site in a storm: one database, one `Sync` after the other, a runner made of dice, and one fake job-server.

The methods of `Storm` that are named in STEPS are what a schedule is made of; each takes a number that picks its
target. `Sync` is real, and speaks HTTP with the server in its real threads; git and the runner are not: the study is
given, and each job moves along random legal paths of `jobs.states.MAY_FOLLOW`.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db.models import F

from jobs.git import GitUnavailable
from jobs.models import Delivery, Job, JobRequest
from jobs.project import Project, load_project
from jobs.states import StatusCode
from sync.job_server import JobServer
from sync.loop import Sync
from sync.transport import Transport
from tests.fakes import spoiled
from tests.fakes.job_server import FakeJobServer
from tests.sync.dice import move
from tests.sync.weather import ALL, PATIENCE_SECONDS, Weather

STUDY = """
version: '4.0'
actions:
  extract:
    run: python:v2 python extract.py
    outputs: {highly_sensitive: {rows: output/extract.csv}}
  count:
    run: python:v2 python count.py
    needs: [extract]
    outputs: {moderately_sensitive: {counts: output/count.csv}}
  dataset:
    run: ehrql:v1 generate-dataset dataset.py --output output/dataset.csv
    outputs: {highly_sensitive: {dataset: output/dataset.csv}}
"""
BROKEN_STUDY = "1" * 40
ACTIONS = ("run_all", "extract", "count", "dataset")
# What users ask for; `ask` adds what is common.
KINDS: tuple[dict, ...] = (
    *({} for _ in range(8)),
    {"force_run_dependencies": True},
    {"actions": ["count", "dataset"]},
    {"actions": ["unknown"]},
    {"commit": BROKEN_STUDY},
    {"commit": ""},
    {"repo_url": None},
    {"actions": []},
    {"actions": ["dataset"], "codelists_ok": False},
    {"workspace": "not a name"},
    {"backend": "another"},
    {"cancelled_actions": ["extract", "unknown", "extract"]},
)
# How often a schedule has each step, among all.
STEPS = {
    **{"ask": 6, "ask_again": 6, "cancel_some": 3, "cancel_all": 3, "cancel_unknown": 1},
    **{"hide": 2, "reveal": 2, "forget": 1, "restore": 2, "evaluate": 2, "lose_the_author": 1},
    **{"cloud": 6, "clear": 7, "down": 3, "restart": 1, "kill": 2, "git_fails": 1, "git_works": 2},
    **{"poll": 10, "turns": 8, "age": 2},
    **{"jobs_move": 14, "jobs_end": 6, "revive": 4, "operator_cancels": 1, "operator_kills": 1},
}
LENGTH = 80


def schedule(seed: int) -> list[tuple[str, int]]:
    """Steps and their numbers. Of dice, because what Hypothesis makes of lists repeats itself much."""
    dice = random.Random(seed)
    names = dice.choices(list(STEPS), list(STEPS.values()), k=LENGTH)
    return [("ask", dice.randrange(1000)), *((name, dice.randrange(1000)) for name in names)]


class Killed(Exception):
    """The process was killed: what it would have noted of this exchange is not noted."""


class MortalServer(JobServer):
    """A client whose process may be killed while an exchange is under way."""

    def __init__(self, fake: FakeJobServer, transport: Transport):
        super().__init__(transport, fake.url, fake.backend)
        self.is_dead = threading.Event()

    def _exchange(self, *arguments, **options):
        if self.is_dead.is_set():
            raise Killed
        try:
            return super()._exchange(*arguments, **options)
        finally:
            if self.is_dead.is_set():
                raise Killed


class Storm:
    """`with Storm(era, "w") as storm:`, steps, then `storm.calm()`. Workspaces begin with the given word."""

    def __init__(self, era: str, word: str):
        self.fake = FakeJobServer(era)
        self.word = word
        self.asked: dict[str, dict] = {}  # identifier -> what was asked for
        self.cancelled: set[tuple[str, str]] = set()  # identifier and action
        self.cancelled_here: set[int] = set()  # jobs, by operators
        self.killed_here: set[int] = set()
        self._git_fails = threading.Event()
        self._down = contextlib.ExitStack()
        self._is_down = False
        self._forgotten: list = []

    def __enter__(self) -> "Storm":
        self.fake.start()
        self._transport = Transport(seconds=PATIENCE_SECONDS, headers={"Authorization": self.fake.token})
        self.weather = Weather(self.fake, self._transport)
        self._begin()
        return self

    def __exit__(self, *error) -> None:
        self.weather.clear_all()
        self._down.close()
        self.fake.stop()  # whoever still waits for it is let go
        self.kill(0, begins_again=False)

    def read_project(self, request: JobRequest) -> Project:
        """Instead of git."""
        if self._git_fails.is_set():
            raise GitUnavailable("The git host is silent.")
        return load_project("actions: {" if request.commit == BROKEN_STUDY else STUDY)

    # --- what users do

    def ask(self, number: int) -> None:
        columns = {"workspace": f"{self.word}{number % 3}", "actions": [ACTIONS[number % 5 % 4]]}
        columns |= KINDS[number % len(KINDS)]
        self._ask(columns)

    def ask_again(self, number: int) -> None:
        """Somebody asks for what one of the last requests has asked for: its jobs may be joined or reused."""
        if self.asked:
            columns = [*self.asked.values()][-1 - number % min(3, len(self.asked))]
            self._ask({key: value for key, value in columns.items() if key != "cancelled_actions"})

    def _ask(self, columns: dict) -> None:
        cancelled = list(columns.get("cancelled_actions", ()))
        identifier = self.fake.add_request(**columns | {"cancelled_actions": cancelled}).identifier
        self.asked[identifier] = columns
        self.cancelled |= {(identifier, action) for action in cancelled}

    def cancel_some(self, number: int) -> None:
        if identifier := self._pick(number):
            self._cancel(identifier, [ACTIONS[1 + number % 3]])

    def cancel_all(self, number: int) -> None:
        if identifier := self._pick(number):
            self._cancel(identifier, None)

    def cancel_unknown(self, number: int) -> None:
        if identifier := self._pick(number):
            self._cancel(identifier, ["unknown", "count", "count"])

    def _cancel(self, identifier: str, actions: list[str] | None) -> None:
        self.fake.cancel(identifier, actions)
        named = self.fake.requests[identifier].cancelled_actions
        self.cancelled |= {(identifier, action) for action in named}

    # --- what the server does

    def hide(self, number: int) -> None:
        if identifier := self._pick(number):
            self.fake.hide(identifier)

    def reveal(self, number: int) -> None:
        if identifier := self._pick(number):
            self.fake.reveal(identifier)

    def forget(self, number: int) -> None:
        if number % 2 and (identifier := self._pick(number)):
            self._forgotten.append(self.fake.requests[identifier])
            self.fake.forget(identifier)

    def restore(self, number: int) -> None:
        """From a copy that knew no jobs yet."""
        if self._forgotten:
            request = self._forgotten.pop(number % len(self._forgotten))
            request.jobs.clear()
            request.listed, request.stored_status = None, "unknown"
            self.fake.store.add(request)

    def lose_the_author(self, number: int) -> None:
        """Or find those of all requests again. Old servers then answer every poll with 500."""
        requests = list(self.fake.requests.values())
        for request in requests:
            request.created_by = "alice"
        if requests and number % 2:
            requests[number % len(requests)].created_by = None

    def evaluate(self, number: int) -> None:
        self.fake.store.evaluate()

    def cloud(self, number: int) -> None:
        self.weather.turn(ALL[number % len(ALL)], number)

    def clear(self, number: int) -> None:
        self.weather.clear(number)

    def down(self, number: int) -> None:
        """Or up again."""
        if self._is_down:
            self._down.close()
        else:
            self._down.enter_context(self.fake.down())
        self._is_down = not self._is_down

    def git_fails(self, number: int) -> None:
        self._git_fails.set()

    def git_works(self, number: int) -> None:
        self._git_fails.clear()

    # --- what the site does

    def poll(self, number: int) -> None:
        self._sync._poller._next = 0.0
        self.turns(number)

    def turns(self, number: int) -> None:
        for _ in range(number % 6 + 1):
            self._sync.turn()
            self._sync.wait()

    def turn(self) -> None:
        self._sync.turn()

    def restart(self, number: int) -> None:
        """By a signal: what is under way has time to end."""
        self.weather.let_go()
        assert self._sync.close(120)
        self.kill(number)

    def kill(self, number: int, *, begins_again: bool = True) -> None:
        """What is under way at the server goes on there, but nobody hears of it."""
        self._server.is_dead.set()
        self.weather.let_go()
        assert self._sync.close(120)
        if begins_again:
            self._begin()

    def age(self, number: int) -> None:
        """Two hours pass."""
        Delivery.objects.update(acknowledged_at=F("acknowledged_at") - timedelta(hours=2))

    def jobs_move(self, number: int) -> None:
        dice = random.Random(number)
        active = list(Job.objects.active())
        for job in dice.sample(active, min(len(active), number % 4 + 1)):
            move(job, dice)

    def jobs_end(self, number: int) -> None:
        """One job goes all its way."""
        dice = random.Random(number)
        if active := list(Job.objects.active()):
            job = dice.choice(active)
            while not job.is_finished:
                move(job, dice, homewards=True)

    def revive(self, number: int) -> None:
        """An operator has the end of a job tried again that a fault of ours had ended."""
        kept = [job for job in Job.objects.failed() if job.status_code == StatusCode.INTERNAL_ERROR]
        if kept:
            random.Random(number).choice(kept).move_to(StatusCode.EXECUTED, "Its end is tried again.")

    def operator_cancels(self, number: int) -> None:
        if active := list(Job.objects.active()):
            job = random.Random(number).choice(active)
            if job.request_cancel("olive", "She has asked for it."):
                self.cancelled_here.add(job.pk)

    def operator_kills(self, number: int) -> None:
        if number % 3 == 0 and (active := list(Job.objects.active())):
            job = random.Random(number).choice(active)
            if job.request_kill("olive", "It takes too much."):
                self.killed_here.add(job.pk)

    # --- the end

    def calm(self, is_over: Callable[[], bool], seconds: float) -> None:
        """Everything works but one request, which stays malformed: go on until it is over, or for so many seconds."""
        self.weather.clear_all()
        self.fake.fault(spoiled.with_one_malformed(), on="GET")
        if self._is_down:
            self.down(0)
        self.git_works(0)
        self.lose_the_author(0)
        settings.POLL_INTERVAL = self._sync._poller._next = 0.05
        for request in self.fake.requests.values():
            if not request.jobs:
                request.listed = None  # no server hides a request of which it knows no job; nobody could find it
        deadline, rounds = time.monotonic() + seconds, 0
        while not is_over() and time.monotonic() < deadline:
            if rounds % 20 == 0:
                self.age(0)
            rounds += 1
            for number in range(Job.objects.active().count()):
                self.jobs_end(number)
            self.turns(0)

    def report(self) -> dict[str, object]:
        return self._sync.report()

    def _begin(self) -> None:
        self._server = MortalServer(self.fake, self._transport)
        self._sync = Sync(self._server)

    def _pick(self, number: int) -> str | None:
        identifiers = [each for each in self.fake.requests if each in self.asked]
        return identifiers[number % len(identifiers)] if identifiers else None
