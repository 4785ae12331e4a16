"""Whose repositories this site reads."""

import pytest

from jobs import git
from jobs.git.names import check_repo, check_study


@pytest.mark.parametrize(
    "repo",
    [
        "https://github.com/opensafely/study",
        "https://GitHub.com/OpenSAFELY/study.git",
        "https://github.com/%6Fpensafely/study",
        "https://github.com/opensafely-actions/cohort-joiner",
    ],
)
def test_by_default_studies_of_opensafely_and_its_actions_are_read(repo):
    assert check_repo(repo).host == "github.com"


@pytest.mark.parametrize(
    ("repo", "said"),
    [
        (
            "https://github.com/alice/study",
            "belongs to 'alice', whose code this site does not run: studies must be in ",
        ),
        ("https://github.com/opensafely-evil/study", "belongs to 'opensafely-evil'"),
        ("https://github.com/opensafel/study", "belongs to 'opensafel'"),
        ("https://github.com/opensafely%2Fx/study", "belongs to 'opensafely/x'"),
        ("https://github.com/x/opensafely/study", "belongs to 'x'"),
        ("https://github.com/opensafely-actions", "belongs to 'opensafely-actions'"),
        ("https://github.com/opensafely-actions%2Fx", "belongs to 'opensafely-actions/x'"),
        ("https://github.com/opensafely-actions-evil/x", "belongs to 'opensafely-actions-evil'"),
        (
            "https://gitlab.com/opensafely/study",
            "is on gitlab.com, which this site does not read. Studies must be on g",
        ),
        ("https://gitlab.com/opensafely-actions/x", "is on gitlab.com"),
        ("https://github.com:8443/opensafely/study", "is on github.com:8443"),
        ("https://github.com.evil.example/opensafely/study", "is on github.com.evil.example"),
        ("https://www.github.com/opensafely/study", "is on www.github.com"),
        ("https://127.0.0.1/opensafely/study", "is on 127.0.0.1"),
    ],
)
def test_others_are_refused_with_what_is_allowed_and_whom_to_ask(repo, said, settings):
    with pytest.raises(git.GitError) as caught:
        check_repo(repo)

    assert said in str(caught.value)
    setting = "ALLOWED_GIT_HOSTS" if said.startswith("is on ") else "ALLOWED_GITHUB_ORGS"
    assert "ask the site's operator" in str(caught.value) and setting in str(caught.value)
    assert not settings.GIT_REPO_DIR.exists()


def test_all_that_is_allowed_is_named(settings):
    settings.ALLOWED_GITHUB_ORGS = ("opensafely", "graphnet")
    settings.ALLOWED_GIT_HOSTS = ("github.com", "git.example.org:8443")
    with pytest.raises(git.GitError, match="one of these organisations: opensafely and graphnet"):
        check_repo("https://github.com/alice/study")
    with pytest.raises(git.GitError, match=r"one of these hosts: github\.com and git\.example\.org:8443"):
        check_repo("https://gitlab.com/opensafely/study")


def test_a_star_allows_all_organisations_of_the_allowed_hosts_only(settings):
    settings.ALLOWED_GITHUB_ORGS = ("*",)
    settings.ALLOWED_GIT_HOSTS = ("git.example.org:8443",)
    assert check_repo("https://git.example.org:8443/alice/study")
    with pytest.raises(git.GitError, match=r"is on git\.example\.org, which"):
        check_repo("https://git.example.org/alice/study")


def test_capitals_in_the_setting_make_no_difference(settings):
    settings.ALLOWED_GITHUB_ORGS = ("OpenSAFELY",)
    assert check_repo("https://github.com/opensafely/study")


def test_the_repositories_of_reusable_actions_are_no_studies():
    with pytest.raises(git.GitError, match="belongs to 'opensafely-actions', whose code this site does not run"):
        check_study("https://github.com/opensafely-actions/cohort-joiner")


def test_an_organisation_of_studies_may_publish_actions_too(settings):
    settings.ALLOWED_GITHUB_ORGS = ("opensafely", "opensafely-actions")
    assert check_study("https://github.com/opensafely-actions/cohort-joiner")


def test_actions_may_come_from_another_host_than_studies(settings):
    settings.ACTIONS_ORG_URL = "https://git.example.org:8443/nhs/actions"
    assert check_repo("https://git.example.org:8443/nhs/actions/cohort-joiner")
    for other in (
        "https://git.example.org:8443/nhs/actions",
        "https://git.example.org:8443/nhs/other/x",
        "https://git.example.org/nhs/actions/x",
        "https://github.com/opensafely-actions/x",
    ):
        with pytest.raises(git.GitError):
            check_repo(other)


def test_actions_in_a_local_folder_open_no_host(settings):
    settings.ACTIONS_ORG_URL = "/srv/actions"
    with pytest.raises(git.GitError, match="belongs to 'srv'"):
        check_repo("https://github.com/srv/actions/x")


def test_who_names_the_sites_proxy_is_told_the_true_address(settings):
    settings.GITHUB_PROXY_DOMAIN = "github-proxy.example.org"
    with pytest.raises(git.GitError, match=r"Write https://github\.com/opensafely/study: this site's proxy is used"):
        check_repo("https://github-proxy.example.org/opensafely/study")


def test_what_is_refused_is_shown_on_one_line(settings):
    settings.ALLOWED_GITHUB_ORGS = ("opensafely",)
    with pytest.raises(git.GitError) as caught:
        check_repo("https://github.com/%E2%80%AEalice/study")
    assert str(caught.value).isprintable()


def test_an_organisation_alone_is_no_repository():
    with pytest.raises(git.GitError, match="is an organisation and no repository: add the repository's name"):
        check_study("https://github.com/opensafely")
