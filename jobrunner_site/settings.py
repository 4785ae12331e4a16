"""Every environment variable of the job runner, read once.

Nothing else reads `os.environ`. All variables are looked at before anything is refused, so that one start shows every
mistake in one message. With no variable set at all the result is a development installation beside manage.py; in
production mode (`JOB_RUNNER_MODE=production`) what protects patients' data has no default. Names are the older
system's where it had one. Each secret `X` may instead be given as `X_FILE`, the path of a file that holds it, or by a
file `X` in SECRETS_DIR.
"""

import os
import re
from pathlib import Path

from environs import EnvError
from environs import validate as check

from jobrunner_site import checking, databases, notifying, serving
from jobrunner_site.fixed import *  # noqa: F403 - Django wants all of its settings in one module
from jobrunner_site.fixed import BASE_DIR
from jobrunner_site.secret_values import secrets_in
from jobrunner_site.variables import Variables, positive

_problems: list[str] = []
env = Variables(_problems)
secret, folder, comma_separated = env.secret, env.folder, env.comma_separated
SECRET_FILES = env.secret_files
DOTENV_FILE = os.environ.get("DOTENV_FILE", str(BASE_DIR / ".env"))
if os.environ.get("DOTENV_FILE") and not Path(DOTENV_FILE).is_file():
    _problems.append(f"DOTENV_FILE: there is no file {DOTENV_FILE}.")  # a slip must not mean development
elif DOTENV_FILE and Path(DOTENV_FILE).is_file():
    try:
        env.read_env(DOTENV_FILE, recurse=False)
    except OSError as error:
        _problems.append(f"{DOTENV_FILE} cannot be read: {error.strerror}. Run this as the user whom it belongs to.")

SECRETS_DIR = env.secrets_dir = env.str("SECRETS_DIR", default="")
# Of the other processes of this installation: here they are not there, and nothing is wrong with that.
SECRETS_ELSEWHERE = env.list("SECRETS_ELSEWHERE", default=[])

# Mode and Django's own ------------------------------------------------------------------------------------------------
MODE = env.str("JOB_RUNNER_MODE", default="development", validate=check.OneOf(["development", "production"]))
PRODUCTION = MODE == "production"
DEBUG = env.bool("DEBUG", default=not PRODUCTION)
SECRET_KEY = secret("SECRET_KEY", default="" if PRODUCTION else "development-only-" + "not-a-secret-" * 4)
ALLOWED_HOSTS = list(comma_separated("ALLOWED_HOSTS", () if PRODUCTION else ("localhost", "127.0.0.1", "[::1]")))
CSRF_TRUSTED_ORIGINS = list(comma_separated("CSRF_TRUSTED_ORIGINS", ()))
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=PRODUCTION)
# Whose word "this came by https" is believed: only a proxy's that sets the header itself, whatever the browser sent.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None

# The web process (jobrunner_site/gunicorn_conf.py), and the service manager that has started this process -------------
WEB_WORKERS = env.int("WEB_WORKERS", default=2, validate=positive)
WEB_THREADS = env.int("WEB_THREADS", default=16, validate=positive)
WEB_BIND, WEB_ACCESS_LOG = comma_separated("WEB_BIND", ("127.0.0.1:8000",)), env.bool("WEB_ACCESS_LOG", default=False)
NOTIFY_SOCKET, WATCHDOG_SECONDS = serving.service_manager(os.environ, os.getpid())

# People ---------------------------------------------------------------------------------------------------------------
_trusted_proxies = comma_separated("TRUSTED_PROXIES", ())
SSO_HEADER = env.str("SSO_HEADER", default="")
_sso_trusted_proxies = comma_separated("SSO_TRUSTED_PROXIES", ())
SSO_ROLE = env.str("SSO_ROLE", default="none", validate=check.OneOf(["none", "viewer", "operator"]))

