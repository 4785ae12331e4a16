"""A JobRequest: somebody asked for some actions of one study at one commit, and what planning made of it."""

import base64
import hashlib
import secrets
from collections.abc import Collection, Iterable

from django.db import models, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from jobs.models.delivery import Delivery
from jobs.text import without_credentials

# What no index leads to is looked for among so many requests at once.
WINDOW = 20_000
_LARGE = ("original", "graph", "study_actions", "faults", "joined_jobs", "withdrawn_jobs", "orgs", "analysis_scope")
CANCELLED_THERE = "Cancelled on the job-server."


def new_identifier() -> str:
    """16 characters of a-z2-7, the form that today's job-server gives its own requests."""
    return base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()


def identifier_of_wish(once: str, old: str) -> str:
    """Of the new request for what request `old` asked for: the same word `once` always gives the same."""
    digest = hashlib.sha256(f"again\n{old}\n{once}".encode("utf-8", "backslashreplace")).digest()
    return base64.b32encode(digest).decode("ascii")[:16].lower()


class JobRequestQuerySet(models.QuerySet):
    def waiting(self) -> "JobRequestQuerySet":
        """Received, and neither planned nor refused yet; the oldest first, as their jobs may build on each other's."""
        return self.filter(outcome=JobRequest.Outcome.WAITING).order_by("created_at", "pk")

    def told_from(self) -> "JobRequestQuerySet":
        """Only what a job-server is told of a request itself; there may be thousands."""
        columns = ("identifier", "source", "outcome", "outcome_message", "outcome_at", "error_name", "received_at")
        return self.only(*columns, "joined_jobs", "requested_actions")

    def changed(self) -> tuple:
        """Other than before whenever a request comes, or one is concluded or says something else."""
        newest = self.aggregate(last=models.Max("pk"))["last"]
        return newest, *self.waiting().values_list("pk", "outcome_message")[:100]

    def page(
        self, *, size: int, before: int | None = None, outcome: str = "", workspace: str = "", by: str = ""
    ) -> tuple[list["JobRequest"], int | None]:
        """The newest that fit, below `before`, and where the next page begins: None at the end.

        What no index leads to is looked for among the next WINDOW requests only.
        """
        found = self.defer(*_LARGE).order_by("-pk")
        last = before or (self.aggregate(last=models.Max("pk"))["last"] or 0) + 1
        found = found.filter(pk__lt=last)
        equal = {"outcome": outcome, "workspace": workspace, "created_by": by}
        floor = last - WINDOW if (outcome or by or workspace) and last > WINDOW + 1 else None
        if floor:
            found = found.filter(pk__gte=floor)
        rows = list(found.filter(**{column: value for column, value in equal.items() if value})[: size + 1])
        return rows[:size], rows[size - 1].pk if len(rows) > size else floor

    def with_jobs_in(self, backend: str, workspace: str) -> "JobRequestQuerySet":
        """Those that have jobs in the workspace."""
        return self.filter(backend=backend, workspace=workspace, jobs__isnull=False).distinct()


