"""The environment is read once: every mistake in one message, no secret in any message, nothing unsafe in production.

Each test starts a Python of its own, because settings are read when they are imported.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobrunner_site import checking

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
import json, sys
from jobrunner_site import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))
"""
KEY = "0123456789" * 5


class Site:
    """An environment with nothing set but what the test gives, and no .env."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.production = {
            "JOB_RUNNER_MODE": "production",
            "SECRET_KEY": KEY,
            "ALLOWED_HOSTS": "jobs.example.org",
            "BACKEND": "tpp",
            "HIGH_PRIVACY_STORAGE_BASE": str(folder / "high"),
            "MEDIUM_PRIVACY_STORAGE_BASE": str(folder / "medium"),
        }

    def start(self, *names: str, **variables: str) -> subprocess.CompletedProcess:
        environment = {"PATH": os.environ["PATH"], "DOTENV_FILE": "", "WORK_DIR": str(self.folder / "work")}
        return subprocess.run(
            [sys.executable, "-c", SHOW, *names],
            cwd=ROOT,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def show(self, *names: str, **variables: str) -> dict:
        done = self.start(*names, **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refusal(self, **variables: str) -> str:
        done = self.start(**variables)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


def test_with_nothing_set_it_is_a_development_installation(site):
    shown = site.show(
        "MODE", "DEBUG", "BACKEND", "EXECUTOR", "USING_DUMMY_DATA_BACKEND", "ALLOW_LOCAL_REPOS", "WORK_DIR"
    )
    assert shown == {
        "MODE": "development",
        "DEBUG": True,
        "BACKEND": "development",
        "EXECUTOR": "docker",
        "USING_DUMMY_DATA_BACKEND": True,
        "ALLOW_LOCAL_REPOS": True,
        "WORK_DIR": str(site.folder / "work"),
    }
    assert (site.folder / "work").is_dir()


def test_without_a_work_directory_everything_lies_beside_manage_py():
    done = subprocess.run(
        [sys.executable, "-c", SHOW, "WORK_DIR", "HIGH_PRIVACY_STORAGE_BASE"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DOTENV_FILE": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {
        "WORK_DIR": str(ROOT / "workdir"),
        "HIGH_PRIVACY_STORAGE_BASE": str(ROOT / "workdir" / "high_privacy"),
    }


def test_every_mistake_is_told_in_one_message(site):
    message = site.refusal(
        JOB_RUNNER_MODE="prod",
        DEBUG="perhaps",
        BACKEND="Backend One",
        MAX_WORKERS="0",
        MAX_DB_WORKERS="-1",
        JOB_LOOP_INTERVAL="nan",
        EXECUTOR="kubernetes",
        JOB_MEMORY_LIMIT="much",
        JOB_USER_ID="0",
        LEVEL4_MAX_CSV_ROWS="many",
        DATABASE_URL="oracle://somewhere",
        STATA_LICENSE_FILE="/nowhere/stata.lic",
        LOG_LEVEL="LOUD",
    )
    named = [line.partition(":")[0].removeprefix("  - ") for line in message.splitlines() if line.startswith("  - ")]
    assert sorted(set(named)) == sorted(
        [
            "BACKEND",
            "DATABASE_URL",
            "DEBUG",
            "EXECUTOR",
            "JOB_LOOP_INTERVAL",
            "JOB_MEMORY_LIMIT",
            "JOB_RUNNER_MODE",
            "JOB_USER_ID",
            "LEVEL4_MAX_CSV_ROWS",
            "LOG_LEVEL",
            "MAX_DB_WORKERS",
            "MAX_WORKERS",
            "STATA_LICENSE_FILE",
        ]
    )
    assert f"cannot start: {len(named)} setting(s) need attention" in message
    assert "dotenv-sample explains each" in message


def test_production_starts_with_what_protects_patients_data(site):
    shown = site.show(
        "DEBUG",
        "USING_DUMMY_DATA_BACKEND",
        "ALLOW_LOCAL_REPOS",
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_SECURE",
        **site.production,
    )
    assert shown == {
        "DEBUG": False,
        "USING_DUMMY_DATA_BACKEND": False,
        "ALLOW_LOCAL_REPOS": False,
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
    }


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "ALLOWED_HOSTS", "BACKEND", "HIGH_PRIVACY_STORAGE_BASE", "MEDIUM_PRIVACY_STORAGE_BASE"]
)
def test_production_refuses_to_start_without(site, name):
    message = site.refusal(**{**site.production, name: ""})
    assert f"  - {name}: " in message and "1 setting(s)" in message


@pytest.mark.parametrize(
    ("name", "value"), [("SECRET_KEY", "short"), ("SECRET_KEY", "k" * 60), ("DEBUG", "true"), ("EXECUTOR", "fake")]
)
def test_production_refuses_to_start_with(site, name, value):
    assert f"  - {name}: " in site.refusal(**{**site.production, name: value})


@pytest.mark.parametrize("mode", ["Production", "PRODUCTION", "prod", ""])
def test_a_misspelt_mode_never_means_development(site, mode):
    assert "JOB_RUNNER_MODE" in site.refusal(JOB_RUNNER_MODE=mode)


@pytest.mark.parametrize("name", ["SECRET_KEY", "PRIVATE_REPO_ACCESS_TOKEN", "STATA_LICENSE"])
def test_a_secret_may_be_given_as_a_file(site, name):
    (site.folder / "secret").write_text("from the file\n")
    assert site.show(name, **{f"{name}_FILE": str(site.folder / "secret")}) == {name: "from the file"}


def test_a_secret_that_is_given_twice_is_refused_unless_both_are_the_same(site):
    """Otherwise one of them is changed in vain, when the secret has to be."""
    (site.folder / "secret").write_text("from-the-file-12")
    named = {"PRIVATE_REPO_ACCESS_TOKEN_FILE": str(site.folder / "secret")}
    message = site.refusal(PRIVATE_REPO_ACCESS_TOKEN="another-value-12", **named)
    assert "PRIVATE_REPO_ACCESS_TOKEN: is set, and" in message and "remove one" in message
    assert "another-value-12" not in message and "from-the-file-12" not in message
    site.show("PRIVATE_REPO_ACCESS_TOKEN", PRIVATE_REPO_ACCESS_TOKEN="from-the-file-12", **named)


def test_the_database_s_address_among_the_secrets_wins_over_the_file_that_compose_names(site):
    (site.folder / "DATABASE_URL").write_text("postgresql://u:p@h/d")
    shown = site.show("DATABASE_URL", SECRETS_DIR=str(site.folder), DATABASE_URL="sqlite:////srv/db.sqlite3")
    assert shown == {"DATABASE_URL": "postgresql://u:p@h/d"}


def test_a_mark_of_the_byte_order_is_no_part_of_a_secret(site):
    (site.folder / "secret").write_bytes(b"\xef\xbb\xbftokentokentoken12\r\n")
    shown = site.show("PRIVATE_REPO_ACCESS_TOKEN", PRIVATE_REPO_ACCESS_TOKEN_FILE=str(site.folder / "secret"))
    assert shown == {"PRIVATE_REPO_ACCESS_TOKEN": "tokentokentoken12"}


@pytest.mark.parametrize("name", ["ALLOWED_GIT_HOSTS", "GIT_TOKEN_HOSTS", "GITHUB_PROXY_DOMAIN", "TRUSTED_PROXIES"])
def test_an_address_pasted_where_a_host_belongs_is_not_shown(site, name):
    message = site.refusal(**{name: "https://svc:geheim123@proxy.example.org"})
    assert f"{name}: what is set (not shown) is n" in message and "geheim123" not in message


@pytest.mark.parametrize("password", ["p@ss/word", "pa/ss", "pa#ss"])
def test_a_password_with_signs_that_belong_to_an_address_is_refused_with_what_to_write(site, password):
    message = site.refusal(DATABASE_URL=f"postgresql://jobs:{password}@db.example/jobs")
    assert "DATABASE_URL: is no address; signs such as @" in message and password[2:] not in message


def test_a_token_that_cannot_be_read_is_told_once(site):
    told = site.refusal(JOB_SERVER_ENDPOINT="https://jobs.example.org/", JOB_SERVER_TOKEN_FILE="/nowhere/token")
    assert "/nowhere/token cannot be read" in told and "go together" not in told


def test_the_addresses_of_the_databases_may_be_files_too(site):
    (site.folder / "secret").write_text("mssql://patients:password@db/full")
    shown = site.show("DATABASE_URLS", FULL_DATABASE_URL_FILE=str(site.folder / "secret"))
    assert shown["DATABASE_URLS"] == {
        "default": "",
        "full": "mssql://patients:password@db/full",
        "slice": "",
        "dummy": "",
    }


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_secrets_file_that_cannot_be_read_is_named_and_its_content_is_not_shown(site, content):
    path = site.folder / "secret"
    if content is not None:
        path.write_bytes(content)
    message = site.refusal(DATABASE_URL_FILE=str(path))
    assert f"DATABASE_URL_FILE: {path} cannot be read" in message
    assert "1 setting(s)" in message


@pytest.mark.parametrize(
    "url",
    [
        "oracle://user:hunter2@db/jobs",
        "postgres://user:hunter2@db:port/jobs",
        "user:hunter2@db",
        "hunter2",
        "mysql://user:hunter2@db/jobs",
        "postgres://user:hunter2@[db/jobs",
    ],
)
def test_a_bad_address_of_our_own_database_is_named_and_its_password_never_shown(site, url):
    message = site.refusal(DATABASE_URL=url)
    assert "DATABASE_URL" in message
    assert "hunter2" not in message


def test_sqlite_waits_for_other_writers_and_survives_a_power_cut(site):
    [options] = site.show("DATABASES")["DATABASES"].values()
    assert options["ENGINE"] == "django.db.backends.sqlite3"
    assert options["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["OPTIONS"]["init_command"]
    assert "synchronous=FULL" in options["OPTIONS"]["init_command"]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_postgresql_is_taken_with_what_notices_a_dead_server(site, scheme):
    url = f"{scheme}://jobs:hunter%2F2@db.example.org:5433/jobs?sslmode=verify-full&connect_timeout=3&options=-c%20work_mem%3D8MB"
    [found] = site.show("DATABASES", DATABASE_URL=url)["DATABASES"].values()
    assert (found["ENGINE"], found["NAME"], found["HOST"], str(found["PORT"])) == (
        *("jobrunner_site.postgresql", "jobs", "db.example.org", "5433"),
    )
    assert (found["USER"], found["PASSWORD"], found["CONN_MAX_AGE"] > 0) == ("jobs", "hunter/2", True)
    options = found["OPTIONS"]
    assert (options["sslmode"], int(options["connect_timeout"]), options["keepalives"]) == ("verify-full", 3, 1)
    assert "-c lock_timeout=20s" in options["options"] and options["options"].endswith("-c work_mem=8MB")


def test_a_socket_of_postgresql_may_be_named(site):
    [found] = site.show("DATABASES", DATABASE_URL="postgresql://jobs@%2Fvar%2Frun%2Fpostgresql/jobs")[
        "DATABASES"
    ].values()
    assert found["HOST"] == "/var/run/postgresql"


def test_what_stands_behind_the_question_mark_is_in_its_place(site):
    """libpq's own form, which works: backups, health checks and logs have to know of it, too."""
    url = "postgresql:///?host=db.example&port=5433&user=jobs&password=hunter%2F22&dbname=all_jobs&sslmode=require"
    shown = site.show("DATABASES", "LOGS_NEVER_SHOW", DATABASE_URL=url)
    [found] = shown["DATABASES"].values()
    parts = [str(found[name]) for name in ("HOST", "PORT", "USER", "PASSWORD", "NAME")]
    assert parts == ["db.example", "5433", "jobs", "hunter/22", "all_jobs"]
    assert "password" not in found["OPTIONS"] and found["OPTIONS"]["sslmode"] == "require"
    assert {"hunter/22", "hunter%2F22"} <= set(shown["LOGS_NEVER_SHOW"])


