"""name:tag in a run command -> a reusable action's repository, commit and run command.

The image of a command is either one of ours or the name of a *reusable action*: a repository of the actions'
organisation whose `action.yaml` says what to run at that tag. Only commits that are on its branch `main` may run,
because collaborators may push tags but only maintainers merge. git comes in as three functions, so that nothing here
knows how it is reached. Their GitUnavailable is let through: a host that is down fails nobody's job.
"""

import difflib
import logging
import re
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from jobs.errors import JobError
from jobs.git.errors import GitError, GitFileNotFound, UnknownRevision
from jobs.project import Action, ProjectError
from jobs.study.errors import bounded, describe, shown
from jobs.study.run_command import is_database_command, split_command
from jobs.study.yaml_text import read_yaml

log = logging.getLogger(__name__)

ACTION_FILE = "action.yaml"
APPROVED_BRANCH = "main"
_MOST_FILE_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

_NO_DATABASE = "reusable actions cannot run commands that access the database."

ResolveTag = Callable[[str, str], str]
IsOnBranch = Callable[[str, str, str], bool]
ReadFile = Callable[[str, str, str], bytes]


class ReusableActionError(JobError):
    """The image of an action cannot be used; says whether the study or the reusable action has to be mended."""

    def __init__(self, message: str, lines: Sequence[str] = ()):
        super().__init__(bounded(message))
        self.lines = tuple(bounded(line) for line in lines)


@dataclass(frozen=True)
class ReusableAction:
    """Code to run instead of the study's: `run` is action.yaml's command, the study's arguments added."""

    repo_url: str
    commit: str
    run: str


@dataclass(frozen=True)
class _Published:
    """What name:tag stands for, whoever uses it."""

    repo_url: str
    commit: str
    words: tuple[str, ...]


