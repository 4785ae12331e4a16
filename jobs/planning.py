"""From a JobRequest and its study to new Jobs and what each waits for.

All of a plan is stored in one transaction or nothing is. What is slow (git, storage, text) is looked at before it,
never inside; what is done about each action is decided by `jobs.deciding`.
"""

import logging
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from jobs import git
from jobs.deciding import Decision, Plan, PlannedAction, StoredFiles, decide
from jobs.errors import JobError, Stopped
from jobs.images import Images
from jobs.log import escape
from jobs.models import Job, JobRequest, ProjectFile
from jobs.models.job import job_identifier
from jobs.models.new_jobs import Beginning, Draft, store
from jobs.names import PROJECT_FILE, WORKSPACE_NAME, address_key
from jobs.project import Action, Project, load_project
from jobs.provenance import check_provenance
from jobs.states import StatusCode
from jobs.study.errors import shown
from jobs.study.run_command import split_command
from jobs.text import listed

log = logging.getLogger(__name__)

# A resolution that went stale because another request was planned meanwhile is made anew; twice is already improbable.
MAX_PLANNING_ROUNDS = 5


class RequestError(JobError):
    """The request itself cannot be planned: no action, an impossible workspace name, an unknown database."""

    def __init__(self, message: str):
        super().__init__(escape(message))


@dataclass(frozen=True)
class Submission:
    """What became of a request; `jobs` are only the new ones."""

    request: JobRequest
    plan: Plan
    jobs: list[Job]


def read_project(request: JobRequest) -> Project:
    """The study's project.yaml at the request's commit, which must be on its branch, unless it was planned already.

    Every way in passes here, so that none can forget to ask whose code it is. Raises ProvenanceError, GitError,
    GitUnavailable, RequestError and ProjectError.
    """
    known = _known(request)
    if not known or (known.repo_url, known.commit) != (request.repo_url, request.commit):
        check_provenance(request)
    try:
        request.project_content = git.read_file(request.repo_url, request.commit, PROJECT_FILE)
    except git.GitFileNotFound as error:
        raise RequestError(f"{error} A study needs one at the top of its repository.") from error
    return load_project(request.project_content, filename=PROJECT_FILE)


def check_request(request: JobRequest) -> None:
    """Refuse what no study could make right: the names in a request become folder names and labels."""
    if not WORKSPACE_NAME.fullmatch(request.workspace):
        raise RequestError(
            f"Workspace {shown(request.workspace)} is not a valid name: use letters, digits, '-' and '_', "
            "at most 128, beginning with a letter, digit or '_'."
        )
    if not request.requested_actions:
        raise RequestError("The request names no action: name at least one, or run_all.")
    if not all(isinstance(name, str) for name in request.requested_actions):
        raise RequestError("The request's actions must be a list of names.")
    if request.database_name not in settings.DATABASE_URLS:
        raise RequestError(
            f"Unknown database {request.database_name!r}: this backend knows {listed(settings.DATABASE_URLS)}."
        )


def make_plan(request: JobRequest, project: Project, stored: StoredFiles | None = None) -> Plan:
    """Decide about every requested action and all that they need. Reads database and storage, changes nothing.

    Raises UnknownAction and RequestError.
    """
    check_request(request)
    _refuse_mixing(request)
    plan = Plan(project, decide(request, project, stored or StoredFiles(request.workspace)))
    _refuse_stale_codelists(request, plan)
    return plan


def _refuse_stale_codelists(request: JobRequest, plan: Plan) -> None:
    """Whoever calls the RAP API is told at once (wire contract §2.3); a polled request gets the jobs that may run."""
    if request.source == JobRequest.Source.RAP_API and not request.codelists_ok:
        for planned in plan.to_run:
            if planned.action.is_database_action:
                raise RequestError(_out_of_date(planned.action.name))


def _out_of_date(action: str) -> str:
    return f"Codelists are out of date (required by action {action})."


def _refuse_mixing(request: JobRequest) -> None:
    """While jobs of another repository or database are active their outputs may come to lie in the same workspace."""
    for repo_url, database in Job.objects.active_sources(request.backend, request.workspace):
        if address_key(repo_url) != address_key(request.repo_url):
            other = f"repository {git.shown(repo_url)}"
        elif database != request.database_name:
            other = f"database {database}"
        else:
            continue
        raise RequestError(
            f"Workspace {request.workspace} has active jobs of {other}, and outputs of both would be mixed: wait for "
            "them, cancel them, or use another workspace."
        )