@pytest.mark.parametrize("url", ["postgres://jobs:hunter2@db/", "postgresql://jobs:hunter2@db"])
def test_an_address_that_names_no_database_is_refused_without_its_password(site, url):
    message = site.refusal(DATABASE_URL=url)
    assert "DATABASE_URL: names no database" in message and "hunter2" not in message


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///"])
def test_a_database_that_is_lost_at_the_end_is_refused(site, url):
    assert "DATABASE_URL: names no file" in site.refusal(DATABASE_URL=url)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DATABASE_URL", "sqlite:///db.sqlite3", "needs a full path"),
        ("LEVEL4_IDENTIFIER_COLUMNS", ",", "name at least one column"),
        ("LEVEL4_IDENTIFIER_COLUMNS", "--", "name at least one column"),
        ("DOTENV_FILE", "/nowhere/.env", "there is no file /nowhere/.env"),
        ("GIT_TOKEN_HOSTS", "https://github.com", "leave out https://"),
        ("GIT_TOKEN_HOSTS", "github.com,git.example/org", "'git.example/org' is not a host"),
        ("ALLOWED_GIT_HOSTS", "https://github.com", "leave out https://"),
        ("ALLOWED_GIT_HOSTS", "github.com,*", "'*' is not a host"),
        ("ALLOWED_GIT_HOSTS", ",", "name at least one host"),
        ("ALLOWED_GITHUB_ORGS", "opensafely,github.com/other", "'github.com/other' is no organisation's name"),
        ("ALLOWED_GITHUB_ORGS", "open*", "'open*' is no organisation's name"),
        ("ALLOWED_GITHUB_ORGS", ",", "name at least one organisation"),
        ("GITHUB_PROXY_DOMAIN", "https://proxy.example.org/", "leave out https://"),
        ("GITHUB_PROXY_DOMAIN", "alice@proxy.example.org", "is not a host"),
        ("GIT_PROXY", "proxy.example.org:3128", "must be the address of a proxy, such as http://"),
        ("GIT_PROXY", "ext://alice:hunter2@proxy", "must be the address of a proxy, such as http://"),
        ("GIT_PROXY", "http://alice:hunter2@proxy.example.org:3128/path", "must be the address of a proxy"),
        ("GIT_PROXY", "http://alice:hunter2#@proxy.example.org:3128", "must be the address of a proxy"),
        ("JOB_SERVER_PROXY", "proxy.example.org:3128", "must be the address of a proxy, such as http://"),
        ("JOB_SERVER_PROXY", "http://alice:hunter2@proxy.example.org:3128/path", "must be the address of a proxy"),
        ("JOB_SERVER_PROXY", "http://alice:hunter2/x@proxy.example.org:3128", "must be the address of a proxy"),
        ("JOB_SERVER_PROXY", "http://alice:hunter2@proxy.example.org:port", "must be the address of a proxy"),
        ("JOB_SERVER_PROXY", "http://alice:hunter2@proxy.example.org extra", "must be the address of a proxy"),
        ("JOB_SERVER_PROXY", "socks5h://alice:hunter2@proxy.example.org", "must be the address of a proxy"),
        ("ACTIONS_ORG_URL", "https://github.com", "must be the https:// address of an organisation"),
        ("ACTIONS_ORG_URL", "https://github.com/", "must be the https:// address of an organisation"),
        ("ACTIONS_ORG_URL", "ext::sh -c true", "must be the https:// address"),
        ("ACTIONS_ORG_URL", "http://github.com/actions", "must be the https:// address"),
        ("ACTIONS_ORG_URL", "https://alice:hunter2@github.com/actions", "without a user name"),
        ("JOB_RESOURCE_WEIGHTS_FILE", "/nope", "/nope cannot be read"),
        ("HOST_WORK_DIR", "work", "must be a full path"),
        ("DATABASE_ACCESS_NETWORK", "host", "not a network of its own"),
        ("DATABASE_ACCESS_NETWORK", "none", "not a network of its own"),
        ("DATABASE_ACCESS_NETWORK", "bridge", "not a network of its own"),
        ("DATABASE_ACCESS_NETWORK", "container:abc", "not a network of its own"),
        ("JOB_MEMORY_LIMIT", "1", "at least 6M"),
        ("JOB_MEMORY_LIMIT", "5M", "at least 6M"),
        ("DOCKER_HOST", "npipe://x", "unix://, tcp://, ssh://, http:// or https://"),
        ("DOCKER_HOST", "ssh://alice:hunter2@engine", "without a password (not shown)"),
        ("DOCKER_HOST", "ssh://-oProxyCommand=touch", "must look like ssh://user@host"),
        ("DOCKER_HOST", "ssh://-oProxyCommand=x@engine", "must look like ssh://user@host"),
        ("DOCKER_HOST", "ssh://engine/a:b", "must look like ssh://user@host"),
        ("DOCKER_HOST", "tcp://alice:hunter2@engine:2376", "takes no user name or password (not shown)"),
        ("RAP_CREATE_TIMEOUT_SECONDS", "31", "must be at most 30"),
        ("WORKSPACE_KIND", "tmpfs", "Must be one of: folder, volume"),
        ("SECRET_KEY_FILE", "/dev/null", "is empty"),
    ],
)
def test_what_can_be_read_but_cannot_work_is_refused(site, name, value, problem):
    message = site.refusal(**{name: value})
    assert f"  - {name}: " in message and problem in message and "1 setting(s)" in message
    assert "hunter2" not in message


