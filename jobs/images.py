"""From actions to what really runs: whose code lies in the workspace, and a command with an allowed image in front.

Asks git hosts, so it may take long and must stay outside of transactions. What is wrong with several actions is told at
once; a host that does not answer is not asked again for the next action.
"""

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from django.conf import settings

from jobs import git, reusable_actions
from jobs.errors import JobError
from jobs.project import Action, Project
from jobs.reusable_actions import ReusableAction, ReusableActionError
from jobs.study.errors import MOST_FAULTS, shown
from jobs.text import listed


class Resolved(NamedTuple):
    """`code` is the reusable action whose files are needed, None for the study's own; `command` has its image first."""

    code: ReusableAction | None
    command: str


class Images:
    """What each action of a project runs, found out once. `troubles` are those that could not be found out."""

    def __init__(self, project: Project):
        self._project = project
        self._find = reusable_actions.Resolver(
            allowed_images=settings.ALLOWED_IMAGES,
            org_url=settings.ACTIONS_ORG_URL,
            resolve_tag=_resolve_tag,
            is_on_branch=git.is_on_branch,
            read_file=git.read_file,
        )
        self.resolved: dict[str, Resolved] = {}
        self.troubles: dict[str, JobError | git.GitUnavailable] = {}

    def resolve(self, actions: Iterable[Action]) -> None:
        """Find out about those of the actions that are not known yet."""
        silent_host: git.GitUnavailable | None = None
        for action in actions:
            if action.name in self.resolved:
                continue
            try:
                if silent_host and action.image not in settings.ALLOWED_IMAGES:
                    raise silent_host
                self.resolved[action.name] = self._resolve(action)
            except git.GitUnavailable as error:
                silent_host = error
                self.troubles[action.name] = error
            except JobError as error:
                self.troubles[action.name] = error

    def check(self) -> None:
        """Raises ReusableActionError or ProjectError for what authors can mend, else GitUnavailable, else nothing."""
        faults = [error for error in self.troubles.values() if isinstance(error, JobError)]
        if len(faults) > 1:
            raise ReusableActionError(
                " ".join(map(str, faults)),
                lines=(f"{len(faults)} actions cannot be run:", *map(str, faults[:MOST_FAULTS])),
            )
        if faults:
            raise faults[0]
        for error in self.troubles.values():
            raise git.GitUnavailable(f"{_looked_for([self._project.action(name) for name in self.troubles])} {error}")

    def _resolve(self, action: Action) -> Resolved:
        command = self._project.run_command(action.name, using_dummy_data_backend=settings.USING_DUMMY_DATA_BACKEND)
        return Resolved(*self._find(action, command))


def _resolve_tag(repo_url: str, tag: str) -> str:
    """A version is a tag and nothing else: a branch of that name, or the start of a commit's id, is none."""
    return git.resolve(repo_url, f"refs/tags/{tag}")


def _looked_for(actions: list[Action]) -> str:
    """What the names of images have to do with a git host: most who read this have mistyped one."""
    images = list(dict.fromkeys(action.image for action in actions))
    near = [match for image in images for match in difflib.get_close_matches(image, settings.ALLOWED_IMAGES, n=1)]
    hint = f" (did you mean {listed(dict.fromkeys(near))}?)" if near else ""
    are, they_were = ("is", "it was") if len(images) == 1 else ("are", "they were")
    return (
        f"{listed(map(shown, images))} (needed by {listed(action.name for action in actions)}) {are} none of the "
        f"images of this backend, which are {listed(settings.ALLOWED_IMAGES, most=12)}{hint}, so {they_were} looked "
        "for as reusable actions."
    )
