"""Whether the code that a request names may run here: it must be on a branch of a repository that the site allows.

A commit's id alone proves nothing about who approved the code. A public git host serves every commit of a repository's
whole network of forks under the repository's own address, so anybody who can press "fork" can make one that seems to
be the organisation's. Only who may push to the repository can put a commit on one of its branches.
"""

import re

from jobs import git
from jobs.errors import JobError
from jobs.log import escape
from jobs.models import JobRequest
from jobs.study.errors import shown

# Names that git itself makes, or reads as something else than a branch.
_NO_BRANCH = re.compile(r"(\w+_)?HEAD|[0-9a-f]{40}", re.IGNORECASE)


class ProvenanceError(JobError):
    """The code may be honest, but nothing shows that it is the repository's; says to the author what would."""

    def __init__(self, message: str):
        super().__init__(escape(message))


def check_names(request: JobRequest) -> None:
    """Whether the request's repository and branch can be right, by their names: nobody is asked.

    Raises GitError for a repository that is not allowed, and ProvenanceError.
    """
    repo = git.check_study(request.repo_url)
    if repo.is_local:
        return
    branch = request.branch
    if not branch:
        raise ProvenanceError(
            f"The request names no branch of {git.shown(repo.name)}: name the branch that the commit is on, "
            "because a commit's id alone does not show that the code is this repository's (add_job: --branch)."
        )
    if "/" in branch:
        # Ours is looked for below refs/heads/ and could be no other ref. The older system gave git the bare name, where
        # `pull/7/head` is what a fork's owner has written; both must accept the same studies.
        raise ProvenanceError(
            f"Branch {shown(branch)} has a slash in its name, and such branches are not run here. Rename the "
            "branch, or push the commit to a branch without a slash, and name that one."
        )
    if _NO_BRANCH.fullmatch(branch):
        raise ProvenanceError(
            f"{shown(branch)} is no name for a branch, since git means something else by it: name the branch that the "
            "commit is on."
        )


def check_provenance(request: JobRequest) -> None:
    """Whether the request's commit is on the branch that it names, now, in a repository that this site allows.

    A local folder, where the site allows those, needs no branch; one that is named must be true all the same. Asks the
    repository. Raises ProvenanceError, GitError and its kinds (no such branch, no such repository), GitUnavailable.
    """
    check_names(request)
    if not request.branch or git.is_on_branch(request.repo_url, request.commit, request.branch):
        return
    raise ProvenanceError(
        f"Commit {request.commit} is not on branch {shown(request.branch)} of {git.shown(request.repo_url)}: it was "
        "never pushed to that branch, or a force-push has removed it. Push it there, or ask for a commit that is on "
        "the branch."
    )
