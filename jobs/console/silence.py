"""A word beside what was asked for, where nobody is there to do it."""

from jobs.results import terminal
from jobs.signs import Signs


def warn_of_silence(*, is_to_be_planned: bool = False) -> None:
    """On stderr, if the runner is silent, or who plans requests where one waits for that. One query."""
    signs, notes = Signs.read(), terminal(stderr=True)
    if not signs.run.is_fresh:
        sentence = f"Nothing happens yet: the runner {signs.run.last_heard}. Start `manage.py run`."
        notes.print(sentence, style="yellow", soft_wrap=True, markup=False)
    if is_to_be_planned and not signs.sync.is_fresh:
        sentence = (
            "New requests wait to be planned: start `manage.py sync`, or `manage.py sync --plan-only` where there is "
            "no job-server."
        )
        notes.print(sentence, style="yellow", soft_wrap=True, markup=False)
