"""From a JobRequest and its study to new Jobs and what each waits for.

The rules, from what researchers of the older system expect:

* an action asked for by name always runs again; `run_all` means every action that is not done yet;
* an action that is only needed runs if it never succeeded, if its last job failed, if its outputs are not all in
  storage any more, or if dependencies are forced; otherwise its last job's outputs are reused;
* an action with an active job is joined, never doubled, unless that job is being stopped;
* when nothing is left to run, that is an answer and not an error.

All of a plan is stored in one transaction or nothing is. Git is read before it, never inside.
"""

import logging
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from django.conf import settings
from django.db import transaction

from jobs import git, reusable_actions
from jobs.errors import JobError
from jobs.models import Job, JobOutput, JobRequest
from jobs.models.job import insert, job_identifier
from jobs.project import RUN_ALL, Action, Project, load_project
from jobs.states import State, StatusCode
from jobs.storage import high_privacy_workspace
from jobs.text import listed

log = logging.getLogger(__name__)

PROJECT_FILE = "project.yaml"
# A resolution that went stale because another request was planned meanwhile is made anew; twice is already improbable.
MAX_PLANNING_ROUNDS = 5


class RequestError(JobError):
    """The request itself cannot be planned: no action, an impossible workspace name, an unknown database."""


class Decision(StrEnum):
    RUN = "run"
    JOIN = "join"
    REUSE = "reuse"


@dataclass(frozen=True)
class PlannedAction:
    """One action of the plan: what is done about it and why, in words for the study's author."""

    action: Action
    decision: Decision
    why: str
    job: Job | None = None  # the existing job that is joined or reused


@dataclass(frozen=True)
class Plan:
    """The planned actions, each after those that it needs."""

    project: Project
    actions: dict[str, PlannedAction] = field(default_factory=dict)

    @property
    def to_run(self) -> list[PlannedAction]:
        return [planned for planned in self.actions.values() if planned.decision is Decision.RUN]

    @property
    def nothing_to_do(self) -> str:
        """Why there is nothing to run, or an empty string."""
        if self.to_run:
            return ""
        joined = [name for name, planned in self.actions.items() if planned.decision is Decision.JOIN]
        if joined:
            return f"Nothing to do: {listed(joined)} {'is' if len(joined) == 1 else 'are'} already scheduled."
        return "Nothing to do: all actions have already succeeded and their outputs are in storage."


@dataclass(frozen=True)
class Submission:
    """What became of a request; `jobs` are only the new ones."""

    request: JobRequest
    plan: Plan
    jobs: list[Job]


def read_project(request: JobRequest) -> Project:
    """The study's project.yaml at the request's commit. Raises GitError, GitUnavailable and ProjectError."""
    try:
        text = git.read_file(request.repo_url, request.commit, PROJECT_FILE)
    except git.GitFileNotFound as error:
        raise RequestError(
            f"The study has no {PROJECT_FILE} at commit {request.commit[:10]}: add one at the top of the repository."
        ) from error
    return load_project(text, filename=PROJECT_FILE)


def check_request(request: JobRequest) -> None:
    """Refuse what no study could make right: the names in a request become folder names and labels."""
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", request.workspace):
        raise RequestError(
            f"Workspace {request.workspace!r} is not a valid name: use letters, digits, '-' and '_', at most 128."
        )
    if not request.requested_actions:
        raise RequestError("The request names no action: name at least one, or run_all.")
    if not all(isinstance(name, str) for name in request.requested_actions):
        raise RequestError("The request's actions must be a list of names.")
    if request.database_name not in settings.DATABASE_URLS:
        raise RequestError(
            f"Unknown database {request.database_name!r}: this backend knows {listed(settings.DATABASE_URLS)}."
        )


def make_plan(request: JobRequest, project: Project) -> Plan:
    """Decide about every requested action and all that they need. Reads database and storage, changes nothing.

    Raises UnknownAction and RequestError.
    """
    check_request(request)
    asked_for = [name for name in request.requested_actions if name != RUN_ALL]
    for name in asked_for:
        project.action(name)
    roots = asked_for + (project.all_actions() if RUN_ALL in request.requested_actions else [])
    decide = _Decider(request, set(asked_for))
    return Plan(project, _walk(project, roots, decide))


def _walk(project: Project, roots: list[str], decide: "_Decider") -> dict[str, PlannedAction]:
    """Depth first and without recursion: an action follows those it needs; what is not run is not looked behind."""
    decided: dict[str, PlannedAction] = {}
    ordered: dict[str, PlannedAction] = {}
    stack = [(name, False) for name in reversed(roots)]
    while stack:
        name, needs_are_done = stack.pop()
        if name in ordered:
            continue
        planned = decided.setdefault(name, decide(project.action(name)))
        if needs_are_done or planned.decision is not Decision.RUN:
            ordered[name] = planned
            continue
        stack.append((name, True))
        stack += [(needed, False) for needed in reversed(planned.action.needs) if needed not in ordered]
    return ordered


class _Decider:
    """Run, join or reuse: the rules of the module's docstring for one action, with what they need to know at hand."""

    def __init__(self, request: JobRequest, asked_for: set[str]):
        self.request, self.asked_for = request, asked_for
        self.latest = Job.objects.latest_per_action(request.backend, request.workspace)
        self.gone = _with_missing_outputs(request.workspace, self.latest.values())

    def __call__(self, action: Action) -> PlannedAction:
        job = self.latest.get(action.name)
        if job is not None and job.is_active and not job.is_stop_requested:
            return PlannedAction(action, Decision.JOIN, f"job {job.identifier} is already {job.state}", job)
        why = self._why_run(action.name, job)
        if why:
            return PlannedAction(action, Decision.RUN, why)
        return PlannedAction(action, Decision.REUSE, f"job {job.identifier} succeeded, its outputs are in storage", job)

    def _why_run(self, name: str, job: Job | None) -> str:
        if name in self.asked_for:
            return "asked for by name"
        if job is None:
            return "has not run in this workspace yet"
        if job.is_active:
            return f"job {job.identifier} is being stopped"
        if job.state == State.FAILED:
            return f"its last job {job.identifier} failed"
        if job.pk in self.gone:
            return f"{self.gone[job.pk]} of its last job {job.identifier} is missing from storage"
        return "dependencies are forced to run again" if self.request.force_run_dependencies else ""


