"""Production's own settings, with the collected files in the installation's folder instead of the repository's."""

from jobrunner_site.settings import *  # noqa: F403 - Django wants all of its settings in one module

STATIC_ROOT = WORK_DIR / "staticfiles"  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