def test_hosts_and_addresses_may_have_ports_and_capitals(site):
    given = {
        "GIT_TOKEN_HOSTS": "GitHub.com,git:8443,[::1]:1",
        "ALLOWED_GIT_HOSTS": "GitHub.com, git:8443",
        "ALLOWED_GITHUB_ORGS": "openSAFELY,*",
        "GITHUB_PROXY_DOMAIN": "Proxy.example.org:8443",
        "GIT_PROXY": "http://alice:hunter2@proxy.example.org:3128",
        "ACTIONS_ORG_URL": "/actions/",
    }
    assert site.show(*given, **given) == {
        "GIT_TOKEN_HOSTS": ["github.com", "git:8443", "[::1]:1"],
        "ALLOWED_GIT_HOSTS": ["github.com", "git:8443"],
        "ALLOWED_GITHUB_ORGS": ["openSAFELY", "*"],
        "GITHUB_PROXY_DOMAIN": "proxy.example.org:8443",
        "GIT_PROXY": "http://alice:hunter2@proxy.example.org:3128",
        "ACTIONS_ORG_URL": "/actions",
    }


@pytest.mark.parametrize(
    "address",
    ["http://proxy:3128", "HTTPS://Proxy.example.org/", "http://alice:hunter%2F2@10.0.0.1:80", "http://[::1]:3128"],
)
def test_a_proxy_may_have_a_user_and_a_port(site, address):
    given = {"GIT_PROXY": address, "JOB_SERVER_PROXY": address}
    assert site.show(*given, **given) == given
    assert site.show("GIT_PROXY", GIT_PROXY="socks5h://proxy:1080") == {"GIT_PROXY": "socks5h://proxy:1080"}