def _with_missing_outputs(workspace: str, jobs: Iterable[Job]) -> dict[int, str]:
    """Succeeded jobs that have lost an output -> the first such path. A job without any output has lost them all."""
    succeeded = {job.pk for job in jobs if job.state == State.SUCCEEDED}
    folder = high_privacy_workspace(workspace)
    missing: dict[int, str] = {}
    complete: set[int] = set()
    for output in JobOutput.objects.filter(job__in=succeeded).order_by("pk").iterator():
        complete.add(output.job_id)
        if not output.is_current or not (folder / output.path).is_file():
            missing.setdefault(output.job_id, output.path)
    return missing | {pk: "every output" for pk in succeeded - complete}


def submit(request: JobRequest, project: Project | None = None, *, by: str) -> Submission:
    """Plan the request and store its jobs, all or none. The request is saved only if there is something to run.

    The same request again makes nothing new. `by` is who asked, for the timeline. Raises JobError kinds for what the
    author can mend and Unavailable kinds (git host) for what to try again.
    """
    project = project or read_project(request)
    resolver = ImageResolver(project)
    for _ in range(MAX_PLANNING_ROUNDS):
        resolved = resolver.all_of(make_plan(request, project))
        with transaction.atomic():
            existing = JobRequest.objects.filter(identifier=request.identifier, jobs__isnull=False).first()
            if existing is not None:
                return Submission(existing, Plan(project), [])
            plan = make_plan(request, project)
            if all(planned.action.name in resolved for planned in plan.to_run):
                return Submission(request, plan, _store(request, plan, resolved, by=by) if plan.to_run else [])
    raise RequestError("Other requests for this workspace keep changing what has to run: try again.")


def _store(request: JobRequest, plan: Plan, resolved: dict, *, by: str) -> list[Job]:
    request.study_actions = plan.project.all_actions()
    request.save()
    jobs = {planned.action.name: _new_job(request, plan, planned, resolved) for planned in plan.to_run}
    insert(list(jobs.values()), by=by)
    existing = {name: planned.job for name, planned in plan.actions.items() if planned.job is not None}
    links = Job.waits_for.through
    links.objects.bulk_create(
        [
            links(from_job_id=job.pk, to_job_id=(jobs.get(needed) or existing[needed]).pk)
            for job in jobs.values()
            for needed in job.needs
        ],
        batch_size=500,
    )
    if not request.codelists_ok:
        _refuse_stale_codelists(jobs.values(), by=by)
    log.info("request %s: %d jobs created (%s)", request.identifier, len(jobs), listed(jobs))
    return list(jobs.values())


def _new_job(request: JobRequest, plan: Plan, planned: PlannedAction, resolved: dict) -> Job:
    action = planned.action
    code_source, run_command = resolved[action.name]
    image, *arguments = shlex.split(run_command)
    unfinished = [name for name in action.needs if plan.actions[name].decision is not Decision.REUSE]
    return Job(
        identifier=job_identifier(request.identifier, action.name),
        request=request,
        backend=request.backend,
        workspace=request.workspace,
        action=action.name,
        run_command=action.run,
        image=image,
        arguments=arguments,
        output_spec=action.outputs,
        needs=list(action.needs),
        requires_db=action.is_database_action,
        code_repo_url=code_source.repo_url if code_source else "",
        code_commit=code_source.commit if code_source else "",
        status_code=StatusCode.WAITING_ON_DEPENDENCIES if unfinished else StatusCode.CREATED,
        status_message=f"Waiting for {listed(unfinished)}." if unfinished else "Waiting for the runner.",
    )


def _refuse_stale_codelists(jobs: Iterable[Job], *, by: str) -> None:
    """Out-of-date codelists stop only the actions that read the database (wire contract §1.6)."""
    for job in jobs:
        if job.requires_db:
            job.move_to(
                StatusCode.STALE_CODELISTS, f"Codelists are out of date (required by action {job.action}).", by=by
            )


class ImageResolver:
    """From an Action to where its code lies (None: the study itself) and its command with an allowed image in front."""

    def __init__(self, project: Project):
        self._project = project
        self._reusable = reusable_actions.Resolver(
            allowed_images=settings.ALLOWED_IMAGES,
            org_url=settings.ACTIONS_ORG_URL,
            resolve_ref=git.resolve,
            is_on_branch=git.is_on_branch,
            read_file=git.read_file,
        )

    def all_of(self, plan: Plan) -> dict[str, tuple]:
        """Action -> what the resolver says, for every action that is to run. Raises ReusableActionError kinds."""
        return {planned.action.name: self(planned.action) for planned in plan.to_run}

    def __call__(self, action: Action) -> tuple:
        command = self._project.run_command(action.name, using_dummy_data_backend=settings.USING_DUMMY_DATA_BACKEND)
        try:
            return self._reusable(action, command)
        except git.GitUnavailable as error:
            raise git.GitUnavailable(
                f"Action {action.name}: {action.image} is none of the images of this backend "
                f"({listed(settings.ALLOWED_IMAGES, most=12)}), so it was looked for as a reusable action. {error}"
            ) from error
