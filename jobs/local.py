"""Adding jobs by hand: what `manage.py add_job` does with what somebody typed. The way in without a job-server."""

import contextlib
import difflib
import getpass
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs import git, graph, planning, provenance, waiting
from jobs.images import Images
from jobs.log import escape
from jobs.models import Heartbeat, Job, JobRequest
from jobs.names import address_key
from jobs.project import Project
from jobs.results import print_results, terminal
from jobs.text import listed

# Columns of a terminal below which a plan is shown without commands.
NARROW = 110
_LOOK = {
    planning.Decision.RUN: ("▶ run", "green"),
    planning.Decision.JOIN: ("≡ already scheduled", "cyan"),
    planning.Decision.REUSE: ("✓ reuse", "dim"),
}


@dataclass(frozen=True)
class Wish:
    """What was typed; empty strings stand for what was left out."""

    repo: str
    actions: list[str]
    commit: str = ""
    branch: str = ""
    workspace: str = ""
    database: str = "default"
    force_run_dependencies: bool = False

    @property
    def revision(self) -> str:
        """As git is asked for it; `--branch` never means a tag of the same name."""
        return self.commit or (f"refs/heads/{self.branch_name}" if self.branch else "HEAD")

    @property
    def branch_name(self) -> str:
        return self.branch.removeprefix("refs/heads/")

    def to_request(self) -> JobRequest:
        """An unsaved JobRequest at a resolved commit, and on a branch if the repository is elsewhere.

        Whether the commit is on that branch is asked when the study is read. Raises RequestError, ProvenanceError,
        GitError and GitUnavailable.
        """
        repo = _absolute_if_local(self.repo, self.actions)
        request = JobRequest(
            source=JobRequest.Source.LOCAL,
            backend=settings.BACKEND,
            workspace=self.workspace or _workspace_named_after(repo),
            repo_url=repo,
            branch=self.branch_name,
            requested_actions=self.actions,
            database_name=self.database,
            force_run_dependencies=self.force_run_dependencies,
            created_by=_who(),
        )
        planning.check_request(request)  # before git, which may take long
        is_local = git.check_study(repo).is_local
        if self.branch or git.is_full_id(self.commit.lower()):
            provenance.check_names(request)
        request.commit, branch = git.resolve_with_branch(repo, self.revision)
        if not request.branch and not is_local:
            request.branch = branch
        return request


def _absolute_if_local(repo: str, actions: list[str]) -> str:
    if not repo:
        raise git.GitError("The repository is empty: give its path or its https:// address.")
    try:
        local = Path(repo)
        if not local.exists():
            local = local.expanduser()
        if local.exists():
            return str(local.resolve())
        near = difflib.get_close_matches(local.name, [each.name for each in local.absolute().parent.iterdir()], n=1)
    except (OSError, RuntimeError, ValueError):
        return repo  # too long to be a path, or below the home of somebody unknown: git says what is wrong with it
    if not near and "://" not in repo and any(Path(action).is_dir() for action in actions):
        raise git.GitError(
            f"There is no folder {git.shown(str(local.absolute()))!r}. The repository comes first, then the actions."
        )
    if near and not repo.startswith(("-", "/")):
        raise git.GitError(
            f"There is no folder {git.shown(str(local.absolute()))!r}. Did you mean {str(local.with_name(near[0]))!r}?"
        )
    if repo.startswith((".", "/", "~")):
        raise git.GitError(f"There is no folder {git.shown(str(local.absolute()))!r}.")
    return repo


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"  # a container may run as a user that has no name


def _workspace_named_after(repo: str) -> str:
    name = repo.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", name).strip("-")[:128] or "workspace"


def _request_and_project(wish: Wish) -> tuple[JobRequest, Project]:
    """What was asked for and the study at that commit; on the way says what its author should know about both."""
    request = wish.to_request()
    if left_out := git.uncommitted(request.repo_url, wish.revision):
        _warn(
            f"uncommitted changes are not run: {listed(left_out)}. "
            "To run them, commit them (git add, git commit) and call this command again."
        )
    project = planning.read_project(request)
    for warning in [*_strangers(request), *_left_out(request), *project.warnings]:
        _warn(warning)
    return request, project


