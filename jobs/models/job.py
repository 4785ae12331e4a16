"""A Job: one action of one JobRequest, on its way from `created` to its end.

`Job.move_to` and its sibling for many waiting jobs, `JobQuerySet.move_waiting`, are the only writers of a status. Only
the runner calls them; the web and sync ask, by `request_cancel` and `request_kill`.
"""

import base64
import functools
import hashlib
import logging
import operator
from collections.abc import Callable

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from jobs.log import about
from jobs.models.delivery import Delivery
from jobs.models.job_queries import RETRY_COLUMNS, STOP_COLUMNS, JobQuerySet
from jobs.models.status_change import InvalidTransition, StatusChange, check_transition
from jobs.states import ACTIVE_STATES, CODES_OF, FINAL_STATES, TOLD_CODES, State, StatusCode, state_of

log = logging.getLogger(__name__)


def job_identifier(request_identifier: str, action: str) -> str:
    """The job's identifier: the same request and action always give the same (wire contract §1.3, semantics 6)."""
    digest = hashlib.sha1(f"{request_identifier}\n{action}".encode(), usedforsecurity=False).digest()
    return base64.b32encode(digest).decode("ascii")[:16].lower()


def _state_matches_code() -> Q:
    return functools.reduce(operator.or_, (Q(state=state, status_code__in=codes) for state, codes in CODES_OF.items()))


