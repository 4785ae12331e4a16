"""Run, join or reuse: what is done about each action that a request needs, and why.

The rules, from what researchers of the older system expect:

* an action asked for by name always runs again; `run_all` means every action that is not done yet;
* an action that is only needed runs if it never succeeded, if its last job failed, if its outputs are not all in
  storage any more, or if dependencies are forced; otherwise its last job's outputs are reused;
* an action with an active job is joined, never doubled, unless that job is being stopped or can only fail; the commit
  does not matter, but the plan says when it is another one;
* a job of another repository, or one that was made with another database, is neither joined nor reused;
* when nothing is left to run, that is an answer and not an error.

Looks at database and storage and changes nothing. How a plan becomes jobs is not known here.
"""

import fnmatch
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from jobs.models import Job, JobOutput, JobRequest
from jobs.names import address_key
from jobs.project import RUN_ALL, Action, Project
from jobs.states import State
from jobs.storage import high_privacy_workspace
from jobs.text import listed


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
    # That job runs, or ran, the study at another commit than the request's.
    is_of_other_commit: bool = False

    @property
    def run_command(self) -> str:
        """What runs, or has run: an existing job's own command."""
        return self.job.run_command if self.job else self.action.run


@dataclass(frozen=True)
class Plan:
    """The planned actions, each after those that it needs."""

    project: Project
    actions: dict[str, PlannedAction] = field(default_factory=dict)
    # The request has its jobs already; they may have ended in any way.
    is_known: bool = False

    @property
    def to_run(self) -> list[PlannedAction]:
        return [planned for planned in self.actions.values() if planned.decision is Decision.RUN]

    @property
    def nothing_to_do(self) -> str:
        """Why there is nothing to run and how to run it all the same, or an empty string."""
        if self.to_run:
            return ""
        if self.is_known:
            return "Nothing to do: this request has its jobs already."
        joined = [name for name, planned in self.actions.items() if planned.decision is Decision.JOIN]
        if joined:
            return f"Nothing to do: {listed(joined)} {'is' if len(joined) == 1 else 'are'} already scheduled."
        older = [name for name, planned in self.actions.items() if planned.is_of_other_commit]
        changed = f" {listed(older)} ran at another commit than this one." if older else ""
        return (
            "Nothing to do: all actions have already succeeded and their outputs are in storage."
            f"{changed} To run an action again, ask for it by name."
        )


class StoredFiles:
    """Which files a workspace has in storage. Each is looked at once.

    A plan is made twice, the second time inside a transaction, where thousands of looks at a slow disk would hold up
    everybody's writes; files do not come and go between the two.
    """

    def __init__(self, workspace: str):
        self._folder = high_privacy_workspace(workspace)
        self._seen: dict[str, bool] = {}

    def __contains__(self, path: str) -> bool:
        if path not in self._seen:
            self._seen[path] = (self._folder / path).is_file()
        return self._seen[path]


def decide(request: JobRequest, project: Project, stored: StoredFiles) -> dict[str, PlannedAction]:
    """What is done about every requested action and all that they need, each after its needs. Raises UnknownAction."""
    asked_for = [name for name in request.requested_actions if name != RUN_ALL]
    project.check_names(asked_for)
    everything = project.all_actions() if RUN_ALL in request.requested_actions else []
    decider = _Decider(request, project, set(asked_for), stored)
    replaced = {name: planned for name in everything if (planned := decider.replaced(project.action(name)))}
    roots = [*asked_for, *(name for name in everything if name not in replaced)]
    decided = _walk(project, roots, decider)
    # What was replaced is run again only if something that runs needs it, which the walk has found out.
    return decided | {name: planned for name, planned in replaced.items() if name not in decided}


def _walk(project: Project, roots: list[str], decider: "_Decider") -> dict[str, PlannedAction]:
    """Depth first and without recursion: an action follows those it needs; what is not run is not looked behind."""
    decided: dict[str, PlannedAction] = {}
    ordered: dict[str, PlannedAction] = {}
    stack = [(name, False) for name in reversed(roots)]
    while stack:
        name, needs_are_done = stack.pop()
        if name in ordered:
            continue
        planned = decided.setdefault(name, decider(project.action(name)))
        if needs_are_done or planned.decision is not Decision.RUN:
            ordered[name] = planned
            continue
        stack.append((name, True))
        stack += [(needed, False) for needed in reversed(planned.action.needs) if needed not in ordered]
    return ordered


class _Output(NamedTuple):
    path: str
    is_current: bool