# Where things lie -----------------------------------------------------------------------------------------------------
WORK_DIR = folder("WORK_DIR", BASE_DIR / "workdir")
HIGH_PRIVACY_STORAGE_BASE = folder("HIGH_PRIVACY_STORAGE_BASE", WORK_DIR / "high_privacy")
MEDIUM_PRIVACY_STORAGE_BASE = folder("MEDIUM_PRIVACY_STORAGE_BASE", WORK_DIR / "medium_privacy")
GIT_REPO_DIR = folder("GIT_REPO_DIR", WORK_DIR / "repos")
# The path of WORK_DIR as the engine's host sees it; differs when the runner itself runs in a container.
HOST_WORK_DIR = Path(env.str("HOST_WORK_DIR", default=str(WORK_DIR)))
SNAPSHOT_DIR = folder("SNAPSHOT_DIR", WORK_DIR / "snapshots")
SNAPSHOTS_KEPT = env.int("SNAPSHOTS_KEPT", default=14, validate=positive)
EXPORT_DIR = folder("EXPORT_DIR", WORK_DIR / "exports")
# compose.yaml names a file by the variable, and a site that has put an address among its secrets means that.
DATABASE_URL = secret("DATABASE_URL", default=f"sqlite:///{WORK_DIR / 'db.sqlite3'}", file_wins=True)