def test_every_line_of_the_sample_can_be_uncommented(site):
    lines = (ROOT / "dotenv-sample").read_text().splitlines()
    settings = [line.removeprefix("# ") for line in lines if re.match(r"# [A-Z0-9_]+=", line)]
    (site.folder / ".env").write_text("\n".join(settings))
    names = [line.partition("=")[0] for line in settings]
    shown = [
        name for name in names if name not in ("BEHIND_TLS_PROXY", "JOB_RUNNER_MODE") and "DATABASE_URL" not in name
    ]

    assert len(settings) > 50
    assert site.show(*shown, DOTENV_FILE=str(site.folder / ".env")) == site.show(*shown)


def test_the_sample_names_every_variable_that_is_read(site):
    source = (ROOT / "jobrunner_site" / "settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|secret|folder|comma_separated)\(\s*"([A-Z0-9_]+)"', source))
    sample = (ROOT / "dotenv-sample").read_text()
    assert len(read) > 50
    assert [name for name in [*read, "DOTENV_FILE", "GIT_SSL_CAINFO", "https_proxy"] if name not in sample] == []


def manage(site, *command, **variables) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "DOTENV_FILE": "", "WORK_DIR": str(site.folder / "work")}
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=environment | site.production | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SECRETS = (
    *("SECRET_KEY", "JOB_SERVER_TOKEN", "RAP_API_TOKENS", "PRIVATE_REPO_ACCESS_TOKEN", "STATA_LICENSE"),
    *("EMAIL_HOST_PASSWORD", "NOTIFY_WEBHOOK_URL", "NOTIFY_WEBHOOK_SECRET", "DATABASE_URL"),
    *(f"{name}_DATABASE_URL" for name in ("DEFAULT", "FULL", "SLICE", "DUMMY")),
)


