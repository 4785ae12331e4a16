"""Is the patients' database being maintained? Asked of the database itself, now and then, by a command in a container.

The site names an image and a command (DATABASE_STATUS_…). The last line that it writes says it: `db-maintenance`, or
anything else for "no". What is found switches the flag of that name with the value `scheduled`, and off again. What a
person has switched is never undone: an automatic "on" comes only when the database *begins* to say so, so whoever
switches it off in the middle has the last word until the next time; an automatic "off" only ends an automatic "on". A
question without an answer changes nothing. A thread of its own asks; jobs wait for nothing here.
"""

import logging
import threading
import time

from django.conf import settings
from django.utils import timezone

from jobs import asking
from jobs.errors import JobError
from jobs.models import AuditEntry, Flag, Heartbeat, Who
from jobs.service import let_go_of_database
from jobs.wire import clean, moment
from runner.containers import database_environment, full_image_name
from runner.executors.base import ContainerSpec, Executor, ExecutorUnavailable, Phase

log = logging.getLogger(__name__)

NAME = "jobrunner-database-status"
SCHEDULED = Flag.SCHEDULED
IN_MAINTENANCE = "db-maintenance"
LONGEST_ANSWER_SECONDS = 120.0
LOOK_SECONDS = 0.5
MOST_OUTPUT_BYTES = 64 * 1024
_MEMORY = "database-status"
_RUNNER = Who("runner", AuditEntry.Via.RUNNER)


class NoAnswer(Exception):
    """The message says why."""


class DatabaseStatus:
    """Asks until it is closed; never, where the site names no image or has no database."""

    def __init__(self, executor: Executor):
        self._executor = executor
        self._said: dict | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        if settings.DATABASE_STATUS_IMAGE and not settings.USING_DUMMY_DATA_BACKEND:
            self._thread = threading.Thread(target=self._run, name="database-status", daemon=True)
            self._thread.start()

    def report(self) -> dict | None:
        """For the pages, of the last question: `at`, and `maintenance` or `error`. None if there was none."""
        return self._said

    def close(self) -> None:
        """A call that hangs is left to itself: its thread is a daemon."""
        self._end.set()
        if self._thread:
            self._thread.join(0.1)

    def ask(self) -> None:
        """Once. Never raises."""
        said: dict = {"at": moment(timezone.now())}
        try:
            said["maintenance"] = self._ask()
            act_on(said["maintenance"])
        except NoAnswer as error:
            said["error"] = clean(str(error), 200)
        except Exception as error:
            said["error"] = f"a fault of the job runner: {type(error).__name__}"
            log.exception("the database's status cannot be asked for")
        if said.get("error") and not (self._said or {}).get("error"):
            log.warning("whether the database is being maintained is not known: %s", said["error"])
        self._said = said

    def _run(self) -> None:
        while not self._end.is_set():
            self.ask()
            let_go_of_database()
            self._end.wait(settings.DATABASE_STATUS_INTERVAL_SECONDS)

    def _ask(self) -> bool:
        """Raises NoAnswer."""
        try:
            self._executor.remove(NAME)  # of a runner that was killed
            self._executor.start(_spec())
            code = self._wait()
            output = self._output()
            self._executor.remove(NAME)
        except (ExecutorUnavailable, JobError) as error:
            raise NoAnswer(str(error)) from error
        if code != 0:
            raise NoAnswer(f"the command ended with exit code {code}: {output[-1] if output else 'it said nothing'}")
        return bool(output) and output[-1] == IN_MAINTENANCE

    def _wait(self) -> int | None:
        deadline = time.monotonic() + LONGEST_ANSWER_SECONDS
        while time.monotonic() < deadline and not self._end.wait(LOOK_SECONDS):
            status = self._executor.status(NAME)
            if status.phase is Phase.EXITED:
                return status.exit_code
            if status.phase in (Phase.ABSENT, Phase.INTERRUPTED):
                raise NoAnswer(f"its container went away: {status.reason or 'nobody knows why'}")
        self._executor.remove(NAME)
        raise NoAnswer(f"the command took longer than {LONGEST_ANSWER_SECONDS:g} s")

    def _output(self) -> list[str]:
        """Its lines on standard output, without the engine's timestamps and without empty ones, of the first 64 KiB."""
        stream, said = self._executor.logs(NAME), bytearray()
        try:
            for chunk in stream:
                said += chunk
                if len(said) > MOST_OUTPUT_BYTES:
                    raise NoAnswer("the command wrote more than 64 KiB")
        finally:
            stream.close()
        warnings = set(stream.error_stamps)  # what it says on standard error is for people
        parted = (line.partition(b" ") for line in bytes(said).splitlines())
        lines = (text.decode("utf-8", "replace").strip() for stamp, _, text in parted if stamp not in warnings)
        return [line for line in lines if line]


def act_on(is_maintained: bool) -> None:
    """Switch the flag if what the database says has changed, and nobody's own switch stands against it."""
    memory = Heartbeat.objects.filter(name=_MEMORY).first()
    detail = memory.detail if memory else {}
    was_maintained = bool(detail.get("maintenance"))
    current = Flag.objects.current().get(Flag.Name.DB_MAINTENANCE)
    is_automatic = current is not None and current.value == SCHEDULED
    hidden_by = detail.get("hidden_by")
    if is_maintained and current and current.value and not is_automatic:
        # A person's own switch hides it. If that lapses by itself, this is still the beginning for us.
        Heartbeat.beat(_MEMORY, maintenance=False, hidden_by=current.pk)
        return
    if hidden_by and current and not current.value and current.pk > hidden_by:
        was_maintained = True  # a person has switched it off in the middle, and has the last word
    try:
        if is_maintained and not was_maintained and not (current and current.value):
            _switch(SCHEDULED, "The database says that it is being maintained.", current)
        elif not is_maintained and is_automatic:
            _switch("", "The database says that its maintenance has ended.", current)
    except asking.Overtaken:
        return  # somebody was faster; the next look sees what they did
    Heartbeat.beat(_MEMORY, maintenance=is_maintained)


def _switch(value: str, reason: str, current: Flag | None) -> None:
    seen = str(current.pk) if current else ""
    asking.switch(Flag.Name.DB_MAINTENANCE, value, _RUNNER, reason, seen=seen)
    log.info("database maintenance %s: %s", "begins" if value else "ends", reason)


def _spec() -> ContainerSpec:
    folder = settings.WORK_DIR / "database-status"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return ContainerSpec(
        name=NAME,
        job_id="database-status",
        attempt=1,
        image=full_image_name(settings.DATABASE_STATUS_IMAGE),
        command=tuple(settings.DATABASE_STATUS_COMMAND),
        workspace_folder=folder,
        environment={"OPENSAFELY_BACKEND": settings.BACKEND} | database_environment("default"),
        network=settings.DATABASE_ACCESS_NETWORK,
        cpus=1.0,
        memory_bytes=settings.JOB_MEMORY_BYTES,
    )
