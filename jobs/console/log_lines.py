"""`manage.py logs ID`: a job's log, made harmless for a terminal, up to now or up to its end.

Who reads a log is noted in the audit before a line is shown, as on the page: it may quote patients' rows.
"""

import sys
import time

from jobs import logs
from jobs.console.asker import at_this_terminal
from jobs.console.command import Refused
from jobs.log import escape
from jobs.logs.reading import NoLog
from jobs.models import Job
from jobs.people.log_views import note_view

LOOK_EVERY_SECONDS = 0.5


def print_log(job: Job, *, attempt: int | None, tail: int | None, follow: bool, stamps: bool) -> None:
    """With `follow` until the job ends, through all attempts that begin meanwhile unless one is named.

    Raises Refused if there is no log, and none to come.
    """
    if attempt is not None and attempt > job.attempt:
        raise Refused(f"Job {job.identifier} is in its attempt {job.attempt}.")
    printer = _Printer(job, attempt or job.attempt, tail, stamps)
    while True:
        # The job first: what it wrote before it ended is in the file by then.
        is_over = job.is_finished or printer.attempt < job.attempt
        printer.print_new(must_be_there=is_over or not follow)
        if not follow:
            return
        printer.say_why_there_is_nothing()
        if is_over and (attempt is not None or printer.attempt == job.attempt):
            return
        if is_over:  # it was interrupted, and begins again
            printer.turn_to(job.attempt)
        else:
            time.sleep(LOOK_EVERY_SECONDS)
        job.refresh_from_db(fields=("state", "status_code", "status_message", "attempt"))


class _Printer:
    """Prints what has come since it was asked last."""

    def __init__(self, job: Job, attempt: int, tail: int | None, stamps: bool):
        self.attempt = attempt
        self._job, self._tail, self._stamps = job, tail, stamps
        self._offset = 0
        self._is_noted = False
        self._said = ""

    def turn_to(self, attempt: int) -> None:
        sys.stdout.write(f"--- attempt {attempt} ---\n")
        self.attempt, self._offset, self._tail = attempt, 0, None

    def print_new(self, *, must_be_there: bool) -> None:
        """The last line counts once it has ended, or once nothing comes any more. Raises Refused."""
        try:
            with logs.opened(logs.path_of(self._job, self.attempt), is_complete=must_be_there) as reader:
                self._note()
                self._print(reader)
        except NoLog as error:
            if must_be_there:
                why = "it has none yet" if self._job.is_active else "it never ran, or its log was cleared away"
                raise Refused(f"There is no log of job {self._job.identifier}: {why}.") from error
        except logs.LogTrouble as error:
            raise Refused(str(error)) from error
        sys.stdout.flush()

    def say_why_there_is_nothing(self) -> None:
        """Beside the log, each reason once: somebody waits for it."""
        reason = "" if self._is_noted else self._job.status_message
        if reason != self._said:
            self._said = reason
            if reason:
                sys.stderr.write(escape(f"Job {self._job.identifier} has no log yet: {reason}") + "\n")

    def _note(self) -> None:
        if not self._is_noted:
            note_view(at_this_terminal(), self._job)
            self._is_noted = True

    def _print(self, reader: logs.LogReader) -> None:
        if self._tail is not None:
            piece = reader.last(self._tail)
            self._write(piece.lines)
            self._offset, self._tail = piece.end, None
        while self._offset < reader.end:
            piece = reader.after(self._offset)
            self._write(piece.lines)
            if piece.end <= self._offset:
                return
            self._offset = piece.end

    def _write(self, lines: list[logs.Line]) -> None:
        for line in lines:
            hidden = f" […{line.hidden_bytes} bytes more]" if line.hidden_bytes else ""
            stamp = f"{line.stamp} " if self._stamps and line.stamp else ""
            sys.stdout.write(f"{stamp}{line.text}{hidden}\n")
