"""A whole installation with web pages for a browser: its own folder, a database and a real gunicorn on a free port."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from tests.ports import HOST, hold_port, port_of
from tests.site import ROOT, Site, wait_until
from tests.web import PASSWORD

GUNICORN = (
    "gunicorn", "--config", "python:jobrunner_site.gunicorn_conf", "--workers", "1", "--graceful-timeout", "1",
)  # fmt: skip
# A test run that is killed ends nothing itself.
_ENDS_WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "TERM", "--") if shutil.which("setpriv") else ()
ROLES = ("viewer", "operator", "administrator")


class Served(Site):
    """Somebody of each role can log in, called after it. `rich` fills the showcase, `hostile` its hostile twin."""

    def __init__(self, folder: Path, *, rich: bool = False, hostile: bool = False, **settings: str):
        folder.mkdir(parents=True, exist_ok=True)
        defaults = {"EXECUTOR": "fake", "DJANGO_SETTINGS_MODULE": "tests.browser.site_settings"}
        super().__init__(folder, **defaults | settings)
        self._fills = "showcase" if rich else "hostile" if hostile else ""
        self._holder = hold_port()
        self.port = port_of(self._holder)
        self.web: subprocess.Popen | None = None
        self.logged_in: dict[str, dict] = {}  # role -> what a browser of such a person remembers

    def __enter__(self) -> "Served":
        super().__enter__()
        if self._fills:
            self.run_module("tests.showcase", *(["hostile"] if self._fills == "hostile" else []))
        else:
            self.manage("shell", "-v0", "-c", _PEOPLE)
        self.start_web()
        return self

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def run_module(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=self.environment, check=True, capture_output=True,
            timeout=120,
        )  # fmt: skip

    def start_web(self) -> None:
        self._log = self.folder / "web.log"
        with self._log.open("a") as log:
            self.web = subprocess.Popen(
                [*_ENDS_WITH_ITS_PARENT, sys.executable, "-m", *GUNICORN, "--bind", f"{HOST}:{self.port}"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, 60, "an answer of the web server")

    def stop_web(self) -> None:
        self.web.send_signal(signal.SIGTERM)
        self.web.wait(20)

    def _answers(self) -> bool:
        assert self.web.poll() is None, self._log.read_text()
        try:
            urlopen(f"{self.url}/login/", timeout=5).close()
        except HTTPError:
            return True
        except (URLError, OSError):
            return False
        return True

    def __exit__(self, *error) -> None:
        if self.web is not None and self.web.poll() is None:
            self.stop_web()
        self._holder.close()
        super().__exit__(*error)


_PEOPLE = f"""
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
for role in {ROLES!r}:
    user = get_user_model().objects.create_user(role, password={PASSWORD!r})
    user.groups.add(Group.objects.get(name=role))
"""
