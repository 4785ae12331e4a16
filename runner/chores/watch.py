"""What `manage.py run` does for chores: keeps their process alive, and the queue in step with what is asked for.

A thread of its own; nothing here can hold up a job or end the runner. All of it may be lost at any moment.
"""

import functools
import logging
import sys
import threading
import time
from datetime import datetime

from django.conf import settings

from jobs.chores.queueing import keep_schedules, queue_ping, queue_what_was_asked
from jobs.chores.work import last_answer
from jobs.models import ChoreRun
from jobs.processes import is_alive
from jobs.service import let_go_of_database
from jobs.supervising import Child

log = logging.getLogger(__name__)

LOOK_SECONDS, SCHEDULES_SECONDS = 2.0, 30.0
PING_SECONDS, SILENT_SECONDS = 60.0, 90.0
# The first moments belong to the jobs.
FIRST_PAUSE_SECONDS = 2.0
COMMAND = "work_on_chores"
# As long as the process takes to end by itself, and a little more; the runner has to be gone within ten seconds.
STOP_SECONDS = 5.0


class ChoreWatch:
    """Looks until it is closed; never, where chores are switched off or nobody stays to do them."""

    def __init__(self, *, is_wanted: bool = True):
        self._end = threading.Event()
        self._last_schedules = 0.0
        self._failure, self._has_looked = "", False
        self._answered: datetime | None = None
        self._asked_at: float | None = None
        self._next_ping = time.monotonic() + PING_SECONDS
        self._thread: threading.Thread | None = None
        command = [sys.executable, sys.argv[0], COMMAND]
        self.child = Child(f"manage.py {COMMAND}", command, own_group=True)
        if is_wanted and settings.CHORES:
            self._thread = threading.Thread(target=self._run, name="chores", daemon=True)
            self._thread.start()

    def report(self) -> dict[str, object]:
        """For the pages."""
        return {"on": self._thread is not None, "pid": self.child.pid, "starts": self.child.starts}

    def stop(self) -> None:
        """Ask their process to end; `close` waits for it."""
        self._end.set()
        if self._thread:
            self._thread.join(0.5)
        self.child.stop()

    def close(self) -> None:
        self.stop()
        self.child.wait(STOP_SECONDS)

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._end.wait(pause):
            pause = LOOK_SECONDS
            self.look()
            let_go_of_database()

    def _ping(self) -> None:
        """Ask now and then for an answer that goes through the whole queue; start anew what gives none."""
        now, answered = time.monotonic(), last_answer()
        if answered != self._answered:
            self._answered, self._asked_at = answered, None
            self._next_ping = now + PING_SECONDS
        if self._asked_at is None:
            if now >= self._next_ping:
                queue_ping()
                self._asked_at = now
        elif ChoreRun.objects.at_work().exists():  # all workers may be at work on something long
            self._asked_at = now
        elif now - self._asked_at >= SILENT_SECONDS:
            log.error("the process that does chores serves its queue no more: it is started again")
            self.child.kill()
            self._asked_at, self._next_ping = None, now + PING_SECONDS

    def look(self) -> None:
        """Once. Never raises; the same failure is told once."""
        failure = ""
        try:
            # There is one runner, so at its start nobody else's workers are left: containers get another host's name.
            ChoreRun.objects.take_from_the_dead(functools.partial(is_alive, elsewhere=self._has_looked))
            self._has_looked = True
            if time.monotonic() - self._last_schedules >= SCHEDULES_SECONDS:
                keep_schedules()
                self._last_schedules = time.monotonic()
            queue_what_was_asked()
            self.child.look()
            self._ping()
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
            if failure != self._failure:
                log.warning("chores cannot be looked after now: %s", failure)
        self._failure = failure
