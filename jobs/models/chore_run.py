"""One doing of a chore: asked for by a person or by the schedule, done by a worker beside the loop, with its result.

These rows are the truth about chores; the queue's own rows only make a worker look here, and may be lost or doubled.
The runner's side writes what becomes of a row; whoever asks only adds one.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import IntegrityError, models, transaction
from django.db.models import F, Q
from django.utils import timezone

from jobs.models.flag import MOST_AHEAD

MOST_ATTEMPTS = 3
# The queue ends a worker that takes longer than its timeout (`jobrunner_site.fixed`); then nobody works on it any more.
LONGEST = timedelta(minutes=12)
LONGEST_SAID = 1000
FORGOTTEN_AFTER = timedelta(days=1)


class ChoreRunQuerySet(models.QuerySet):
    def open(self) -> "ChoreRunQuerySet":
        return self.filter(ended_at=None)

    def at_work(self) -> "ChoreRunQuerySet":
        return self.open().exclude(started_at=None)

    def to_be_queued(self, again_after: timedelta) -> "ChoreRunQuerySet":
        """What nobody has begun, and what was queued so long ago that its row in the queue may be lost."""
        long_ago = timezone.now() - again_after
        return self.open().filter(Q(queued_at=None) | Q(queued_at__lt=long_ago), started_at=None)

    def ask(self, chore: str, argument: str, *, by: str, via: str, reason: str) -> "tuple[ChoreRun, bool]":
        """A row that waits for a worker, and whether it is new: of each chore and argument one at most is open."""
        while True:
            try:
                with transaction.atomic():
                    return self.create(chore=chore, argument=argument, asked_by=by, via=via, reason=reason), True
            except IntegrityError:
                if not reason:
                    raise  # a row that says nothing is refused as well
                if there := self.open().filter(chore=chore, argument=argument).first():
                    return there, False  # otherwise it ended this very moment

    def begin_by_schedule(self, chore: str, worker: str, *, not_after: datetime) -> "ChoreRun | None":
        """A row that `worker` works on now; None if one is open, or the schedule's last one began after `not_after`."""
        now = timezone.now()
        # What lies ahead was begun before somebody set the clock back.
        lately = self.filter(chore=chore, asked_by="", started_at__gt=not_after, started_at__lte=now + MOST_AHEAD)
        try:
            with transaction.atomic():
                if lately.exists():
                    return None
                return self.create(
                    chore=chore, asked_at=now, queued_at=now, started_at=now, worker=worker, attempts=1
                )  # fmt: skip
        except IntegrityError:
            return None

    def claim(self, pk: int, worker: str) -> "ChoreRun | None":
        """The row, if it waits: then it is this worker's and nobody else's."""
        now = timezone.now()
        waits = self.open().filter(pk=pk, started_at=None)
        if not waits.update(started_at=now, worker=worker, attempts=F("attempts") + 1):
            return None
        return self.get(pk=pk)

    def take_from_the_dead(self, is_alive: Callable[[str], bool]) -> int:
        """What a worker that is gone has begun waits again, or has failed after so many tries. Returns how many."""
        taken, now = 0, timezone.now()
        for run in self.at_work():
            if is_alive(run.worker) and now - run.started_at < LONGEST:
                continue
            theirs = self.open().filter(pk=run.pk, started_at=run.started_at, worker=run.worker)
            if run.attempts < MOST_ATTEMPTS:
                taken += theirs.update(started_at=None, queued_at=None, worker="")
            else:
                said = f"Its process ended in the middle of it, {run.attempts} times."
                taken += theirs.update(ended_at=now, outcome=ChoreRun.Outcome.FAILED, said=said)
        return taken

    def last_of_each(self) -> "dict[str, ChoreRun]":
        """Chore -> its newest row that has begun. One query."""
        newest = self.exclude(started_at=None).order_by().values("chore").annotate(newest=models.Max("pk"))
        return {run.chore: run for run in self.filter(pk__in=newest.values("newest"))}


class ChoreRun(models.Model):
    class Outcome(models.TextChoices):
        NONE = "", "not yet"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    chore = models.CharField(max_length=32)
    argument = models.CharField(max_length=255, blank=True)
    asked_by = models.CharField(max_length=255, blank=True, help_text="empty: by the schedule")
    via = models.CharField(max_length=16, blank=True)
    reason = models.TextField(blank=True)
    asked_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=255, blank=True, help_text="which process works on it")
    attempts = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=8, choices=Outcome, default=Outcome.NONE, blank=True)
    said = models.TextField(blank=True)
    detail = models.JSONField(default=dict, blank=True)

    objects = ChoreRunQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        permissions = (("remove_leftovers", "Can have leftovers and outdated outputs removed"),)
        indexes = (
            models.Index(fields=["chore", "-id"], name="chore_run_newest"),
            models.Index(fields=["chore", "argument", "-id"], name="chore_run_of_argument"),
            models.Index(fields=["ended_at"], name="chore_run_by_end"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["chore", "argument"], condition=Q(ended_at=None), name="chore_run_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, outcome="") | (Q(ended_at__isnull=False) & ~Q(outcome="")),
                name="chore_run_ends_with_an_outcome",
            ),
            models.CheckConstraint(condition=Q(asked_by="") | ~Q(reason=""), name="chore_run_says_why"),
        )

    def __str__(self) -> str:
        return f"{self.chore} {self.argument}".strip()

    @property
    def word(self) -> str:
        """How it stands, for people."""
        if self.outcome:
            return str(self.get_outcome_display())
        return "at work" if self.started_at else "waits for a worker"

    @property
    def took(self) -> timedelta | None:
        return self.ended_at - self.started_at if self.ended_at and self.started_at else None

    @property
    def failed(self) -> bool:
        return self.outcome == self.Outcome.FAILED

    @property
    def is_trouble(self) -> bool:
        """Whether it failed, and somebody should still look: what a person asked for is forgotten after a day."""
        return self.failed and (not self.asked_by or timezone.now() - self.ended_at < FORGOTTEN_AFTER)

    def end(self, outcome: str, said: str, detail: dict | None = None) -> bool:
        """Store the result; False if the row was taken away from this worker meanwhile."""
        mine = ChoreRun.objects.open().filter(pk=self.pk, started_at=self.started_at, worker=self.worker)
        changes = {"ended_at": max(timezone.now(), self.started_at), "outcome": outcome}
        changes |= {"said": said[:LONGEST_SAID], "detail": detail or {}}
        if not mine.update(**changes):
            return False
        for column, value in changes.items():
            setattr(self, column, value)
        return True