def test_every_setting_that_sounds_like_a_secret_may_come_from_a_file():
    sample = (ROOT / "dotenv-sample").read_text()
    names = re.findall(r"^# ([A-Z0-9_]+)=", sample, flags=re.MULTILINE)
    sounds = re.compile(r"(KEY|TOKENS?|PASSWORD|SECRET|LICENSE|DATABASE_URL|WEBHOOK_URL)\Z")
    assert {name for name in names if sounds.search(name)} == set(SECRETS)


def test_the_sample_names_nothing_that_is_not_read():
    """The other direction: whoever sets what stands there must not be left alone with it."""
    source = (ROOT / "jobrunner_site" / "settings.py").read_text()
    sample = (ROOT / "dotenv-sample").read_text()
    names = re.findall(r"^# ([A-Z0-9_]+)=", sample, flags=re.MULTILINE)
    unread = {name for name in names if f'"{name}"' not in source}
    assert unread <= {f"{name}_DATABASE_URL" for name in ("DEFAULT", "FULL", "SLICE", "DUMMY")}


@pytest.mark.slow_test
def test_djangos_checks_of_a_deployment_find_nothing_in_a_site_as_the_documentation_makes_it(site):
    """Behind a proxy, secrets in files, static files collected; and they do find what was forgotten."""
    values = {
        "SECRET_KEY": KEY, "JOB_SERVER_TOKEN": "t" * 30, "RAP_API_TOKENS": "r" * 30, "NOTIFY_WEBHOOK_SECRET": "s" * 30,
        "NOTIFY_WEBHOOK_URL": "https://chat.example.org/hook", "EMAIL_HOST_PASSWORD": "p" * 20,
        "PRIVATE_REPO_ACCESS_TOKEN": "g" * 30, "STATA_LICENSE": "l" * 30,
        "FULL_DATABASE_URL": "mssql://user:password@db/full",
    }  # fmt: skip
    files = {}
    for name, value in values.items():
        files[f"{name}_FILE"] = str(path := site.folder / name.lower())
        path.write_text(value)
        path.chmod(0o400)
    del site.production["SECRET_KEY"]
    more = {
        "DJANGO_SETTINGS_MODULE": "tests.browser.production_settings", "BEHIND_TLS_PROXY": "true",
        "TRUSTED_PROXIES": "127.0.0.1", "JOB_SERVER_ENDPOINT": "https://jobs.example.org/api/v2/", **files,
    }  # fmt: skip
    check = ("check", "--deploy", "--fail-level", "WARNING")
    forgotten = manage(site, *check, **more)
    assert (
        forgotten.returncode == 1 and "jobs.E001" in forgotten.stderr and "manage.py collectstatic" in forgotten.stderr
    )
    assert manage(site, "collectstatic", "--no-input", **more).returncode == 0
    done = manage(site, *check, **more)
    assert (done.returncode, "no issues" in done.stdout + done.stderr) == (0, True), done.stderr

    Path(files["SECRET_KEY_FILE"]).chmod(0o444)
    done = manage(site, *check, **more | {"TRUSTED_PROXIES": ""})
    assert done.returncode == 1 and "jobs.W001" in done.stderr and "jobs.W002" in done.stderr