class _Decider:
    """The rules of the module's docstring for one action, with what they need to know at hand."""

    def __init__(self, request: JobRequest, project: Project, asked_for: set[str], stored: StoredFiles):
        self.request, self.asked_for, self.stored = request, asked_for, stored
        self.latest = Job.objects.latest_per_action(request.backend, request.workspace)
        is_any_active = any(job.is_active for job in self.latest.values())
        self.bound_to_fail = (
            Job.objects.bound_to_fail(request.backend, request.workspace) if is_any_active else frozenset()
        )
        self.outputs = _outputs(self.latest.values())
        self.shared_paths = _promised_twice(project)

    def __call__(self, action: Action) -> PlannedAction:
        job = self.latest.get(action.name)
        if job is None or self._is_strange(job):
            return PlannedAction(action, Decision.RUN, self._why_run(action.name, job))
        if job.is_active and not job.is_stop_requested and job.pk not in self.bound_to_fail:
            return self._existing(action, Decision.JOIN, job, f"job {job.identifier} is already {job.state}")
        if why := self._why_run(action.name, job):
            return PlannedAction(action, Decision.RUN, why)
        why = f"job {job.identifier} succeeded and its outputs are in storage"
        return self._existing(action, Decision.REUSE, job, why)

    def _existing(self, action: Action, decision: Decision, job: Job, why: str) -> PlannedAction:
        is_other = job.request.commit != self.request.commit
        at = f" (at commit {job.request.commit[:10]})" if is_other else ""
        return PlannedAction(action, decision, why + at, job, is_other)

    def _is_strange(self, job: Job) -> bool:
        return bool(self._why_strange(job))

    def _why_strange(self, job: Job) -> str:
        """Why what the job makes cannot be what this request asks for, whatever else it is."""
        if address_key(job.request.repo_url) != address_key(self.request.repo_url):
            return f"its last job {job.identifier} ran another repository"
        if job.request.database_name != self.request.database_name:
            return f"its last job {job.identifier} was made with database {job.request.database_name}"
        if job.is_of_other_data:
            return f"its last job {job.identifier} was made with {'dummy' if job.has_dummy_data else 'real'} data"
        return ""

    def replaced(self, action: Action) -> PlannedAction | None:
        """For an action that is done but for files that other actions, which promise the same paths, have replaced.

        Only version 1 of project.yaml lets two actions promise one path. Run again for that alone, the two would
        replace each other's file for ever, and `run_all` would never end.
        """
        job = self.latest.get(action.name)
        if not self.shared_paths or self.request.force_run_dependencies or action.name in self.asked_for:
            return None
        if job is None or self._is_strange(job):
            return None
        lost = [output for output in self.outputs.get(job.pk, ()) if self._is_lost(output)]
        if not lost or not all(map(self._is_replaced, lost)):
            return None
        why = f"job {job.identifier} succeeded; another action has since replaced its {lost[0].path}"
        return self._existing(action, Decision.REUSE, job, why)

    def _why_run(self, name: str, job: Job | None) -> str:
        if name in self.asked_for:
            return "asked for by name"
        if job is None:
            return "has not run in this workspace yet"
        if strange := self._why_strange(job):
            return strange
        if job.is_active and job.is_stop_requested:
            return f"job {job.identifier} is being stopped"
        if job.is_active:
            return f"job {job.identifier} waits for one that failed or is being stopped"
        if job.state == State.FAILED:
            return f"its last job {job.identifier} failed"
        if lost := self._first_lost(job):
            return f"{lost} of its last job {job.identifier} is missing from storage"
        return "dependencies are forced to run again" if self.request.force_run_dependencies else ""

    def _first_lost(self, job: Job) -> str:
        """The path of an output that is not in storage any more. A job without any output has lost them all."""
        outputs = self.outputs.get(job.pk)
        if not outputs:
            return "every output"
        return next((output.path for output in outputs if self._is_lost(output)), "")

    def _is_lost(self, output: _Output) -> bool:
        return not output.is_current or output.path not in self.stored

    def _is_replaced(self, output: _Output) -> bool:
        return output.path in self.stored and any(fnmatch.fnmatchcase(output.path, path) for path in self.shared_paths)


def _outputs(jobs: Iterable[Job]) -> dict[int, list[_Output]]:
    """Primary key of each job that succeeded -> what it left, in that order."""
    succeeded = [job.pk for job in jobs if job.state == State.SUCCEEDED]
    outputs: dict[int, list[_Output]] = {}
    rows = JobOutput.objects.filter(job__in=succeeded).order_by("pk").values_list("job_id", "path", "is_current")
    for job, *output in rows.iterator():
        outputs.setdefault(job, []).append(_Output(*output))
    return outputs


def _promised_twice(project: Project) -> Collection[str]:
    """Path patterns that several actions of the study promise."""
    promised = Counter()
    for action in project.actions.values():
        promised.update({path for paths in action.outputs.values() for path in paths.values()})
    return [path for path, count in promised.items() if count > 1]
