"""A Podman of the tests' own, with its service on a socket: rootful, in namespaces, folders and a /run of its own.

The first process of the namespaces dies with the test process, and with it all containers: Podman's are nobody's
children, so nothing else would end them. Making the namespaces needs root.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engine
from tests.private_engine import PrivateEngine

_PREFIX = "jobrunner-podman-"
_PROGRAMS = ("podman", "conmon", "catatonit", "setpriv", "unshare", "nsenter", "ip")
_CGROUPS = Path("/sys/fs/cgroup")
_SYS_RESOURCE = 1 << 24
# Podman gives each container higher limits than this machine may allow its root to give.
_LOWERING_RUNTIME = """\
#!/bin/sh
case " $* " in *" create "*) {python} -IS {lower} "$@" || exit 1 ;; esac
exec {runtime} "$@"
"""
_LOWER = """\
import json, os, resource, sys
path = os.path.join(sys.argv[sys.argv.index("--bundle") + 1], "config.json")
with open(path) as file:
    config = json.load(file)
for limit in config["process"].get("rlimits", ()):
    most = resource.getrlimit(getattr(resource, limit["type"]))[1]
    if most != resource.RLIM_INFINITY:
        limit.update({name: min(limit[name], most) for name in ("hard", "soft")})
with open(path, "w") as file:
    json.dump(config, file)
"""


def podman_trouble() -> str:
    """Why there can be no Podman of the tests' own, or an empty string."""
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    if missing or not (shutil.which("runc") or shutil.which("crun")):
        return f"Podman is not installed ({', '.join(missing) or 'runc'}): scripts/podman.sh installs it"
    return "" if os.getuid() == 0 else "a Podman of the tests' own needs root"


class PrivatePodman(PrivateEngine):
    """Made by `private_podman`. Its verbs are those of PrivateEngine; `kill` and `terminate` end the service only."""

    _init_program = "catatonit"

    def _make_namespaces(self) -> None:
        """Podman, its network plugins and runtimes keep in /run what goes with the host, and lock files elsewhere."""
        super()._make_namespaces()
        for place in ("/run", "/var/lib/cni"):
            if Path(place).is_dir():
                subprocess.run([*self._inside(), "mount", "-t", "tmpfs", "tmpfs", place], check=True)

    def _command(self) -> list[str]:
        data, run = self._folder / "data", "/run/own-podman"
        (self._folder / "containers.conf").write_text("")  # not the machine's
        storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{data}"\nrunroot = "{run}"\n'
        (self._folder / "storage.conf").write_text(storage)
        return [
            "env",
            f"CONTAINERS_CONF={self._folder / 'containers.conf'}",
            f"CONTAINERS_STORAGE_CONF={self._folder / 'storage.conf'}",
            "podman",
            f"--root={data}",
            f"--runroot={run}",
            "--tmpdir=/run/own-libpod",
            f"--network-config-dir={self._folder / 'networks'}",
            "--storage-driver=overlay",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
            f"--runtime={self._runtime()}",
            *self._options,
            "system",
            "service",
            "--time=0",
            self.address,
        ]

    def _runtime(self) -> str:
        """Podman knows by a runtime's name what it can do, so ours bears the other's name."""
        runtime = shutil.which("runc") or shutil.which("crun")
        status = Path("/proc/self/status").read_text()
        if int(status.partition("CapEff:")[2].split()[0], 16) & _SYS_RESOURCE:
            return runtime
        lowering, lower = self._folder / Path(runtime).name, self._folder / "lower.py"
        lower.write_text(_LOWER)
        lowering.write_text(_LOWERING_RUNTIME.format(python=sys.executable, lower=lower, runtime=runtime))
        lowering.chmod(0o755)
        return str(lowering)

    def lose_power(self) -> None:
        """A crash of the host: every process is gone, and /run. (The uptime of this machine's kernel goes on.)"""
        self.end()
        self._make_namespaces()

    def end(self) -> None:
        super().end()
        for container in (self._folder / "data" / "overlay-containers").glob("*/"):
            for cgroup in _CGROUPS.glob(f"*/libpod_parent/libpod-{container.name}"):
                for each in sorted([cgroup, *cgroup.rglob("*/")], reverse=True):
                    with contextlib.suppress(OSError):
                        each.rmdir()


@contextlib.contextmanager
def private_podman(*options: str) -> Iterator[PrivatePodman]:
    """A started PrivatePodman that has the tests' tiny image.

    Skips where the machine has none; in CI that is a failure.
    """
    if trouble := podman_trouble():
        report = pytest.fail if os.environ.get("CI") else pytest.skip
        report(trouble)
    # Not below tmp_path: the path of a socket has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    made = PrivatePodman(folder, options)
    try:
        made.start()
        make_images(made, engine.TINY_IMAGE)
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


def make_images(podman: PrivatePodman, *names: str) -> None:
    """As `tests.engine` does it for Docker."""
    script = [sys.executable, engine.ROOT / "scripts" / "images.py", *names]
    subprocess.run(script, check=True, env=os.environ | {"DOCKER_HOST": podman.address})