class JobRequest(models.Model):
    """Everything that either protocol carries (wire contract §1.2, §2.3); `original` keeps what came in, for audit.

    A request from a job-server is stored when it arrives, as `waiting`; sync's process then plans it, whichever way it
    came. `conclude` is the only way out of `waiting`, and `revive` the only way back: whoever called rap/create and got
    no jobs may ask for the same again.
    """

    class Source(models.TextChoices):
        LOCAL = "local", "manage.py add_job"
        POLLING = "polling", "polled from the job-server"
        RAP_API = "rap_api", "sent by the job-server"
        OPERATOR = "operator", "asked for again by an operator"

    class Outcome(models.TextChoices):
        WAITING = "waiting", "waits to be planned"
        PLANNED = "planned", "has jobs"
        NOTHING_TO_DO = "nothing_to_do", "everything is done already"
        ALREADY_SCHEDULED = "already_scheduled", "jobs of other requests do it"
        REFUSED = "refused", "cannot be planned"

    identifier = models.CharField(max_length=255, unique=True, default=new_identifier)
    source = models.CharField(max_length=16, choices=Source, default=Source.LOCAL)
    backend = models.CharField(max_length=64)
    workspace = models.CharField(max_length=128)
    repo_url = models.CharField(max_length=1024)
    branch = models.CharField(max_length=255, blank=True)
    commit = models.CharField(max_length=40)
    requested_actions = models.JSONField(default=list)
    cancelled_actions = models.JSONField(default=list, blank=True)
    # Every action of the study at the commit, so that the manifest can tell which outputs no action makes any more.
    study_actions = models.JSONField(default=list, blank=True)
    database_name = models.CharField(max_length=64, default="default")
    force_run_dependencies = models.BooleanField(default=False)
    codelists_ok = models.BooleanField(default=True)
    created_by = models.CharField(max_length=255, blank=True)
    project = models.CharField(max_length=255, blank=True)
    orgs = models.JSONField(default=list, blank=True)
    analysis_scope = models.JSONField(default=dict, blank=True)
    original = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    received_at = models.DateTimeField(default=timezone.now, editable=False)
    # What planning made of it
    outcome = models.CharField(max_length=32, choices=Outcome, default=Outcome.PLANNED, editable=False)
    outcome_message = models.TextField(blank=True, help_text="why; while it waits, what it waits for")
    outcome_at = models.DateTimeField(null=True, blank=True)
    error_name = models.CharField(max_length=64, blank=True, help_text="what kind of error refused it")
    joined_jobs = models.JSONField(default=list, blank=True, help_text="identifiers of the jobs that already do it")
    withdrawn_jobs = models.JSONField(
        default=list, blank=True, help_text="those of joined_jobs that were cancelled here while they were active"
    )

    # For the pages
    project_file = models.ForeignKey(
        "jobs.ProjectFile",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        help_text="as planned from",
    )
    faults = models.JSONField(
        default=list, blank=True, editable=False, help_text="of project.yaml: [line or null, sentence]"
    )
    graph = models.JSONField(null=True, blank=True, editable=False, help_text="where its jobs stand when drawn")

    # What planning has read of the study, until it is kept as `project_file`; not a column.
    project_content: bytes | None = None

    objects = JobRequestQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=["created_at", "id"], name="request_waiting", condition=Q(outcome="waiting")),
            models.Index(fields=["workspace", "id"], name="request_by_workspace"),
        )

    def __str__(self) -> str:
        return f"{self.identifier} ({self.workspace}: {', '.join(map(str, self.requested_actions))})"

    def get_absolute_url(self) -> str:
        return reverse("request", args=[self.identifier])

    @property
    def repository(self) -> str:
        """Its address as people may see it: who pastes one with a password in it has not meant to show that."""
        return without_credentials(self.repo_url)

    @property
    def is_waiting(self) -> bool:
        return self.outcome == self.Outcome.WAITING

    def conclude(
        self, outcome: Outcome, message: str = "", *, error_name: str = "", joined_jobs: Iterable[str] = (), **more
    ) -> bool:
        """Say what became of a waiting request, with more columns that belong to it. False if it no longer waits."""
        columns = {
            "outcome": outcome,
            "outcome_message": message,
            "outcome_at": timezone.now(),
            "error_name": error_name,
            "joined_jobs": list(joined_jobs),
            "faults": [],
            **more,
        }
        waiting = JobRequest.objects.filter(pk=self.pk, outcome=self.Outcome.WAITING)
        with transaction.atomic():
            if not waiting.update(**columns):
                return False
            if columns["joined_jobs"]:
                self._withdraw()  # what was cancelled before it was known that others do it
        for column, value in columns.items():
            setattr(self, column, value)
        return True

    def revive(self) -> bool:
        """Let a request that was concluded without jobs wait to be planned once more. False if it no longer is one."""
        without_jobs = (self.Outcome.REFUSED, self.Outcome.NOTHING_TO_DO, self.Outcome.ALREADY_SCHEDULED)
        columns = {
            "outcome": self.Outcome.WAITING,
            "outcome_message": "",
            "outcome_at": None,
            "error_name": "",
            "joined_jobs": [],
            "faults": [],
            "received_at": timezone.now(),
        }
        with transaction.atomic():
            if not JobRequest.objects.filter(pk=self.pk, outcome__in=without_jobs).update(**columns):
                return False
            Delivery.objects.reopen(self.pk)
        for column, value in columns.items():
            setattr(self, column, value)
        return True

    def ask_again(self, actions: Collection[str], *, by: str, reason: str, identifier: str = "") -> "JobRequest":
        """A new request of this site's for the same study at the same commit, that waits to be planned.

        No job-server knows of it: what it makes is stored in the workspace like all else. Without an identifier it gets
        one of its own.
        """
        columns = ("backend", "workspace", "repo_url", "branch", "commit", "database_name", "codelists_ok", "project")
        return JobRequest.objects.create(
            **{column: getattr(self, column) for column in (*columns, "orgs", "analysis_scope")},
            source=self.Source.OPERATOR,
            outcome=self.Outcome.WAITING,
            requested_actions=list(actions),
            created_by=by,
            identifier=identifier or new_identifier(),
            original={"again": self.identifier, "by": by, "reason": reason},
        )

    def ask_to_cancel(self, actions: Iterable[str], by: str) -> None:
        """Note the actions as cancelled, for good, and ask the runner to cancel those that are active.

        Before there are jobs they are only noted, and planning passes them on. Call inside a transaction: the row is
        written first, so that a plan that is being stored at this moment comes either before all of this or after it.
        """
        stored = self._cancelled()
        self.cancelled_actions = list(dict.fromkeys([*stored, *actions]))
        if self.cancelled_actions != stored:
            JobRequest.objects.filter(pk=self.pk).update(cancelled_actions=self.cancelled_actions)
        self._cancel_jobs(self.cancelled_actions, by)
        self._withdraw()

    def cancel_from_the_start(self) -> None:
        """What was cancelled before there were jobs, and what only that would have needed."""
        if cancelled := self._cancelled():
            if set(self.requested_actions) <= set(cancelled):
                self.jobs.request_cancel("job-server", CANCELLED_THERE)
            else:
                self._cancel_jobs(cancelled, "job-server")

    def _cancel_jobs(self, actions: Collection[str], by: str) -> None:
        """By primary keys: the list comes from outside, and a query takes only so many names."""
        named = set(actions)
        pks = [pk for pk, action in self.jobs.active().values_list("pk", "action") if action in named]
        for start in range(0, len(pks), 500):
            self.jobs.filter(pk__in=pks[start : start + 500]).request_cancel(by, CANCELLED_THERE)

    def _withdraw(self) -> None:
        """Note for good which jobs of other requests this one no longer wants. What had finished by then stays so."""
        columns = ("joined_jobs", "withdrawn_jobs", "cancelled_actions")
        joined, before, cancelled = JobRequest.objects.values_list(*columns).get(pk=self.pk)
        if not (joined and cancelled):
            return
        known, named, withdrawn = set(before), set(cancelled), list(before)
        for start in range(0, len(joined), 500):
            active = self.jobs.model.objects.filter(identifier__in=joined[start : start + 500]).active()
            rows = active.values_list("identifier", "action")
            withdrawn += [identifier for identifier, action in rows if action in named and identifier not in known]
        if withdrawn != before:
            JobRequest.objects.filter(pk=self.pk).update(withdrawn_jobs=withdrawn)
            self.withdrawn_jobs = withdrawn

    def _cancelled(self) -> list[str]:
        return JobRequest.objects.values_list("cancelled_actions", flat=True).get(pk=self.pk)

    def say(self, message: str) -> None:
        """Change only the sentence that tells what a waiting request waits for."""
        if message != self.outcome_message:
            waiting = JobRequest.objects.filter(pk=self.pk, outcome=self.Outcome.WAITING)
            if waiting.update(outcome_message=message):
                self.outcome_message = message
