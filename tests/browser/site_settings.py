"""Settings of the installations that a browser looks at: as on a site, but without TLS, and quick to log in to."""

from jobrunner_site.settings import *  # noqa: F403 - Django wants all of its settings in one module

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
WHITENOISE_USE_FINDERS = True  # nothing is collected first
STATIC_ROOT = WORK_DIR  # noqa: F405 - WhiteNoise warns of a folder that is not there
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
