"""A host that stands for github.com: git talks to it, and everybody goes on to speak of github.com."""

import base64
import shutil
import subprocess

import pytest

from jobs import git, planning
from jobs.git.names import check_repo
from jobs.git.process import may_have_token
from jobs.models import Job, JobRequest
from tests.git_repositories import commit, make_repository
from tests.git_repositories import git as run_git

TOKEN = "ghp_VerySecretTokenOfTheRunner"
AUTHORIZATION = "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
REPO = "http://github.com/opensafely/study"


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "served" / "opensafely" / "study"
    make_repository(path, {"project.yaml": "version: 1\n"})
    return path


@pytest.fixture
def proxy(serve, study, settings):
    settings.PRIVATE_REPO_ACCESS_TOKEN = TOKEN
    with serve(study.parent.parent) as server:
        settings.GITHUB_PROXY_DOMAIN = server.host
        settings.ALLOWED_GIT_HOSTS, settings.ALLOWED_GITHUB_ORGS = ("github.com",), ("opensafely",)
        yield server


def test_git_asks_the_proxy_and_shows_it_the_token_of_github(proxy, study):
    first, last = run_git(study, "rev-parse", "HEAD"), commit(study, {"x": "y"})

    assert git.resolve(REPO, "main") == last
    assert git.is_on_branch(REPO, first, "main")
    assert git.read_file(REPO, first, "project.yaml") == b"version: 1\n"

    assert proxy.requests and all(path.startswith("/opensafely/study/") for path in proxy.requests)
    assert set(proxy.authorizations) == {AUTHORIZATION}


def test_a_proxy_of_a_host_that_gets_no_token_gets_none(proxy, settings):
    settings.GIT_TOKEN_HOSTS = ("git.example.org",)

    git.resolve(REPO, "main")

    assert set(proxy.authorizations) == {None}


def test_a_proxy_may_get_the_token_under_its_own_name(proxy, settings):
    settings.GIT_TOKEN_HOSTS = (proxy.host,)

    git.resolve(REPO, "main")

    assert set(proxy.authorizations) == {AUTHORIZATION}


def test_other_hosts_are_contacted_directly_and_get_no_token(proxy, study, serve, settings):
    asked = len(proxy.requests)
    with serve(study.parent.parent) as other:
        settings.ALLOWED_GIT_HOSTS = ("github.com", other.host)
        git.resolve(f"{other.url}/opensafely/study", "main")

        assert set(other.authorizations) == {None}
    assert len(proxy.requests) == asked


def test_messages_name_github(proxy):
    with pytest.raises(git.UnknownRevision, match=r"^http://github\.com/opensafely/study has no branch, tag or commit"):
        git.resolve(REPO, "nain")
    proxy.faults.extend(["418"] * 3)
    with pytest.raises((git.GitError, git.GitUnavailable), match=r"'http://github\.com/opensafely/study/'") as caught:
        git.resolve(REPO, "main")

    assert proxy.host not in str(caught.value)


def test_switching_the_proxy_fetches_nothing_again(proxy, settings):
    sha = git.resolve(REPO, "main")
    folders = sorted(settings.GIT_REPO_DIR.iterdir())
    asked = len(proxy.requests)
    settings.GITHUB_PROXY_DOMAIN = ""

    assert git.read_file(REPO, sha, "project.yaml") == b"version: 1\n"

    assert len(proxy.requests) == asked
    assert sorted(settings.GIT_REPO_DIR.iterdir()) == folders


def test_a_redirect_of_the_proxy_is_not_followed(proxy, study, serve):
    with serve(study.parent.parent) as other:
        proxy.faults.append(f"302 {other.url}/opensafely/study/info/refs?service=git-upload-pack")
        with pytest.raises(git.GitError, match=r"^http://github\.com/opensafely/study has moved"):
            git.resolve(REPO, "main")

        assert other.requests == []


def test_the_token_does_not_go_to_a_proxy_over_a_line_that_others_can_read(settings):
    settings.GITHUB_PROXY_DOMAIN = "proxy.example.org"
    settings.GIT_ALLOW_HTTP = True

    assert may_have_token(check_repo("https://github.com/opensafely/study"))
    assert not may_have_token(check_repo("http://github.com/opensafely/study"))


@pytest.mark.django_db
def test_reusable_actions_come_through_the_proxy_and_rows_name_github(proxy, study, settings):
    settings.ACTIONS_ORG_URL = "http://github.com/opensafely-actions"
    action = study.parent.parent / "opensafely-actions" / "counter"
    approved = make_repository(action, {"action.yaml": "run: python:v2 count.py\n"})
    run_git(action, "tag", "v1")
    project = "version: 4\nactions: {a: {run: counter:v1 --all, outputs: {highly_sensitive: {o: o.csv}}}}\n"
    sha = commit(study, {"project.yaml": project})
    request = JobRequest(
        backend="development",
        workspace="study",
        repo_url=REPO,
        branch="main",
        commit=sha,
        requested_actions=["a"],
    )

    planning.submit(request, by="alice")

    job = Job.objects.get()
    assert (job.request.repo_url, job.code_commit) == (REPO, approved)
    assert job.code_repo_url == "http://github.com/opensafely-actions/counter"
    assert any(path.startswith("/opensafely-actions/counter/") for path in proxy.requests)


@pytest.fixture
def certificate(tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the certificate, is not on this machine")
    path = tmp_path / "certificate.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    made = subprocess.run(
        ["openssl", *words.split(), *names, "-keyout", path, "-out", tmp_path / "public.pem"],
        capture_output=True,
        check=True,
    )
    assert made.returncode == 0
    path.write_bytes(path.read_bytes() + (tmp_path / "public.pem").read_bytes())
    return path


def test_a_proxy_is_spoken_to_by_https_and_must_show_a_certificate_that_is_trusted(serve, study, settings, certificate):
    settings.PRIVATE_REPO_ACCESS_TOKEN = TOKEN
    settings.GIT_ALLOW_HTTP = False
    with serve(study.parent.parent, certificate=certificate, token=TOKEN) as server:
        settings.GITHUB_PROXY_DOMAIN = server.host
        settings.ALLOWED_GIT_HOSTS = ("github.com",)
        settings.GIT_TIMEOUT_SECONDS = 5
        with pytest.raises(git.GitUnavailable, match=r"certificate of the server of https://github\.com/opens"):
            git.resolve("https://github.com/opensafely/study", "main")
        assert server.authorizations == []

        settings.GIT_ENVIRONMENT = {**settings.GIT_ENVIRONMENT, "GIT_SSL_CAINFO": str(certificate)}
        settings.GIT_TIMEOUT_SECONDS = 60
        assert git.resolve("https://github.com/opensafely/study", "main")
        assert set(server.authorizations) == {AUTHORIZATION}
