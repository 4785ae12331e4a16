"""What is shown while a command waits: each change once, the last one too, and nothing that a study could forge."""

import io
import threading

import pytest
from django.db import DatabaseError
from rich.console import Console

from jobs.models import Job
from jobs.progress import MOST_ROWS, Progress
from jobs.states import StatusCode
from tests.factories import make_job
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Screen:
    """A console whose text can be read while another thread writes."""

    def __init__(self, *, is_terminal: bool = False):
        self._file = io.StringIO()
        self.console = Console(
            file=self._file, force_terminal=is_terminal, width=120, color_system=None, highlight=False
        )

    @property
    def text(self) -> str:
        return self._file.getvalue()

    def wait_for(self, words: str) -> None:
        wait_until(lambda: words in self.text, what=f"{words!r} in {self.text!r}")


def test_each_change_is_one_line_and_the_last_one_is_not_missed():
    job, screen = make_job(StatusCode.CREATED, action="make_table", status_message="Waiting for the runner."), Screen()
    with Progress(Job.objects.all(), screen.console):
        screen.wait_for("Waiting for the runner.")
        job.move_to(StatusCode.INITIATED, "Starting.")
        screen.wait_for("Starting.")
        job.say("Nothing that a line is needed for.")
        job.move_to(StatusCode.INTERNAL_ERROR, "Failed.")
    words = [line.split() for line in screen.text.splitlines()]
    assert [(line[1], line[2], " ".join(line[3:])) for line in words] == [
        ("make_table", "created", "Waiting for the runner."),
        ("make_table", "initiated", "Starting."),
        ("make_table", "internal_error", "Failed."),
    ]


def test_jobs_that_come_later_are_shown_if_the_question_was_about_them():
    screen = Screen()
    with Progress(Job.objects.filter(workspace="study"), screen.console):
        make_job(action="another_study", workspace="another")
        make_job(action="later")
        screen.wait_for("later")
    assert "another_study" not in screen.text


@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_that_a_study_wrote_steers_the_terminal(is_terminal):
    make_job(action="a\x1b[2Jb", status_message="c\x1b]0;title\x07 [bold]d[/bold]\nforged")
    screen = Screen(is_terminal=is_terminal)
    with Progress(Job.objects.all(), screen.console):
        screen.wait_for("a\\x1b[2Jb")
        screen.wait_for("[bold]d[/bold]\\nforged")
    assert "\x1b]0" not in screen.text and "a\x1b" not in screen.text


def test_on_a_terminal_the_table_shows_the_most_telling_jobs_and_counts_the_others():
    for _ in range(MOST_ROWS):
        make_job(StatusCode.SUCCEEDED)
    make_job(StatusCode.EXECUTING, action="runs_now")
    make_job(StatusCode.NONZERO_EXIT, action="has_failed")
    screen = Screen(is_terminal=True)
    with Progress(Job.objects.all(), screen.console):
        screen.wait_for(f"{MOST_ROWS + 1} of {MOST_ROWS + 2} jobs done (2 more are not shown)")
        screen.wait_for("runs_now")
        screen.wait_for("has_failed")


def test_an_error_of_the_work_is_not_hidden_by_the_display():
    with pytest.raises(RuntimeError, match="the work"), Progress(Job.objects.all(), Screen().console):
        raise RuntimeError("the work failed")


def test_a_database_that_cannot_be_read_ends_the_display_and_not_the_work(caplog):
    class Unreadable:
        def order_by(self, *names):
            return self

        def filter(self, **conditions):
            raise DatabaseError("gone")

    with Progress(Unreadable(), Screen().console):
        wait_until(lambda: "the progress display ends" in caplog.text, what="the end of the display")


def test_the_display_leaves_no_thread_behind():
    with Progress(Job.objects.all(), Screen().console):
        pass
    assert "progress" not in [thread.name for thread in threading.enumerate()]