# This site ------------------------------------------------------------------------------------------------------------
BACKEND = env.str("BACKEND", default="" if PRODUCTION else "development", validate=check.Regexp(r"[a-z0-9_-]*\Z"))
USING_DUMMY_DATA_BACKEND = env.bool("USING_DUMMY_DATA_BACKEND", default=not PRODUCTION)
LOG_LEVEL = env.str(
    "LOG_LEVEL", default="INFO", validate=check.OneOf(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
)
LOG_FORMAT = env.str("LOG_FORMAT", default="text", validate=check.OneOf(["text", "json"]))
DEBUG_LOG_DIR = env.str("DEBUG_LOG_DIR", default="")

# The job-server: asked (sync) and asking (the RAP API) ----------------------------------------------------------------
JOB_SERVER_ENDPOINT = re.sub(r"([^/])/*\Z", r"\1/", env.str("JOB_SERVER_ENDPOINT", default=""))
JOB_SERVER_TOKEN = secret("JOB_SERVER_TOKEN")
JOB_SERVER_CA_FILE = env.str("JOB_SERVER_CA_FILE", default="")
JOB_SERVER_PROXY = env.str("JOB_SERVER_PROXY", default="")
JOB_SERVER_TIMEOUT_SECONDS = env.float("JOB_SERVER_TIMEOUT_SECONDS", default=30.0, validate=positive)
POLL_INTERVAL = env.float("POLL_INTERVAL", default=5.0, validate=positive)
PLANNING_TIMEOUT_SECONDS = env.float("PLANNING_TIMEOUT_SECONDS", default=300.0, validate=positive)
_rap_api_tokens = secret("RAP_API_TOKENS")
RAP_CREATE_TIMEOUT_SECONDS = env.float("RAP_CREATE_TIMEOUT_SECONDS", default=20.0, validate=positive)

# The loop and its capacity --------------------------------------------------------------------------------------------
JOB_LOOP_INTERVAL = env.float("JOB_LOOP_INTERVAL", default=1.0, validate=positive)
MAX_WORKERS = env.int("MAX_WORKERS", default=max(2, (os.cpu_count() or 2)), validate=positive)
MAX_DB_WORKERS = env.int("MAX_DB_WORKERS", default=max(2, (os.cpu_count() or 2)), validate=check.Range(min=0))
JOB_RESOURCE_WEIGHTS_FILE = env.str("JOB_RESOURCE_WEIGHTS_FILE", default="")
MAX_ATTEMPTS = env.int("MAX_ATTEMPTS", default=3, validate=positive)
MIN_FREE_DISK = env.str("MIN_FREE_DISK", default="2G")

# Chores: what `run` has done beside the jobs, and whom it tells of what ----------------------------------------------
CHORES = env.bool("CHORES", default=True)
CHORES_HOUR = env.int("CHORES_HOUR", default=2, validate=check.Range(min=0, max=23))
UPDATE_IMAGES_DAILY = env.bool("UPDATE_IMAGES_DAILY", default=False)
EXPORTS_KEPT_DAYS = env.int("EXPORTS_KEPT_DAYS", default=7, validate=positive)
LOGS_COMPRESSED_AFTER_DAYS = env.int("LOGS_COMPRESSED_AFTER_DAYS", default=60, validate=positive)
SAMPLES_KEPT_DAYS = env.int("SAMPLES_KEPT_DAYS", default=180, validate=positive)
EVENTS_KEPT_DAYS = env.int("EVENTS_KEPT_DAYS", default=1095, validate=positive)
DASHBOARD_URL = env.str("DASHBOARD_URL", default="").rstrip("/")
NOTIFY_ABOUT = comma_separated("NOTIFY_ABOUT", ("failed", "cut-off", "stuck", "disk", "problem", "storage", "chore"))
NOTIFY_EMAILS = comma_separated("NOTIFY_EMAILS", ())
NOTIFY_WEBHOOK_URL = secret("NOTIFY_WEBHOOK_URL")
NOTIFY_WEBHOOK_SECRET = secret("NOTIFY_WEBHOOK_SECRET")
NOTIFY_WEBHOOK_PROXY = env.str("NOTIFY_WEBHOOK_PROXY", default="")
NOTIFY_WEBHOOK_CA_FILE = env.str("NOTIFY_WEBHOOK_CA_FILE", default="")
EMAIL_HOST = env.str("EMAIL_HOST", default="localhost")
EMAIL_PORT = env.int("EMAIL_PORT", default=25, validate=positive)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = secret("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=False)
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", default=False)
DEFAULT_FROM_EMAIL = EMAIL_FROM = env.str("EMAIL_FROM", default="")

# The executor and what a container gets -------------------------------------------------------------------------------
EXECUTOR = env.str("EXECUTOR", default="docker", validate=check.OneOf(["docker", "fake"]))
DOCKER_HOST = env.str("DOCKER_HOST", default="unix:///var/run/docker.sock")
DOCKER_CERT_PATH = env.str("DOCKER_CERT_PATH", default="")
SSH_KEY_FILE = env.str("SSH_KEY_FILE", default="")
SSH_KNOWN_HOSTS_FILE = env.str("SSH_KNOWN_HOSTS_FILE", default="")
# An engine on another machine sees no folder of this one.
_kind = "folder" if DOCKER_HOST.startswith("unix:") else "volume"
WORKSPACE_KIND = env.str("WORKSPACE_KIND", default=_kind, validate=check.OneOf(["folder", "volume"]))
DOCKER_ROOT_DIR = env.str("DOCKER_ROOT_DIR", default="/var/lib/docker")
DOCKER_REGISTRY = env.str("DOCKER_REGISTRY", default="ghcr.io/opensafely-core").rstrip("/")
DOCKER_TIMEOUT_SECONDS = env.int("DOCKER_TIMEOUT_SECONDS", default=15, validate=positive)
ALLOWED_IMAGES = comma_separated(
    "ALLOWED_IMAGES",
    ("cohortextractor", "databuilder", "ehrql", "jupyter", "python", "r", "sqlrunner", "stata-mp"),
)
# Labels containers as this installation's; two installations on one engine must differ.
INSTANCE = env.str("INSTANCE", default="")
JOB_CPUS = env.float("JOB_CPUS", default=2.0, validate=positive)
JOB_MEMORY_LIMIT = env.str("JOB_MEMORY_LIMIT", default="4G")
JOB_PIDS_LIMIT = env.int("JOB_PIDS_LIMIT", default=1024, validate=positive)
JOB_MAX_FILE_SIZE = env.str("JOB_MAX_FILE_SIZE", default="100G")
JOB_USER_ID = env.int("JOB_USER_ID", default=os.getuid() or 10001, validate=positive)
JOB_GROUP_ID = env.int("JOB_GROUP_ID", default=os.getgid() or 10001, validate=positive)
JOB_LOG_MAX_BYTES = env.str("JOB_LOG_MAX_BYTES", default="100M")

# Database actions -----------------------------------------------------------------------------------------------------
DATABASE_ACCESS_NETWORK = env.str("DATABASE_ACCESS_NETWORK", default="jobrunner-db")
DATABASE_URLS = {name.lower(): secret(f"{name}_DATABASE_URL") for name in ("DEFAULT", "FULL", "SLICE", "DUMMY")}
DATABASE_STATUS_IMAGE = env.str("DATABASE_STATUS_IMAGE", default="")
_database_status_command = env.str("DATABASE_STATUS_COMMAND", default="maintenance")
DATABASE_STATUS_INTERVAL_SECONDS = env.float("DATABASE_STATUS_INTERVAL_SECONDS", default=300.0, validate=positive)
TEMP_DATABASE_NAME = env.str("TEMP_DATABASE_NAME", default="")
STATA_LICENSE = secret("STATA_LICENSE", default="")
PRESTO_TLS_KEY_PATH = env.str("PRESTO_TLS_KEY_PATH", default="")
PRESTO_TLS_CERT_PATH = env.str("PRESTO_TLS_CERT_PATH", default="")
EMIS_ORGANISATION_HASH = env.str("EMIS_ORGANISATION_HASH", default="")

# Disclosure limits for moderately sensitive outputs -------------------------------------------------------------------
LEVEL4_MAX_FILESIZE = env.int("LEVEL4_MAX_FILESIZE", default=16 * 1024 * 1024, validate=positive)
LEVEL4_MAX_CSV_ROWS = env.int("LEVEL4_MAX_CSV_ROWS", default=5000, validate=positive)
LEVEL4_FILE_TYPES = comma_separated(
    "LEVEL4_FILE_TYPES",
    (".csv", ".jpg", ".jpeg", ".png", ".svg", ".svgz", ".html", ".txt", ".log", ".json", ".md"),
)
LEVEL4_IDENTIFIER_COLUMNS = comma_separated("LEVEL4_IDENTIFIER_COLUMNS", ("patient_id",))

# git ------------------------------------------------------------------------------------------------------------------
ALLOWED_GIT_HOSTS = tuple(host.lower() for host in comma_separated("ALLOWED_GIT_HOSTS", ("github.com",)))
ALLOWED_GITHUB_ORGS = comma_separated("ALLOWED_GITHUB_ORGS", ("opensafely",))
GITHUB_PROXY_DOMAIN = env.str("GITHUB_PROXY_DOMAIN", default="").lower()
ALLOW_LOCAL_REPOS = env.bool("ALLOW_LOCAL_REPOS", default=not PRODUCTION)
PRIVATE_REPO_ACCESS_TOKEN = secret("PRIVATE_REPO_ACCESS_TOKEN")
GIT_TOKEN_HOSTS = tuple(host.lower() for host in comma_separated("GIT_TOKEN_HOSTS", ("github.com",)))
ACTIONS_ORG_URL = env.str("ACTIONS_ORG_URL", default="https://github.com/opensafely-actions").rstrip("/")
GIT_TIMEOUT_SECONDS = env.int("GIT_TIMEOUT_SECONDS", default=120, validate=positive)
GIT_ALLOW_HTTP = env.bool("GIT_ALLOW_HTTP", default=False)
GIT_MAX_FILES = env.int("GIT_MAX_FILES", default=50_000, validate=positive)
GIT_MAX_BYTES = env.int("GIT_MAX_BYTES", default=2 * 1024**3, validate=positive)
GIT_PROXY = env.str("GIT_PROXY", default="")
_FOR_GIT = (
    "PATH TMPDIR SSL_CERT_FILE SSL_CERT_DIR GIT_SSL_CAINFO CURL_CA_BUNDLE "
    "http_proxy https_proxy no_proxy all_proxy HTTPS_PROXY NO_PROXY ALL_PROXY"
)
GIT_ENVIRONMENT = {name: value for name in _FOR_GIT.split() if (value := env.str(name, default=""))}
_needed = ("BACKEND", "WORK_DIR", "HIGH_PRIVACY_STORAGE_BASE", "MEDIUM_PRIVACY_STORAGE_BASE")
_not_set = [name for name in _needed if not env.str(name, default="")]

try:
    env.seal()
except EnvError as error:
    for _name, _messages in getattr(error, "error_messages", {"": [str(error)]}).items():
        _problems += [f"{_name}: {_message}" for _message in _messages]
DATABASES = {"default": databases.database(_problems, DATABASE_URL)}
JOB_MEMORY_BYTES = checking.byte_size(_problems, "JOB_MEMORY_LIMIT", JOB_MEMORY_LIMIT, least=checking.LEAST_MEMORY)
JOB_MAX_FILE_BYTES = checking.byte_size(_problems, "JOB_MAX_FILE_SIZE", JOB_MAX_FILE_SIZE)
MIN_FREE_DISK_BYTES = checking.byte_size(_problems, "MIN_FREE_DISK", MIN_FREE_DISK)
JOB_LOG_BYTES = checking.byte_size(_problems, "JOB_LOG_MAX_BYTES", JOB_LOG_MAX_BYTES)
_problems += checking.storages(HIGH_PRIVACY_STORAGE_BASE, MEDIUM_PRIVACY_STORAGE_BASE)
_problems += checking.engine(globals())
_problems += checking.git(globals())
SECRETS_ELSEWHERE = [*SECRETS_ELSEWHERE, *env.unread]  # what is wrong with those is said already
_problems += checking.job_server(globals())
DATABASE_STATUS_COMMAND = checking.words(_problems, "DATABASE_STATUS_COMMAND", _database_status_command)
TRUSTED_PROXIES = checking.networks(_problems, "TRUSTED_PROXIES", _trusted_proxies)
SSO_TRUSTED_PROXIES = checking.networks(_problems, "SSO_TRUSTED_PROXIES", _sso_trusted_proxies)
_problems += notifying.notices(globals())
_problems += checking.single_sign_on(SSO_HEADER, _sso_trusted_proxies)
RAP_API_TOKENS = checking.rap_api_tokens(_problems, _rap_api_tokens, BACKEND)
_problems += serving.web(globals())
if PRODUCTION:
    _problems += checking.production(globals(), _not_set)
SETTINGS_KNOWN = frozenset(env.names)
if not _problems:
    try:
        WORK_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)  # the database in it names files of patients
    except OSError as error:
        _problems.append(f"WORK_DIR: {WORK_DIR} cannot be made: {error.strerror}.")
if _problems:
    checking.refuse(_problems)

# Django (what is the same at every site: jobrunner_site/fixed.py) -----------------------------------------------------
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
# In development the static files come from where they lie, whether or not error pages are Django's.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not PRODUCTION
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if SECURE_SSL_REDIRECT else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
if PRODUCTION:
    # Browsers take such a name only from this very host, over https.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
LOGS_NEVER_SHOW = secrets_in(
    *(SECRET_KEY, JOB_SERVER_TOKEN, STATA_LICENSE, PRIVATE_REPO_ACCESS_TOKEN, EMIS_ORGANISATION_HASH, *RAP_API_TOKENS),
    *(EMAIL_HOST_PASSWORD, NOTIFY_WEBHOOK_URL, NOTIFY_WEBHOOK_SECRET),
    addresses=(
        *(DATABASE_URL, JOB_SERVER_PROXY, GIT_PROXY, NOTIFY_WEBHOOK_PROXY),
        *(*DATABASE_URLS.values(), *GIT_ENVIRONMENT.values()),
    ),
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "jobs.log.LineFormatter"},
        "json": {"()": "jobs.log.JsonFormatter"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "json" if LOG_FORMAT == "json" else "line"}
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {name: {"level": "WARNING"} for name in ("urllib3", "docker", "django-q")},
}