def test_in_production_pages_want_https_and_cookies_are_the_hosts_own(site):
    names = ("SECURE_SSL_REDIRECT", "SECURE_PROXY_SSL_HEADER", "SESSION_COOKIE_NAME", "CSRF_COOKIE_HTTPONLY")
    assert site.show(*names, **site.production) == dict(zip(names, (True, None, "__Host-sessionid", True), strict=True))
    behind = site.show(*names, **site.production, BEHIND_TLS_PROXY="true", SECURE_SSL_REDIRECT="false")
    assert behind["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]
    assert behind["SECURE_SSL_REDIRECT"] is False


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 * 1024**2), ("4g", 4 * 1024**3), ("1T", 1024**4), ("77777777", 77777777)]
)
def test_sizes_are_given_as_people_write_them(site, text, size):
    assert site.show("JOB_MEMORY_BYTES", JOB_MEMORY_LIMIT=text) == {"JOB_MEMORY_BYTES": size}


@pytest.mark.parametrize("text", ["0", "-1G", "1.5G", "4 G", "4GB", "G"])
def test_what_is_no_size_is_refused(site, text):
    assert "JOB_MEMORY_LIMIT" in site.refusal(JOB_MEMORY_LIMIT=text)


def test_lists_may_have_blanks_and_a_trailing_comma(site):
    shown = site.show("ALLOWED_IMAGES", "LEVEL4_FILE_TYPES", ALLOWED_IMAGES=" python , r,", LEVEL4_FILE_TYPES=".csv")
    assert shown == {"ALLOWED_IMAGES": ["python", "r"], "LEVEL4_FILE_TYPES": [".csv"]}


def test_the_limits_of_level_4_are_the_sites(site):
    shown = site.show(
        "LEVEL4_MAX_FILESIZE", "LEVEL4_MAX_CSV_ROWS", LEVEL4_MAX_FILESIZE="1000", LEVEL4_MAX_CSV_ROWS="20"
    )
    assert shown == {"LEVEL4_MAX_FILESIZE": 1000, "LEVEL4_MAX_CSV_ROWS": 20}


