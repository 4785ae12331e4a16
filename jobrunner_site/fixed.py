"""Django's settings that are the same at every site: apps, middleware, pages, passwords, cookies.

What a variable of the environment decides is in `settings`, which takes all of these over.
"""

from pathlib import Path

from csp.constants import NONE, SELF

BASE_DIR = Path(__file__).resolve().parent.parent

INSTALLED_APPS = [
    "jobs.people.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "heroicons",
    "ninja",  # for its static files: the page of the API's document is theirs
    "django_q",
    "jobs.apps.JobsConfig",
    "sync.apps.SyncConfig",
    "runner.apps.RunnerConfig",
]
MIDDLEWARE = [
    "jobs.people.headers.on_every_answer",
    "jobs.health.answering_first",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "jobs.people.headers.stored_nowhere",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "jobs.people.sessions.EndingInTime",
    "jobs.people.single_sign_on.following_the_proxy",
    "jobs.people.access.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "jobrunner_site.urls"
WSGI_APPLICATION = "jobrunner_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "jobs.views.frame.frame",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 15}),
        ("CommonPasswordValidator", {}),
    )
]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "login", "home", "login"
# Nothing but our own files, no inline script or style, no frame: whatever slips into a page cannot run or call home.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        **{f"{kind}-src": [SELF] for kind in ("script", "style", "connect", "font", "manifest")},
        "img-src": [SELF, "data:"],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = ["jobrunner_site.formats"]
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER_FILTER = "jobrunner_site.debug_pages.SecretsHidden"
# Whether other hosts of the domain speak https is not for this one to say (subdomains, preload).
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# The limits of a session are jobs.people.sessions'; this is when its row may be removed.
# For so long the web answers the same poll of several people by what it has made for the first of them.
LIVE_SHARED_SECONDS = 1.0
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
# The queue of chores (jobs/chores). Its clock for "try again" starts when an entry is fetched, so `retry` is well above
# the time that an entry may wait in the process (queue_limit) and be worked on (timeout). What fails is not repeated:
# our own rows say what came of it.
Q_CLUSTER = {
    "name": "jobrunner",
    "label": "Queue of chores",
    "orm": "default",
    "workers": 2,
    "queue_limit": 1,
    "bulk": 1,
    "timeout": 600,
    "retry": 1500,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "catch_up": False,
    "poll": 1.0,
    "guard_cycle": 1,
    "recycle": 1_000_000,
    "log_level": "WARNING",
}
