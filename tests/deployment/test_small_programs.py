"""The small programs of the image: what goes to the build, smaller libraries, signs of life, secrets in a folder."""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pygraphviz
import pytest

from tests.site import ROOT, Site


def program(path: str):
    specification = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


machine, libraries = program("scripts/docker/machine.py"), program("scripts/image/smaller_libraries.py")

# What a build gets of this machine


def test_pips_mirrors_go_along_and_paths_of_this_machine_do_not():
    made = machine.pip_configuration(
        "\n".join(
            (
                "global.index-url='https://user:secret@mirror.example/simple'",
                "global.extra-index-url='https://other.example/simple file:///opt/pypi/simple'",
                "global.find-links='/opt/wheels'",
                "global.cert='/etc/ssl/certs/ca.crt'",
                "global.constraint='/etc/constraints.txt'",
                "install.timeout='60'",
                ":env:.index-url='https://wins.example/simple'",
                "global.broken=not a literal",
                "",
            )
        )
    )
    assert made == (
        "[global]\nindex-url = https://wins.example/simple\nextra-index-url = https://other.example/simple\n"
        "timeout = 60\n"
    )


def test_of_apt_only_how_packages_are_reached_goes_along():
    dump = (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Valid-Until "false";\n'
        'Acquire::https::CAInfo "/etc/own.pem";\nAcquire::http::Proxy-Auto-Detect "/usr/bin/auto-apt-proxy";\n'
        'APT::Get::Assume-Yes "true";\nDPkg::Post-Invoke "rm -rf /";\nAcquire::Retries "3";\n'
        'Acquire::http::Proxy::mirror.example "DIRECT";\n'
    )
    assert machine.apt_configuration(dump).splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Retries "3";',
        'Acquire::http::Proxy::mirror.example "DIRECT";',
    ]


