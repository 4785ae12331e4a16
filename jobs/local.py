"""Adding jobs by hand: what `manage.py add_job` does with what somebody typed. The way in without a job-server."""

import getpass
import os
import re
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs import git, planning, waiting
from jobs.log import escape
from jobs.models import Job, JobRequest
from jobs.project import Project
from jobs.results import print_results, terminal

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

    def to_request(self) -> JobRequest:
        """An unsaved JobRequest at a resolved commit. Raises GitError and GitUnavailable."""
        repo = _absolute_if_local(self.repo)
        return JobRequest(
            source=JobRequest.Source.LOCAL,
            backend=settings.BACKEND,
            workspace=self.workspace or _workspace_named_after(repo),
            repo_url=repo,
            branch=self.branch,
            commit=git.resolve(repo, self.commit or self.branch or "HEAD"),
            requested_actions=self.actions,
            database_name=self.database,
            force_run_dependencies=self.force_run_dependencies,
            created_by=_who(),
        )


def _absolute_if_local(repo: str) -> str:
    try:
        local = Path(repo).expanduser()
        return str(local.resolve()) if repo and local.exists() else repo
    except (OSError, RuntimeError, ValueError):
        return repo  # too long to be a path, or below the home of somebody unknown: git says what is wrong with it


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"  # a container may run as a user that has no name


def _workspace_named_after(repo: str) -> str:
    name = repo.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", name).strip("-") or "workspace"


def show_plan(wish: Wish) -> bool:
    """Print what would run, what is reused and why; nothing is stored."""
    console, request = terminal(), wish.to_request()
    project = _read(request)
    plan = planning.make_plan(request, project)
    planning.ImageResolver(project).all_of(plan)  # an image that cannot be had is refused here as it would be later
    table = Table(
        title=f"Plan for {request.workspace} at {request.commit[:10]} (nothing was added)", title_justify="left"
    )
    for column in ("action", "decision", "why", "needs", "command"):
        table.add_column(column, overflow="fold")
    for name, planned in plan.actions.items():
        sign, style = _LOOK[planned.decision]
        cells = (planned.why, ", ".join(planned.action.needs) or "-", planned.action.run)
        table.add_row(Text(escape(name), style), Text(sign, style), *(Text(escape(cell)) for cell in cells))
    console.print(table)
    console.print(plan.nothing_to_do or f"{len(plan.to_run)} job(s) would be added.", soft_wrap=True)
    return True


def add(wish: Wish, *, wait: bool) -> bool:
    """Store the jobs; with `wait` see them through. Whether all that was waited for succeeded."""
    console, request = terminal(), wish.to_request()
    submission = planning.submit(request, _read(request), by=request.created_by)
    if submission.plan.nothing_to_do:
        console.print(submission.plan.nothing_to_do, soft_wrap=True)
    for job in submission.jobs:
        console.print(f"{job.identifier}  {escape(job.action)}", markup=False, soft_wrap=True)
    if submission.jobs:
        console.print(f"{len(submission.jobs)} job(s) added to workspace {request.workspace}.", soft_wrap=True)
    return _see_through(submission) if wait else True


def _see_through(submission: planning.Submission) -> bool:
    joined = [planned.job for planned in submission.plan.actions.values() if planned.decision is planning.Decision.JOIN]
    jobs = submission.jobs + joined
    if not jobs:
        return True
    waiting.until_done(jobs)
    ended = list(Job.objects.filter(pk__in=[job.pk for job in jobs]).order_by("pk"))
    return print_results(ended)


def _read(request: JobRequest) -> Project:
    project = planning.read_project(request)
    notes = Console(stderr=True, highlight=False)
    for warning in project.warnings:
        notes.print(f"warning: {escape(warning)}", style="yellow", markup=False, soft_wrap=True)
    return project