def submit(request: JobRequest, project: Project | None = None, *, by: str) -> Submission:
    """Plan the request and store its jobs, all or none. A new request is saved only if there is something to run.

    The same request again makes nothing new. One that was stored as waiting becomes planned in the same transaction;
    what its plan leaves undone (nothing to do, refused) is for the caller to store. `by` is who asked, for the
    timeline. Raises JobError kinds for what the author can mend, Unavailable kinds (git host) for what to try again,
    and Stopped if the request has been withdrawn meanwhile.
    """
    check_request(request)
    project = project or read_project(request)
    stored, drafts = StoredFiles(request.workspace), _Drafts(request, project)
    for _ in range(MAX_PLANNING_ROUNDS):
        if known := _known(request):
            return Submission(known, Plan(project, is_known=True), [])
        # All that takes long is done here: looks at storage, git, text. Inside, the plan is only made anew.
        plan = make_plan(request, project, stored)
        if not plan.to_run:
            return Submission(request, plan, [])
        drafts.add(plan.to_run)
        with transaction.atomic():
            plan = make_plan(request, project, stored)
            is_planned = bool(plan.to_run) and not _known(request) and drafts.are_enough_for(plan)
            if is_planned:
                _store(request, plan, drafts, by=by)
        if is_planned:
            return Submission(request, plan, list(request.jobs.order_by("pk")))
    raise RequestError("Other requests for this workspace keep changing what has to run: try again.")


def _known(request: JobRequest) -> JobRequest | None:
    """The request as it was planned before."""
    return JobRequest.objects.filter(identifier=request.identifier, jobs__isnull=False).first()


class _Drafts:
    """The new jobs of a request as far as they can be made without knowing what else happens: each is made once."""

    def __init__(self, request: JobRequest, project: Project):
        self._request, self._images = request, Images(project)
        self._made: dict[str, Draft] = {}

    def add(self, to_run: list[PlannedAction]) -> None:
        """Raises ReusableActionError, ProjectError and GitUnavailable."""
        self._images.resolve(planned.action for planned in to_run)
        self._images.check()
        for planned in to_run:
            if planned.action.name not in self._made:
                self._made[planned.action.name] = Draft(self._job(planned.action))

    def are_enough_for(self, plan: Plan) -> bool:
        return all(planned.action.name in self._made for planned in plan.to_run)

    def of(self, plan: Plan) -> list[Draft]:
        return [self._made[planned.action.name] for planned in plan.to_run]

    def _job(self, action: Action) -> Job:
        code, command = self._images.resolved[action.name]
        image, *arguments = split_command(command)
        return Job(
            identifier=job_identifier(self._request.identifier, action.name),
            backend=self._request.backend,
            workspace=self._request.workspace,
            action=action.name,
            run_command=action.run,
            image=image,
            arguments=arguments,
            output_spec=action.outputs,
            needs=list(action.needs),
            requires_db=action.is_database_action,
            code_repo_url=code.repo_url if code else "",
            code_commit=code.commit if code else "",
        )


def _store(request: JobRequest, plan: Plan, drafts: _Drafts, *, by: str) -> None:
    """Only inserts, by way of what was made before: everybody else who writes waits for the end of this."""
    new = [(draft, _beginning(request, plan, draft)) for draft in drafts.of(plan)]
    project_file = ProjectFile.keep_bytes(request.project_content)
    if not request.is_waiting:
        request.study_actions, request.project_file = plan.project.all_actions(), project_file
        request.save()
    elif not request.conclude(
        JobRequest.Outcome.PLANNED, study_actions=plan.project.all_actions(), project_file=project_file
    ):
        raise Stopped  # withdrawn, and whoever did so has been told that nothing was begun
    existing = {name: planned.job.pk for name, planned in plan.actions.items() if planned.job is not None}
    store(request, new, existing, by=by)
    request.cancel_from_the_start()  # before the runner sees any of these jobs
    log.info(
        "request %s: %d job(s) created (%s)", request.identifier, len(new), listed([draft.action for draft, _ in new])
    )


def _beginning(request: JobRequest, plan: Plan, draft: Draft) -> Beginning:
    if draft.requires_db and not request.codelists_ok:
        # Out-of-date codelists stop only the actions that read the database (wire contract §1.6).
        return Beginning(StatusCode.STALE_CODELISTS.value, _out_of_date(draft.action))
    unfinished = [name for name in draft.needs if plan.actions[name].decision is not Decision.REUSE]
    if unfinished:
        return Beginning(StatusCode.WAITING_ON_DEPENDENCIES.value, f"Waiting for {listed(unfinished)}.")
    return Beginning(StatusCode.CREATED.value, "Waiting for the runner.")
