"""Settings of the tests: those of a development installation with no variable set, in a folder of their own.

With TEST_POSTGRESQL, the address of a server of the tests' own (scripts/postgres.sh), on PostgreSQL.
"""

import os
import tempfile
from pathlib import Path

for _name in ("WORK_DIR", "HIGH_PRIVACY_STORAGE_BASE", "MEDIUM_PRIVACY_STORAGE_BASE", "EXECUTOR", "INSTANCE"):
    os.environ.pop(_name, None)
os.environ["DOTENV_FILE"] = ""
os.environ.setdefault("DOCKER_REGISTRY", "jobrunner-demo")
_folder = tempfile.TemporaryDirectory(prefix="jobrunner-tests-", ignore_cleanup_errors=True)
os.environ["WORK_DIR"] = _folder.name

from jobrunner_site import databases  # noqa: E402
from jobrunner_site.settings import *  # noqa: E402, F403 - the variables above must be set first

_test = {"NAME": str(Path(_folder.name) / "test.sqlite3")}
if _server := os.environ.get("TEST_POSTGRESQL"):
    DATABASES["default"] = databases.database([], _server)  # noqa: F405
    _test = {"NAME": f"tests_{os.getpid()}"}  # the two halves of the tests run side by side
DATABASES["default"]["TEST"] = _test  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LIVE_SHARED_SECONDS = 0  # a test changes something and looks at once
LOGGING = {"version": 1, "disable_existing_loggers": False}
STATIC_ROOT = _folder.name  # WhiteNoise warns of a folder that is not there