def _strangers(request: JobRequest) -> Iterator[str]:
    """Two studies of one folder name share a workspace unless somebody says otherwise."""
    earlier = JobRequest.objects.with_jobs_in(request.backend, request.workspace).order_by()
    others = {url for url in earlier.values_list("repo_url", flat=True).distinct() if url}
    if strange := sorted(url for url in others if address_key(url) != address_key(request.repo_url)):
        yield (
            f"workspace {request.workspace} has outputs of {git.shown(strange[0])}, too. Those of equal names are "
            "replaced: use --workspace to keep the studies apart."
        )
    if request.database_name != "default" and settings.USING_DUMMY_DATA_BACKEND:
        yield f"this backend uses dummy data: no database is read, {request.database_name} neither."


def _left_out(request: JobRequest) -> Iterator[str]:
    """What a checkout of the study would have and a job's folder will not."""
    for path, mark, sentence in (
        (".gitmodules", b"[submodule", "git submodules, which are left out: jobs find empty folders in their place"),
        (".gitattributes", b"filter=lfs", "git LFS, whose files are left out: jobs find small pointer files instead"),
    ):
        with contextlib.suppress(git.GitError):
            if mark in git.read_file(request.repo_url, request.commit, path):
                yield f"the study has {sentence} ({path})."


def _warn(sentence: str) -> None:
    notes = Console(stderr=True, highlight=False)
    notes.print(f"warning: {escape(sentence)}", style="yellow", markup=False, soft_wrap=True)


def show_plan(wish: Wish) -> None:
    """Print what would run, what is reused and why; nothing is stored.

    The plan is shown even if images of it cannot be had; then raises what adding the jobs would raise.
    """
    console, (request, project) = terminal(), _request_and_project(wish)
    plan = planning.make_plan(request, project)
    images = Images(project)
    images.resolve(planned.action for planned in plan.to_run)
    table = Table(
        title=f"Plan for {request.workspace} at {request.commit[:10]} (nothing was added)", title_justify="left"
    )
    columns = ("action", "decision", "why", "needs", "command")
    # A narrow terminal would break all columns in the middle of names; the commands stand in project.yaml.
    for column in columns if console.width >= NARROW else columns[:-1]:
        table.add_column(column, overflow="fold")
    for name, planned in plan.actions.items():
        sign, style = _LOOK[planned.decision]
        why = f"{planned.why}, but it cannot be run: see below" if name in images.troubles else planned.why
        cells = (why, "\n".join(planned.action.needs) or "-", escape(planned.run_command))
        table.add_row(Text(name, style), Text(sign, style), *map(Text, cells[: len(table.columns) - 2]))
    console.print(table)
    _warn_of_other_commits(request, plan)
    images.check()
    console.print(plan.nothing_to_do or f"{len(plan.to_run)} job(s) would be added.", soft_wrap=True)


def add(wish: Wish, *, wait: bool) -> bool:
    """Store the jobs; with `wait` see them through. Whether all that was waited for succeeded."""
    console, (request, project) = terminal(), _request_and_project(wish)
    submission = planning.submit(request, project, by=request.created_by)
    if submission.jobs:
        graph.lay_out(submission.request)
    _warn_of_other_commits(request, submission.plan)
    if submission.plan.nothing_to_do:
        console.print(submission.plan.nothing_to_do, soft_wrap=True)
    for job in submission.jobs:
        console.print(f"{job.identifier}  {escape(job.action)}", markup=False, soft_wrap=True)
    if submission.jobs:
        console.print(f"{len(submission.jobs)} job(s) added to workspace {request.workspace}.", soft_wrap=True)
        if not wait and not Heartbeat.is_fresh("run"):
            _warn("no runner is at work: start `manage.py run`, or use --wait next time.")
    return _see_through(submission) if wait else True


def _warn_of_other_commits(request: JobRequest, plan: planning.Plan) -> None:
    """Whoever has just committed a change expects that to run."""
    for planned in plan.actions.values():
        if planned.decision is planning.Decision.JOIN and planned.is_of_other_commit:
            job = planned.job
            _warn(
                f"{job.action} is already scheduled at commit {job.request.commit[:10]} and will not run at "
                f"{request.commit[:10]}. If it should, cancel job {job.identifier} and ask again."
            )


def _see_through(submission: planning.Submission) -> bool:
    joined = [planned.job for planned in submission.plan.actions.values() if planned.decision is planning.Decision.JOIN]
    jobs = submission.jobs + joined
    if not jobs:
        return True
    waiting.until_done(jobs)
    ended = list(Job.objects.filter(pk__in=[job.pk for job in jobs]).order_by("pk"))
    return print_results(ended)