@pytest.mark.parametrize(
    ("high", "medium"), [("s", "s"), ("s", "s/workspaces"), ("s/workspaces/x", "s"), ("s", "link")]
)
def test_storages_that_are_one_folder_or_lie_in_one_another_are_refused(site, high, medium):
    (site.folder / "s").mkdir()
    (site.folder / "link").symlink_to("s")
    message = site.refusal(
        HIGH_PRIVACY_STORAGE_BASE=str(site.folder / high), MEDIUM_PRIVACY_STORAGE_BASE=str(site.folder / medium)
    )
    assert "each needs a folder of its own" in message


def test_a_folder_that_is_set_to_nothing_is_not_the_current_folder(site):
    shown = site.show("HIGH_PRIVACY_STORAGE_BASE", "GIT_REPO_DIR", HIGH_PRIVACY_STORAGE_BASE="", GIT_REPO_DIR="")
    work = site.folder / "work"
    assert shown == {"HIGH_PRIVACY_STORAGE_BASE": str(work / "high_privacy"), "GIT_REPO_DIR": str(work / "repos")}


def test_a_dotenv_file_is_read_and_the_environment_wins(site):
    (site.folder / ".env").write_text("MAX_WORKERS=7\nBACKEND=from-the-file\n")
    shown = site.show("MAX_WORKERS", "BACKEND", DOTENV_FILE=str(site.folder / ".env"), BACKEND="from-outside")
    assert shown == {"MAX_WORKERS": 7, "BACKEND": "from-outside"}


def test_production_can_be_set_up_in_a_dotenv_file_alone(site):
    (site.folder / "key").write_text(KEY)
    settings = {**site.production, "https_proxy": "http://proxy:3128"}
    settings["SECRET_KEY_FILE"] = str(site.folder / "key")
    del settings["SECRET_KEY"]
    (site.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    shown = site.show("SECRET_KEY", "BACKEND", "GIT_ENVIRONMENT", DOTENV_FILE=str(site.folder / ".env"))

    assert (shown["SECRET_KEY"], shown["BACKEND"]) == (KEY, "tpp")
    assert shown["GIT_ENVIRONMENT"]["https_proxy"] == "http://proxy:3128"


def test_a_work_directory_that_cannot_be_made_is_named(site):
    (site.folder / "file").touch()
    assert "WORK_DIR" in site.refusal(WORK_DIR=str(site.folder / "file" / "work"))


def test_git_gets_only_the_variables_that_it_needs(site):
    shown = site.show("GIT_ENVIRONMENT", SECRET_KEY=KEY, https_proxy="http://proxy:3128", GIT_SSH_COMMAND="evil")
    assert set(shown["GIT_ENVIRONMENT"]) == {"PATH", "https_proxy"}


@pytest.mark.parametrize("given", ["https://jobs.example.org/api/v2", "https://jobs.example.org/api/v2///"])
def test_the_job_servers_address_ends_in_one_slash(site, given):
    shown = site.show("JOB_SERVER_ENDPOINT", JOB_SERVER_ENDPOINT=given, JOB_SERVER_TOKEN="t0ken")
    assert shown["JOB_SERVER_ENDPOINT"] == "https://jobs.example.org/api/v2/"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"JOB_SERVER_ENDPOINT": "https://jobs.example.org/"}, "JOB_SERVER_TOKEN"),
        ({"JOB_SERVER_TOKEN": "sesame"}, "JOB_SERVER_ENDPOINT"),
        ({"JOB_SERVER_ENDPOINT": "https://u:sesame@jobs.example.org/", "JOB_SERVER_TOKEN": "t"}, "JOB_SERVER_ENDPOINT"),
        ({"JOB_SERVER_ENDPOINT": "https://jobs.example.org/", "JOB_SERVER_TOKEN": "ses ame"}, "JOB_SERVER_TOKEN"),
        ({"JOB_SERVER_CA_FILE": "/nowhere.pem"}, "JOB_SERVER_CA_FILE"),
        ({"JOB_SERVER_CA_FILE": str(ROOT / "README.md")}, "JOB_SERVER_CA_FILE"),
        ({"JOB_SERVER_PROXY": "proxy:3128"}, "JOB_SERVER_PROXY"),
        ({"RAP_API_TOKENS": "sesame"}, "RAP_API_TOKENS"),
    ],
)
def test_what_cannot_work_with_the_job_server_is_refused_without_its_secrets(site, variables, named):
    refusal = site.refusal(**variables)
    assert f"- {named}: " in refusal
    assert "sesame" not in refusal and "ses ame" not in refusal