def test_the_keys_of_archives_go_along_with_their_sources(monkeypatch, tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    key = tmp_path / "ours.gpg"
    key.write_bytes(b"key")
    (tmp_path / "sources.list.d/ours.list").write_text(f"deb [signed-by={key}] https://apt.example stable main\n")
    monkeypatch.setattr(machine, "APT", tmp_path)
    monkeypatch.setattr(machine.Path, "relative_to", lambda path, _: Path("apt") / path.name)
    assert machine.sources() == {
        "keys/ours.gpg": str(key),
        "apt/ours.list": "deb [signed-by=@HERE@/keys/ours.gpg] https://apt.example stable main\n",
    }


def test_what_goes_to_the_build_is_no_larger_than_docker_takes():
    made = subprocess.run([sys.executable, ROOT / "scripts/docker/machine.py"], capture_output=True, check=True)
    assert len(made.stdout) <= machine.MOST_BYTES
    with tarfile.open(fileobj=BytesIO(made.stdout)) as tar:
        assert {"pip.conf", "apt/apt.conf", "proxies"} <= set(tar.getnames())


def test_without_a_given_configuration_the_command_runs_as_it_is(tmp_path):
    (tmp_path / "tmp").mkdir()
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path / "tmp")}
    command = ["sh", ROOT / "scripts/image/as_the_machine.sh", "sh", "-c", "echo ${APT_CONFIG-none} ${PIP_CERT-none}"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert said.stdout == "none none\n"
    assert not list((tmp_path / "tmp").iterdir())


# Libraries without padding


def test_graphviz_draws_the_same_with_a_tenth_of_its_libraries_size(tmp_path):
    package = Path(pygraphviz.__file__).parent
    for folder in (package, package.with_name("pygraphviz.libs")):
        if not folder.is_dir():
            pytest.skip("this Graphviz brings no libraries")
        shutil.copytree(folder, tmp_path / folder.name)
    before = sum(path.stat().st_size for path in tmp_path.rglob("*.so*"))
    libraries.main([str(tmp_path)])
    after = sum(path.stat().st_size for path in tmp_path.rglob("*.so*"))
    asked = json.dumps({"boxes": [[100, 30], [80, 30], [50, 30]], "links": [[0, 1], [0, 2]]})

    def drawn(**variables: str) -> str:
        command = [sys.executable, ROOT / "jobs/graph_child.py"]
        return subprocess.run(command, env=variables, input=asked, capture_output=True, text=True, check=True).stdout

    assert after < before / 4 or before < 20_000_000
    assert drawn(PYTHONPATH=str(tmp_path)) == drawn()
    libraries.main([str(tmp_path)])
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.so*")) == after


def test_what_is_no_library_with_padding_stays_as_it_is():
    python = Path(sys.executable).resolve().read_bytes()
    assert all(libraries.smaller(content) == content for content in (b"", b"\x7fELF", b"#!/bin/sh\n", python))


# Signs of life


def sign(site: Site, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "scripts/container/sign_of_life.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=site.environment, capture_output=True, text=True, timeout=60)


def test_a_service_lives_as_long_as_it_says_so(tmp_path):
    with Site(tmp_path) as site:
        assert sign(site, "run").returncode == 1
        assert "run was never heard" in sign(site, "run").stderr
        for age, code in ((1, 0), (-30, 0), (-86400, 1), (3600, 1)):
            at = datetime.now(UTC) - timedelta(seconds=age)
            site.change("DELETE FROM jobs_heartbeat")
            site.change("INSERT INTO jobs_heartbeat (name, at, detail) VALUES ('run', ?, '{}')", str(at))
            said = sign(site, "run")
            assert said.returncode == code and ("in the future" in said.stderr) == (age == -86400)
        assert "run was last heard 36" in sign(site, "run").stderr
        assert sign(site, "sync").returncode == 1


def test_without_a_database_nobody_can_tell(tmp_path):
    said = sign(Site(tmp_path), "run")
    assert said.returncode == 1 and said.stderr.startswith("cannot tell: OperationalError")


class WithoutTls:
    """A server that says no to TLS, and keeps what it hears after that."""

    def __enter__(self) -> "WithoutTls":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard = self._listener.getsockname()[1], []
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                with caller:
                    caller.settimeout(10)
                    caller.recv(8)
                    caller.sendall(b"N")
                    self.heard.append(caller.recv(1000))


def test_a_health_check_keeps_to_the_tls_that_the_address_asks_for(tmp_path):
    with WithoutTls() as server:
        url = f"postgresql://jobrunner:secret@127.0.0.1:{server.port}/jobrunner?sslmode=require&gssencmode=disable"
        environment = {"PATH": os.environ["PATH"], "DOTENV_FILE": "", "WORK_DIR": str(tmp_path), "DATABASE_URL": url}
        command = [sys.executable, ROOT / "scripts/container/sign_of_life.py", "run"]
        said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert said.returncode == 1 and "server does not support SSL" in said.stderr
        assert server.heard == [b""]


# What the shell reads of .env is what manage.py reads


@pytest.mark.parametrize(
    "line",
    [
        "JOB_RUNNER_MODE=production",
        "JOB_RUNNER_MODE = production",
        "JOB_RUNNER_MODE=production\t# as it is",
        "\texport JOB_RUNNER_MODE='production'",
        'JOB_RUNNER_MODE="production" # as it is',
        "JOB_RUNNER_MODE=development\nJOB_RUNNER_MODE=production",
        "#JOB_RUNNER_MODE=production",
        "JOB_RUNNER_MODE=${MODE}",
        '"JOB_RUNNER_MODE"=production',
    ],
)
def test_the_scripts_take_no_installation_of_production_for_one_of_development(tmp_path, line):
    from dotenv import dotenv_values

    (tmp_path / ".env").write_text(f"MODE=production\n{line}\n")
    script = (
        "set -euo pipefail; . scripts/messages.sh; . scripts/docker/ground.sh; refuse_what_only_python_reads; "
        "is_production && echo production || echo development"
    )
    environment = {"PATH": os.environ["PATH"], "DOTENV_FILE": str(tmp_path / ".env")}
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    meant = dotenv_values(tmp_path / ".env").get("JOB_RUNNER_MODE") or "development"
    assert done.stdout == f"{meant}\n" or "Write the plain value" in " ".join(done.stderr.split())


# Secrets in a folder


def shown(folder: Path, *names: str, **variables: str) -> list[str]:
    script = f"from jobrunner_site import settings\nfor name in {names!r}: print(getattr(settings, name))"
    environment = {"PATH": os.environ["PATH"], "DOTENV_FILE": "", "WORK_DIR": str(folder / "work"), **variables}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else [done.stderr]


def test_a_file_named_as_a_secret_holds_it_and_an_empty_one_counts_as_not_set(tmp_path):
    (tmp_path / "STATA_LICENSE").write_text("from-the-folder\n")
    (tmp_path / "PRIVATE_REPO_ACCESS_TOKEN").write_text("")
    names = ("STATA_LICENSE", "PRIVATE_REPO_ACCESS_TOKEN")
    given = {"SECRETS_DIR": str(tmp_path), "PRIVATE_REPO_ACCESS_TOKEN": "from-the-environment"}
    assert shown(tmp_path, *names, **given) == ["from-the-folder", "from-the-environment"]
    (tmp_path / "named").write_text("from-the-named-file")
    assert shown(tmp_path, *names, **given, STATA_LICENSE_FILE=str(tmp_path / "named"))[0] == "from-the-named-file"


def test_a_process_may_know_the_job_server_without_its_token_only_if_another_one_has_it(tmp_path):
    name, address = "JOB_SERVER_ENDPOINT", "https://jobs.example.org/api/v2/"
    assert "go together" in shown(tmp_path, name, JOB_SERVER_ENDPOINT=address)[0]
    assert shown(tmp_path, name, JOB_SERVER_ENDPOINT=address, SECRETS_ELSEWHERE="JOB_SERVER_TOKEN") == [address]


def test_a_process_without_the_token_never_asks_the_job_server(tmp_path):
    given = {"JOB_SERVER_ENDPOINT": "http://127.0.0.1:9/api/", "SECRETS_ELSEWHERE": "JOB_SERVER_TOKEN"}
    with Site(tmp_path, **given) as site:
        assert "JOB_SERVER_TOKEN is not given to this process" in site.manage("sync", "--once", expect=1)
        assert "only sync has its token" in site.manage("doctor", "job-server", expect=1)
