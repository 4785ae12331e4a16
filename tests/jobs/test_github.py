"""github.com itself: the one host that nearly all studies come from may answer otherwise than git's own server."""

import pytest

from jobs import git

pytestmark = pytest.mark.needs_network

REPO = "https://github.com/opensafely/research-template"


def test_a_public_study_of_github_is_resolved_and_read():
    sha, branch = git.resolve_with_branch(REPO, "HEAD")

    assert branch == "main"
    assert git.is_on_branch(REPO, sha, branch)
    assert b"actions:" in git.read_file(REPO, sha, "project.yaml")


def test_a_repository_that_github_does_not_have_is_the_authors_mistake():
    with pytest.raises(git.GitError, match="was not found, or is not readable"):
        git.resolve("https://github.com/opensafely/there-is-no-such-study", "main")