class Job(models.Model):
    """Planning writes identity and plan, once; `move_to` the status columns; the `request_*` verbs the stop columns."""

    class StopRequest(models.TextChoices):
        NONE = ""
        CANCEL = "cancel"
        KILL = "kill"

    # What a wish for another finalising is when there is none.
    NO_RETRY = {"retry_requested_by": "", "retry_requested_at": None, "retry_reason": "", "retry_clears": False}

    # Identity and plan
    # The primary key counts up, so it is also the order of creation; clocks may jump.
    identifier = models.CharField(max_length=64, unique=True)
    request = models.ForeignKey("jobs.JobRequest", on_delete=models.PROTECT, related_name="jobs")
    backend = models.CharField(max_length=64)
    workspace = models.CharField(max_length=128)
    action = models.CharField(max_length=255)
    run_command = models.TextField(help_text="as the study's author wrote it, with config")
    image = models.CharField(max_length=255, blank=True, help_text="name:tag without registry")
    arguments = models.JSONField(default=list, help_text="what follows the image")
    output_spec = models.JSONField(default=dict, help_text="privacy level -> name -> pattern")
    needs = models.JSONField(default=list, help_text="actions whose outputs it gets")
    requires_db = models.BooleanField(default=False)
    code_repo_url = models.CharField(max_length=1024, blank=True, help_text="of a reusable action, else empty")
    code_commit = models.CharField(max_length=40, blank=True)
    waits_for = models.ManyToManyField("self", symmetrical=False, related_name="dependents", blank=True)
    # Status
    state = models.CharField(max_length=16, choices=State, default=State.PENDING, editable=False)
    status_code = models.CharField(max_length=32, choices=StatusCode, default=StatusCode.CREATED, editable=False)
    status_message = models.TextField(default="", blank=True)
    status_detail = models.TextField(default="", blank=True, help_text="may name files: shown inside, never sent out")
    attempt = models.PositiveIntegerField(default=1)
    times_requeued = models.PositiveIntegerField(default=0, help_text="attempts that a mode of the site has ended")
    requeue_code = models.CharField(max_length=32, choices=StatusCode, blank=True, help_text="what it is stopped for")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    status_changed_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    # Facts that steps find out; written together with a status
    exit_code = models.IntegerField(null=True, blank=True)
    out_of_memory = models.BooleanField(default=False)
    image_id = models.CharField(max_length=128, blank=True)
    has_dummy_data = models.BooleanField(
        null=True, blank=True, help_text="whether the backend gave dummy data when it began; empty before that"
    )
    outcome_code = models.CharField(max_length=32, choices=StatusCode, blank=True, help_text="what finalized leads to")
    outcome_message = models.TextField(blank=True)
    outcome_detail = models.TextField(blank=True)
    metrics = models.JSONField(null=True, blank=True)
    trace_context = models.JSONField(null=True, blank=True)
    # What people ask for
    stop_request = models.CharField(max_length=8, choices=StopRequest, default=StopRequest.NONE, blank=True)
    stop_requested_by = models.CharField(max_length=255, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_reason = models.TextField(blank=True)
    # Of a job that ended with internal_error: have its finalising tried again, without running it again.
    retry_requested_by = models.CharField(max_length=255, blank=True)
    retry_requested_at = models.DateTimeField(null=True, blank=True)
    retry_reason = models.TextField(blank=True)
    retry_clears = models.BooleanField(default=False, help_text="the wish is to remove what was kept instead")
    was_cleared = models.BooleanField(default=False, help_text="what was kept for another finalising has been removed")

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        indexes = (
            # Active jobs are found through it however many finished ones there are.
            models.Index(fields=["state", "status_code", "id"], name="job_by_state"),
            models.Index(fields=["state", "stop_request"], name="job_by_stop_request"),
            models.Index(fields=["workspace", "action", "id"], name="job_by_workspace_action"),
            # What pages ask at each look: has anything changed, and what has ended in the last hours?
            models.Index(fields=["updated_at"], name="job_by_update"),
            models.Index(fields=["state", "completed_at"], name="job_by_end", condition=Q(completed_at__isnull=False)),
            # How long have the last successes of this action taken?
            models.Index(
                fields=["workspace", "action", "state", "id"],
                name="job_ended_by_action",
                condition=Q(completed_at__isnull=False),
            ),
            # A workspace's jobs, the newest first.
            models.Index(fields=["workspace", "id"], name="job_by_workspace"),
            # How far is a request, and which of its jobs failed?
            models.Index(fields=["request", "status_code", "id"], name="job_by_request"),
            models.Index(fields=["id"], name="job_to_retry", condition=Q(retry_requested_at__isnull=False)),
        )
        constraints = (
            models.UniqueConstraint(fields=["request", "action"], name="job_once_per_request_and_action"),
            models.CheckConstraint(condition=_state_matches_code(), name="job_state_matches_code"),
            models.CheckConstraint(
                condition=Q(state__in=FINAL_STATES, completed_at__isnull=False)
                | Q(state__in=ACTIVE_STATES, completed_at__isnull=True),
                name="job_completed_at_if_and_only_if_finished",
            ),
            models.CheckConstraint(condition=Q(attempt__gte=1), name="job_attempt_counts_from_one"),
            models.CheckConstraint(
                condition=Q(stop_request="") | (~Q(stop_requested_by="") & Q(stop_requested_at__isnull=False)),
                name="job_stop_request_says_who_and_when",
            ),
            models.CheckConstraint(
                condition=Q(retry_requested_at=None) | (~Q(retry_requested_by="") & ~Q(retry_reason="")),
                name="job_retry_request_says_who_and_why",
            ),
        )
        permissions = (
            ("cancel_job", "Can cancel and kill jobs"),
            ("retry_job", "Can have jobs finalised or run again"),
            ("read_log", "Can read the logs of jobs"),
            ("use_admin", "Can use the admin"),
        )

    def __str__(self) -> str:
        return f"{self.identifier} ({self.workspace}: {self.action}, {self.status_code})"

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.identifier])

    @property
    def container_name(self) -> str:
        """Of the current attempt's container; made from the id only, never from a study's words."""
        return f"jobrunner-{self.identifier}-{self.attempt}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES

    @property
    def is_finished(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def has_begun(self) -> bool:
        """Whether it is at work now."""
        return self.state == State.RUNNING

    @property
    def is_cut_off(self) -> bool:
        """Whether a fault of ours ended it, so that its finalising can be tried again."""
        return self.status_code == StatusCode.INTERNAL_ERROR and not self.was_cleared

    @property
    def is_of_other_data(self) -> bool:
        """Whether it began on dummy data and this backend now has real ones, or the other way round."""
        return self.has_dummy_data is not None and self.has_dummy_data != settings.USING_DUMMY_DATA_BACKEND

    @property
    def is_stop_requested(self) -> bool:
        return bool(self.stop_request)

    def move_to(self, code: str, message: str, *, detail: str = "", by: str = "runner", **facts) -> None:
        """Give the job its next status code, with a sentence for the study's author, and the facts found on the way.

        The message goes to the job-server; what may name files goes into `detail`, which is only shown inside.
        `facts` are column values that belong to the step (exit_code, outcome_code, attempt …). The row is changed only
        if its code and attempt are still those of this object, so a result of an abandoned attempt changes nothing.
        Raises InvalidTransition when the table forbids the step or the row has moved on.
        """
        old, attempt = self.status_code, self.attempt
        check_transition(old, code, self.identifier)
        changes = self._columns_for(StatusCode(code), message) | {"status_detail": detail} | facts
        with transaction.atomic():
            rows = Job.objects.filter(pk=self.pk, status_code=old, attempt=attempt).update(**changes)
            if not rows:
                raise InvalidTransition(
                    f"job {self.identifier}: no longer {old} in attempt {attempt}, so not moved to {code}"
                )
            StatusChange.objects.create(
                job=self,
                from_code=old,
                to_code=code,
                message=message,
                actor=by,
                at=changes["status_changed_at"],
                attempt=attempt,
            )
            if state_of(old) in FINAL_STATES:
                Delivery.objects.reopen_for(self)
        for column, value in changes.items():
            setattr(self, column, value)
        level = logging.INFO if code in TOLD_CODES else logging.DEBUG
        with about(job=self.identifier, workspace=self.workspace, action=self.action):
            log.log(level, "job %s (%s: %s): %s. %s", self.identifier, self.workspace, self.action, code, message)

    def _columns_for(self, code: StatusCode, message: str) -> dict:
        # A clock that was set back must not give negative durations.
        now = max(timezone.now(), self.status_changed_at)
        state = state_of(code)
        columns = {
            "status_code": code,
            "state": state,
            "status_message": message,
            "status_changed_at": now,
            "updated_at": now,
            "completed_at": now if state in FINAL_STATES else None,
        }
        if code == StatusCode.INITIATED:  # another attempt counts from its own beginning
            columns["started_at"] = now
        return columns

    def say(self, message: str, *, detail: str = "") -> None:
        """Change only the sentence beside the status (why it still waits, since when something does not answer)."""
        if (message, detail) == (self.status_message, self.status_detail):
            return
        now = timezone.now()
        still = Job.objects.filter(pk=self.pk, status_code=self.status_code, attempt=self.attempt)
        if still.update(status_message=message, status_detail=detail, updated_at=now):
            self.status_message, self.status_detail, self.updated_at = message, detail, now

    def is_as_stored(self) -> bool:
        """Whether the row still has this object's status and attempt."""
        return Job.objects.filter(pk=self.pk, status_code=self.status_code, attempt=self.attempt).exists()

    def record(self, **facts) -> None:
        """Store facts that a step found out, without a change of status. Raises InvalidTransition as `move_to` does."""
        still = Job.objects.filter(pk=self.pk, status_code=self.status_code, attempt=self.attempt)
        if not still.update(**facts, updated_at=timezone.now()):
            raise InvalidTransition(f"job {self.identifier}: no longer {self.status_code} in attempt {self.attempt}")
        for column, value in facts.items():
            setattr(self, column, value)

    def request_cancel(self, by: str, reason: str) -> bool:
        """Ask the runner to cancel. False when there is nothing to ask: finished, or already asked."""
        return self._ask(JobQuerySet.request_cancel, by, reason)

    def request_kill(self, by: str, reason: str) -> bool:
        """Ask the runner to end the job as `killed_by_admin`; overrides a cancel that was not carried out yet."""
        return self._ask(JobQuerySet.request_kill, by, reason)

    def request_retry(self, by: str, reason: str) -> bool:
        """Ask the runner to try the finalising again. False if it did not end with internal_error."""
        return self._ask(JobQuerySet.request_retry, by, reason, RETRY_COLUMNS)

    def refuse_retry(self, message: str) -> None:
        """Take the wish back, with a sentence that says why; it may be asked anew."""
        changes = Job.NO_RETRY | {"status_message": message, "updated_at": timezone.now()}
        still = Job.objects.filter(pk=self.pk, status_code=self.status_code, attempt=self.attempt)
        if still.update(**changes):
            for column, value in changes.items():
                setattr(self, column, value)

    def newer_run(self) -> str | None:
        """Identifier of a newer job of the same action in the workspace that is active or has succeeded, if any."""
        newer = Job.objects.filter(workspace=self.workspace, action=self.action, backend=self.backend, pk__gt=self.pk)
        return newer.exclude(state=State.FAILED).order_by("pk").values_list("identifier", flat=True).first()

    def was_executing(self) -> bool:
        """Whether a container of this attempt has ever been started, as far as the runner knows."""
        return self.status_changes.filter(to_code=StatusCode.EXECUTING, attempt=self.attempt).exists()

    def was_seen_to_end(self) -> bool:
        """Whether the engine has told the end of this very attempt's container."""
        return self.status_changes.filter(to_code=StatusCode.EXECUTED, attempt=self.attempt).exists()

    def _ask(self, verb: Callable[[JobQuerySet, str, str], int], by: str, reason: str, columns=STOP_COLUMNS) -> bool:
        asked = verb(Job.objects.filter(pk=self.pk), by, reason)
        if asked:
            self.refresh_from_db(fields=columns)
        return bool(asked)
