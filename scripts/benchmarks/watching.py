"""Seeing from outside when something happens: commits in the database file, and the engine's events.

Both are looked at by this process only, never by the one that is measured. Moments are those of `time.perf_counter`.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import docker

LOOK_EVERY_SECONDS = 0.0005
LONGEST_WAIT_SECONDS = 120


class WentWrong(Exception):
    """The product did not do what is measured; the text says what was seen."""


class Interruption:
    """A signal that asks for the end: raised where it comes, and again before the next repetition.

    Python drops an exception that a signal raises inside a destructor or another callback of the interpreter.
    """

    def __init__(self) -> None:
        self._exit_code = 0

    def handle(self, number: int, frame: object) -> None:
        self._exit_code = 128 + number
        self.check()

    def check(self) -> None:
        """Raises SystemExit if the end was asked for."""
        if self._exit_code:
            raise SystemExit(self._exit_code)


interruption = Interruption()


def wait_until(condition: Callable[[], object], seconds: float, what: str, pause: float = 0.01) -> None:
    """Look again and again until the condition holds. Raises WentWrong."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise WentWrong(f"{what} did not come within {seconds:g} s")
        time.sleep(pause)


class Database:
    """The database file, read with a connection of its own. Use as a context manager."""

    def __init__(self, path: Path):
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=20)

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *error) -> None:
        self._connection.close()

    def query(self, sql: str, *parameters) -> list[tuple]:
        return self._connection.execute(sql, parameters).fetchall()

    def wait_for_codes(self, pks: Sequence[int], code: str, *, seconds: float = LONGEST_WAIT_SECONDS) -> float:
        """When all of the jobs were first seen with this status code.

        Raises WentWrong if they take too long or one of them ends with another.

        The rows are read only when `data_version` says that somebody has committed: the watching costs next to nothing.
        """
        marks = ",".join("?" * len(pks))
        rows = f"SELECT state, status_code, status_message FROM jobs_job WHERE id IN ({marks}) AND status_code != ?"
        deadline, seen = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            version = self.query("PRAGMA data_version")
            if version != seen:
                seen = version
                others = self.query(rows, *pks, code)
                if not others:
                    return time.perf_counter()
                ended = [other for other in others if other[0] in ("succeeded", "failed")]
                if ended:
                    raise WentWrong(f"{len(ended)} of {len(pks)} jobs did not become {code}: {ended[:3]}")
            time.sleep(LOOK_EVERY_SECONDS)
        raise WentWrong(f"{len(others)} of {len(pks)} jobs were not {code} within {seconds:g} s: {others[:3]}")


class Containers:
    """The engine's events of the containers with one label, noted with the moment at which they came."""

    def __init__(self, address: str, label: str):
        self._client = docker.APIClient(base_url=address, version="auto", timeout=60)
        self._label = label
        self._seen: dict[tuple[str, str], float] = {}
        self._news = threading.Condition()
        self._events = self._client.events(decode=True, filters={"type": "container", "label": label})
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._events.close()
        self._thread.join(5)
        self._client.close()

    def when(self, action: str, name: str) -> float:
        """The moment of the container's first event of this kind ("start", "die", "destroy"). Raises WentWrong."""
        with self._news:
            if not self._news.wait_for(lambda: (action, name) in self._seen, LONGEST_WAIT_SECONDS):
                raise WentWrong(f"the engine told of no {action!r} of {name} within {LONGEST_WAIT_SECONDS} s")
            return self._seen[action, name]

    def names(self) -> list[str]:
        """Of all containers that exist now, whatever they do."""
        found = self._client.containers(all=True, filters={"label": [self._label]})
        return [container["Names"][0].lstrip("/") for container in found]

    def _listen(self) -> None:
        with contextlib.suppress(OSError, docker.errors.DockerException):
            for event in self._events:
                moment = time.perf_counter()
                with self._news:
                    self._seen.setdefault((event["Action"], event["Actor"]["Attributes"]["name"]), moment)
                    self._news.notify_all()