@dataclass
class Resolver:
    """Resolves the actions of one batch: each name:tag is fetched and read once, and so means the same to all of them.

    `allowed_images` are names without a tag. `resolve_tag(repo_url, tag)` gives a commit's id, `is_on_branch(repo_url,
    commit, branch)` and `read_file(repo_url, commit, path)` what they say; they raise GitError kinds and
    GitUnavailable.
    """

    allowed_images: Collection[str]
    org_url: str
    resolve_tag: ResolveTag
    is_on_branch: IsOnBranch
    read_file: ReadFile
    _published: dict[tuple[str, str], _Published | ReusableActionError] = field(default_factory=dict)

    def __call__(self, action: Action, run_command: str) -> tuple[ReusableAction | None, str]:
        """The reusable action or None, and the command to run, which has an allowed image in front.

        `run_command` is the action's, as `Project.run_command` completed it. Raises ReusableActionError, which
        names the action and its image, and GitUnavailable.
        """
        try:
            found = self.resolve(run_command)
        except ReusableActionError as error:
            raise ReusableActionError(f"Action {action.name}: {action.image}:{action.tag}: {error}") from error
        return found, run_command if found is None else found.run

    def resolve(self, run_command: str) -> ReusableAction | None:
        """None if the image is an allowed one: git is not asked then. Raises ReusableActionError and GitUnavailable."""
        words = _split(run_command)
        name, tag = _name_and_tag(words[0])
        if name in self.allowed_images:
            return None
        published = self._known(name, tag)
        command = [*published.words, *words[1:]]
        if is_database_command(command):
            # The study's arguments come after those of action.yaml, and could complete such a command.
            raise ReusableActionError(_NO_DATABASE)
        return ReusableAction(published.repo_url, published.commit, shlex.join(command))

    def _known(self, name: str, tag: str) -> _Published:
        """Each name:tag is looked for once, also if it cannot be used."""
        key = (name, tag)
        if key not in self._published:
            try:
                self._published[key] = self._fetch(name, tag)
            except ReusableActionError as error:
                self._published[key] = error
        found = self._published[key]
        if isinstance(found, ReusableActionError):
            raise found
        return found

    def _fetch(self, name: str, tag: str) -> _Published:
        repo_url = f"{self.org_url}/{name}"
        # A host that is silent holds up whoever waits for this, so they should know what is waited for.
        log.info("Looking for the reusable action %s:%s at %s.", name, tag, repo_url)
        commit = self._commit_of_tag(repo_url, name, tag)
        self._check_approved(repo_url, commit, tag)
        try:
            text = self.read_file(repo_url, commit, ACTION_FILE)
        except GitFileNotFound as error:
            raise ReusableActionError(
                f"{repo_url} at {tag} is not a reusable action: no {ACTION_FILE} there. Check its name and version."
            ) from error
        except GitError as error:
            raise ReusableActionError(f"{ACTION_FILE} of {repo_url} at {tag} cannot be read: {error}") from error
        try:
            return _Published(repo_url, commit, tuple(self._entry_point(text)))
        except JobError as error:
            raise ReusableActionError(
                f"The reusable action has a fault; please open an issue at {repo_url}/issues: {error}"
            ) from error

    def _commit_of_tag(self, repo_url: str, name: str, tag: str) -> str:
        try:
            return self.resolve_tag(repo_url, tag)
        except UnknownRevision as error:
            raise ReusableActionError(f"{shown(tag)} is not a tag of {repo_url}: {error}") from error
        except GitError as error:
            near = difflib.get_close_matches(name, self.allowed_images, n=1)
            raise ReusableActionError(
                f"{shown(name)} is neither an allowed image ({', '.join(sorted(self.allowed_images))}) "
                f"nor a reusable action that can be read at {repo_url}: {error}"
                + (f" Did you mean {near[0]}?" if near else "")
            ) from error

    def _check_approved(self, repo_url: str, commit: str, tag: str) -> None:
        """The study's author chose the version; only the action's maintainers can merge it."""
        what = f"tag {shown(tag)} of {repo_url}"
        try:
            if self.is_on_branch(repo_url, commit, APPROVED_BRANCH):
                return
        except UnknownRevision as error:
            raise ReusableActionError(
                f"{what} is not approved for use: there is no branch {APPROVED_BRANCH} into which it could be merged. "
                f"Please open an issue at {repo_url}/issues."
            ) from error
        except GitError as error:
            raise ReusableActionError(
                f"whether {what} is merged into branch {APPROVED_BRANCH} cannot be found out: {error}"
            ) from error
        raise ReusableActionError(
            f"{what} is not approved for use: it is not merged into branch {APPROVED_BRANCH}. "
            f"Use a version that is, or ask for this one at {repo_url}/issues."
        )

    def _entry_point(self, text: bytes) -> list[str]:
        """The words of action.yaml's `run`. Raises ReusableActionError and ProjectError."""
        if len(text) > _MOST_FILE_BYTES:
            raise ReusableActionError(f"{ACTION_FILE} is longer than {_MOST_FILE_BYTES} bytes.")
        document = read_yaml(text, filename=ACTION_FILE)
        if not isinstance(document, dict):
            raise ProjectError(f"{ACTION_FILE} must be a dictionary with `run`, but is {describe(document)}.")
        if not isinstance(document.get("run"), str):
            raise ProjectError(f"{ACTION_FILE} has no `run` with a command.")
        words = _split(document["run"])
        name, _ = _name_and_tag(words[0])
        if name not in self.allowed_images:
            raise ReusableActionError(f"its image {shown(name)} is not an allowed one.")
        if is_database_command(words):
            raise ReusableActionError(_NO_DATABASE)
        return words


def resolve(
    run_command: str,
    *,
    allowed_images: Collection[str],
    org_url: str,
    resolve_tag: ResolveTag,
    is_on_branch: IsOnBranch,
    read_file: ReadFile,
) -> ReusableAction | None:
    """As Resolver.resolve, for a single command."""
    return Resolver(allowed_images, org_url, resolve_tag, is_on_branch, read_file).resolve(run_command)


def _split(command: str) -> list[str]:
    try:
        words = split_command(command)
    except ValueError as error:
        raise ReusableActionError(f"the command cannot be split into words: {str(error).lower()}.") from error
    if not words or "\0" in command:
        raise ReusableActionError("the command is empty or holds a NUL character.")
    return words


def _name_and_tag(image: str) -> tuple[str, str]:
    """Only plain names: a path or an option could mean another organisation's repository, registry or image."""
    name, _, tag = image.partition(":")
    if not _NAME.fullmatch(name):
        raise ReusableActionError(f"{shown(name)} is not a valid name of an image: it contains invalid characters.")
    if not _TAG.fullmatch(tag):
        raise ReusableActionError(f"{shown(tag)} is not a valid version of image {shown(name)}: write :vN, like :v2.")
    return name, tag
