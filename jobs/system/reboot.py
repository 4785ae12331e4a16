"""May the machine be rebooted now? Asked by whoever has prepared for it, on the page, by command and by program.

"Safe" has to stay true until the switch is switched off. So it is said only if no job is at work by the table of jobs,
and the runner has said, of this very setting of the switch, that it saw none of its containers run. From there on every
turn of any runner finds the switch on and starts nothing; so it stays safe when the runner itself has been stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from jobs.durations import longest_seconds
from jobs.models import Flag, Job
from jobs.signs import Signs
from jobs.text import counted, duration_in_words

OFF, PLANNED, DRAINING, UNKNOWN, SAFE = "off", "planned", "draining", "unknown", "safe"
MOST_JOBS = 20


@dataclass(frozen=True)
class Readiness:
    """`state` is one of the above; `jobs` are the oldest of those that are still at work."""

    state: str
    text: str
    jobs: list[Job] = field(default_factory=list)
    running: int = 0

    @property
    def word(self) -> str:
        return _WORDS[self.state]

    @property
    def sentence(self) -> str:
        return f"{self.word}: {self.text}"


_WORDS = {
    OFF: "No reboot is prepared",
    PLANNED: "A reboot is planned",
    DRAINING: "Not safe to reboot yet",
    UNKNOWN: "Nobody can say whether it is safe to reboot",
    SAFE: "Safe to reboot",
}


def readiness(flags: Mapping[str, Flag], signs: Signs) -> Readiness:
    """`flags` are those that are on. Three queries at most, none while no reboot is prepared."""
    flag = flags.get(Flag.Name.REBOOT)
    if flag is None:
        return Readiness(OFF, "jobs run and start as ever.")
    running = Job.objects.running().order_by("pk")
    jobs = list(running[:MOST_JOBS])
    number = len(jobs) if len(jobs) < MOST_JOBS else running.count()
    if not flag.has_come:
        return Readiness(PLANNED, _of_time_left(flag.due_at, jobs, number), jobs, number)
    said = signs.run.reboot
    is_heard = said is not None and said.flag == flag.pk
    if not number and is_heard and said.running == 0 and said.containers == 0:
        end = f"{flag.expires_at:%Y-%m-%d %H:%M} UTC, when this ends" if flag.expires_at else "this is switched off"
        return Readiness(SAFE, f"no job is at work, and none starts before {end}.")
    if not signs.run.is_fresh:
        known = f"{_are(number)} at work by the last that is known" if number else "containers may still run"
        text = f"the runner {signs.run.last_heard}, and {known}. Start `manage.py run`; it stops them and looks."
        return Readiness(UNKNOWN, text, jobs, number)
    if number:
        return Readiness(DRAINING, f"{_are(number)} being stopped or saved.", jobs, number)
    return Readiness(*_of_containers(signs, said.containers if is_heard else None, is_heard=is_heard))


def _of_time_left(due: datetime, jobs: list[Job], number: int) -> str:
    """Of the jobs that are listed."""
    left = due - timezone.now()
    at = f"at {due:%Y-%m-%d %H:%M} UTC, in {duration_in_words(left)}"
    if not number:
        return f"{at}. No job is at work; until then those start that will by their past runs be done."
    lasts = longest_seconds({(job.workspace, job.action): job.pk for job in jobs})
    ends = [(job, lasts.get((job.workspace, job.action))) for job in jobs]
    late = [job for job, seconds in ends if seconds and job.started_at + timedelta(seconds=seconds) > due]
    unknown = sum(seconds is None for _, seconds in ends)
    told = [f"{_are(number)} at work"]
    if late:
        told.append(f"{len(late)} will by past runs not be done by then, and be stopped")
    if unknown:
        told.append(f"of {unknown} nobody knows, as the action never succeeded before")
    return f"{at}. {'; '.join(told)}."


def _of_containers(signs: Signs, containers: int | None, *, is_heard: bool) -> tuple[str, str]:
    """No job is at work any more."""
    if containers:
        return DRAINING, f"{counted(containers, 'container')} of jobs still run on the engine (`docker ps`)."
    if signs.run.engine_silent_since:
        return UNKNOWN, (
            f"the engine has not answered since {signs.run.engine_silent_since:%H:%M} UTC, so containers may still "
            "run. See whether `docker info` answers. A job whose container a reboot ends is run again."
        )
    if not is_heard:
        return DRAINING, "the runner has not seen the switch yet; that takes seconds."
    return DRAINING, "the runner has a last look at the engine."


def _are(number: int) -> str:
    return f"{counted(number, 'job')} {'is' if number == 1 else 'are'}"
