"""A PostgreSQL server of the tests' own: in a folder of its own, on a Unix socket, gone with whoever started it.

`python -m tests.postgres_cluster COMMAND…` runs a command with one beside it (`scripts/postgres.sh` does, once it has
made sure of Debian's package); tests that stop and restart a server make another. The machine's own is never touched.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.site import wait_until

# Where the tests find the server; without it they run on SQLite.
SERVER = "TEST_POSTGRESQL"
# Nothing here has to survive a power cut; a crash of the server it does, for our connections see to that
# (`jobrunner_site.postgresql`), whatever stands here.
_QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10min",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}
# Whoever is called so has to say a password, as at a real site.
NEEDS_PASSWORD = "site"
_WHO_MAY = f"local all {NEEDS_PASSWORD} scram-sha-256\nlocal all all trust\n"


def programs() -> Path | None:
    """The folder of initdb and postgres: the newest of Debian's, or what is on the PATH."""
    debian = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if debian:
        return max(debian, key=lambda path: [int(number) for number in re.findall(r"\d+", path.parent.name)])
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class Cluster:
    """`with Cluster() as cluster:` has a server that answers; `stop` and `start` may be called meanwhile."""

    def __init__(self) -> None:
        self._programs = programs()
        assert self._programs, "PostgreSQL is not installed: scripts/postgres.sh would do it"
        # Unix sockets have short paths only, and pytest's folders are long.
        self.folder = Path(tempfile.mkdtemp(prefix="jobrunner-postgres-", dir="/tmp"))
        self._data, self.log = self.folder / "data", self.folder / "log"
        self._server: subprocess.Popen | None = None

    def __enter__(self) -> "Cluster":
        try:
            if os.geteuid() == 0:
                owner = pwd.getpwnam(_somebody())
                os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self._run("initdb", "--pgdata", str(self._data), "--username=postgres", "--auth=trust", "--no-sync",
                      "--encoding=UTF8", "--locale=C.UTF-8")  # fmt: skip
            (self._data / "pg_hba.conf").write_text(_WHO_MAY)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@{quote(str(self.folder), safe='')}/{database}"

    def start(self) -> None:
        settings = [word for name, value in _QUICK.items() for word in ("-c", f"{name}={value}")]
        command = self._command("postgres", "-D", str(self._data), "-k", str(self.folder), *settings)
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(
                command, cwd="/", env=_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        wait_until(self._answers, 60, "an answer of the tests' own PostgreSQL")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: all connections are ended at once; SIGQUIT: as a crash."""
        if self._server:
            self._server.send_signal(how)
            self._server.wait(60)
            self._server = None

    def _answers(self) -> bool:
        assert self._server and self._server.poll() is None, f"PostgreSQL has ended:\n{self.log.read_text()[-2000:]}"
        asked = self._command("pg_isready", "--quiet", "--host", str(self.folder))
        return subprocess.run(asked, cwd="/", env=_ENVIRONMENT, check=False).returncode == 0

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            self._command(*command), cwd="/", env=_ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command[0]} gave {done.returncode}:\n{done.stdout}{done.stderr}"

    def _command(self, program: str, *arguments: str) -> list[str]:
        """As somebody else where we are root, whom PostgreSQL refuses; a server ends with whoever started it."""
        other = ["--reuid", _somebody(), "--regid", _somebody(group=True), "--clear-groups"]
        own = ["setpriv", *(other if os.geteuid() == 0 else []), "--pdeathsig", "INT", "--"]
        return [*own, str(self._programs / program), *arguments]


_ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}


def _somebody(group: bool = False) -> str:
    """Debian's own user of PostgreSQL, or nobody."""
    try:
        found = pwd.getpwnam("postgres")
    except KeyError:
        found = pwd.getpwnam("nobody")
    return str(found.pw_gid) if group else found.pw_name


@contextmanager
def server_of_tests() -> Iterator[str]:
    """The address of a server: the one that the whole run of the tests has, or a new one."""
    if there := os.environ.get(SERVER):
        yield there
    else:
        with Cluster() as cluster:
            yield cluster.url()


def main() -> int:
    with Cluster() as cluster:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        command = subprocess.Popen(sys.argv[1:], env={**os.environ, SERVER: cluster.url()})
        try:
            return command.wait()
        except BaseException:
            command.terminate()
            command.wait()
            raise


if __name__ == "__main__":
    sys.exit(main())