def test_a_token_in_clear_text_is_for_this_machine_only_in_production(site):
    plain = {"JOB_SERVER_TOKEN": "t", "JOB_SERVER_ENDPOINT": "http://jobs.example.org/api/v2/"}
    assert "https://" in site.refusal(**site.production, **plain)
    here = plain | {"JOB_SERVER_ENDPOINT": "http://127.0.0.1:8001/api/v2/"}
    assert site.show("JOB_SERVER_TOKEN", **site.production, **here)["JOB_SERVER_TOKEN"] == "t"


def test_a_token_of_the_rap_api_speaks_for_its_backends_and_else_for_this_one():
    problems = []
    tokens = checking.rap_api_tokens(problems, "0123456789abcdef== tpp,test=0123456789abcdeX", "emis")
    assert not problems
    assert tokens == {"0123456789abcdef==": {"emis"}, "0123456789abcdeX": {"tpp", "test"}}


def test_proxies_are_addresses_networks_or_a_socket(site):
    shown = site.show("TRUSTED_PROXIES", TRUSTED_PROXIES="127.0.0.1, 10.1.2.3/24, fd00::/8, unix")
    assert shown["TRUSTED_PROXIES"] == ["127.0.0.1/32", "10.1.2.0/24", "fd00::/8", None]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"TRUSTED_PROXIES": "proxy.example.org"}, "TRUSTED_PROXIES"),
        ({"SSO_HEADER": "X-Remote-User"}, "SSO_TRUSTED_PROXIES"),
        ({"SSO_TRUSTED_PROXIES": "127.0.0.1"}, "SSO_HEADER"),
        ({"SSO_HEADER": "X-Remote-User", "SSO_TRUSTED_PROXIES": "0.0.0.0/0"}, "SSO_TRUSTED_PROXIES"),
        ({"SSO_HEADER": "X_Remote User", "SSO_TRUSTED_PROXIES": "127.0.0.1"}, "SSO_HEADER"),
        ({"SSO_HEADER": "Host", "SSO_TRUSTED_PROXIES": "127.0.0.1"}, "SSO_HEADER"),
        ({"SSO_ROLE": "administrator"}, "SSO_ROLE"),
    ],
)
def test_nobody_is_believed_by_a_slip(site, variables, named):
    assert f"  - {named}:" in site.refusal(**variables)


# Whom to tell of what


def test_who_is_told_of_what_is_looked_at_before_the_first_thing_happens(site):
    message = site.refusal(
        NOTIFY_ABOUT="failed,weather",
        NOTIFY_EMAILS="olive@example.org,nobody",
        EMAIL_USE_TLS="1",
        EMAIL_USE_SSL="1",
        NOTIFY_WEBHOOK_URL="chat.example.org/very-secret",
        NOTIFY_WEBHOOK_PROXY="proxy",
        NOTIFY_WEBHOOK_CA_FILE="/none",
        DASHBOARD_URL="jobs.example.org",
        CHORES_HOUR="24",
    )
    for expected in (
        "NOTIFY_ABOUT: 'weather' is none of failed, ",
        "NOTIFY_EMAILS: 'nobody' is no address",
        "EMAIL_FROM: name the sender",
        "EMAIL_USE_TLS, EMAIL_USE_SSL: set one of them",
        "NOTIFY_WEBHOOK_URL: must be an https:// address",
        "NOTIFY_WEBHOOK_PROXY: must be the address of a proxy",
        "NOTIFY_WEBHOOK_CA_FILE: holds no certificates",
        "DASHBOARD_URL: must be the https:// address",
        "CHORES_HOUR: ",
    ):
        assert expected in message, expected
    assert "very-secret" not in message


def test_a_webhook_is_not_called_in_plain_text_from_production(site):
    plain = {"NOTIFY_WEBHOOK_URL": "http://chat.example.org/very-secret"}
    message = site.refusal(**site.production, **plain)
    assert "NOTIFY_WEBHOOK_URL: http:// would show it to everybody" in message and "very-secret" not in message
    assert site.show("NOTIFY_WEBHOOK_URL", **plain) == plain
    loopback = {"NOTIFY_WEBHOOK_URL": "http://127.0.0.1:9000/x"}
    assert site.show("NOTIFY_WEBHOOK_URL", **site.production, **loopback) == loopback
