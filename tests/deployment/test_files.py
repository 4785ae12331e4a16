"""Dockerfile and compose.yaml, read as files: what must hold whoever builds and starts them, and where."""

import os
import re
import shutil
import subprocess

import pytest
import yaml

from tests.site import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("migrate", "sync", "run", "web", "command")
LONG_RUNNING = ("sync", "run", "web")
# Of compose and of ssh, and no settings of Django's side.
NO_SETTINGS = {"SSH_KEY", "SSH_KNOWN_HOSTS", "POSTGRES_PASSWORD"}
IN_DEVELOPMENT = [["-f", "compose.yaml"], ["-f", "compose.yaml", "-f", "compose.development.yaml"]]
VARIABLES = {
    "WORK_DIR": "/srv/work",
    "HIGH_PRIVACY_STORAGE_BASE": "/srv/high",
    "MEDIUM_PRIVACY_STORAGE_BASE": "/srv/medium",
    "DOCKER_GID": "999",
    "CODE": "/srv/jobrunner",
    "CHECKOUT": "/home/dev/jobrunner",
}


def secrets_of_settings() -> set[str]:
    source = (ROOT / "jobrunner_site" / "settings.py").read_text()
    assert '_DATABASE_URL") for name in ("DEFAULT", "FULL", "SLICE", "DUMMY")' in source
    named = set(re.findall(r'(?<!def )secret\(\s*"([A-Z0-9_]+)"', source))
    return named | {f"{name}_DATABASE_URL" for name in ("DEFAULT", "FULL", "SLICE", "DUMMY")}


def test_the_image_is_built_without_fetching_a_syntax_from_a_registry():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert not [line for line in lines if re.match(r"#\s*syntax\s*=", line)]
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases == ["${BASE_IMAGE}", "base", "base", "base"]


def test_nothing_of_a_checkout_gets_into_the_image_unless_it_is_named():
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    assert ignored[1] == "*"
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert let_in.isdisjoint({".git", ".env", "secrets", "workdir", "tests", "scripts", "."})
    assert all((ROOT / name).exists() for name in let_in)


def test_settings_secrets_and_keys_are_not_in_git():
    names = [".env", "secrets/SECRET_KEY", ".docker-over-ssh/key", "workdir-docker/database/db.sqlite3"]
    said = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True)
    assert said.stdout.split() == names


@pytest.mark.parametrize("name", OURS)
def test_a_service_can_do_no_more_than_it_must(name):
    service = SERVICES[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert service["logging"]["options"]["max-size"] and service["logging"]["options"]["max-file"]
    assert "privileged" not in service and "user" not in service and service.get("network_mode") is None


def test_only_run_and_an_operators_commands_get_the_engine():
    with_socket = {name for name, each in SERVICES.items() if "docker.sock" in str(each.get("volumes"))}
    assert with_socket == {"run", "command"}
    assert {name for name, each in SERVICES.items() if "group_add" in each} == with_socket
    assert SERVICES["command"]["profiles"] == ["command"]  # not started with the others


def test_each_service_sees_only_the_folders_that_it_needs():
    work, high, medium = ("${WORK_DIR:?}", "${HIGH_PRIVACY_STORAGE_BASE:?}", "${MEDIUM_PRIVACY_STORAGE_BASE:?}")

    def folders(name: str) -> set[str]:
        shared = ("/etc/jobrunner", "docker.sock")
        return {each for each in SERVICES[name]["volumes"] if not any(part in each for part in shared)}

    database = f"{work}/database:{work}/database"
    assert folders("migrate") == {database}
    assert folders("sync") == {database, f"{work}/repos:{work}/repos"}
    assert folders("web") == {database, f"{high}:{high}:ro"}
    assert folders("run") == {f"{work}:{work}", f"{high}:{high}", f"{medium}:{medium}"}


def test_each_service_sees_only_the_secrets_that_it_needs():
    assert SERVICES["migrate"]["secrets"] == ["SECRET_KEY", "DATABASE_URL"]
    assert SERVICES["web"]["secrets"] == ["SECRET_KEY", "DATABASE_URL", "RAP_API_TOKENS"]
    of_sync_alone = {"JOB_SERVER_TOKEN", "PRIVATE_REPO_ACCESS_TOKEN"}
    assert set(SERVICES["sync"]["secrets"]) == {*SERVICES["web"]["secrets"], *of_sync_alone}
    assert "JOB_SERVER_TOKEN" not in SERVICES["run"]["secrets"]
    for name in OURS:
        is_without = "JOB_SERVER_TOKEN" not in SERVICES[name]["secrets"]
        assert (SERVICES[name]["environment"].get("SECRETS_ELSEWHERE") == "JOB_SERVER_TOKEN") is is_without


def test_every_secret_of_the_settings_can_be_given_to_a_service_as_a_file():
    given = {name for each in SERVICES.values() for name in each["secrets"]}
    assert given == set(COMPOSE["secrets"])
    assert given - NO_SETTINGS == secrets_of_settings()
    assert all(each["file"] == f"${{SECRETS:-./secrets}}/{name}" for name, each in COMPOSE["secrets"].items())


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_service_comes_back_and_is_given_time_to_end(name):
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    # `run` is gone 10 s after the signal, its chores 12 s (jobs/service.py, jobs/supervising.py), the web's calls 30 s.
    assert int(service["stop_grace_period"].rstrip("s")) >= {"sync": 15, "run": 25, "web": 35}[name]
    assert service["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert service["healthcheck"]["test"][:3] == ["CMD", "python", "scripts/container/sign_of_life.py"]


def test_marks_of_processes_stay_the_same_when_a_container_is_made_anew():
    hosts = [SERVICES[name]["hostname"] for name in OURS]
    assert len(set(hosts)) == len(OURS)


def test_paths_are_the_same_inside_and_outside_as_the_engine_mounts_by_the_hosts():
    for name in OURS:
        for each in SERVICES[name]["volumes"]:
            outside, inside = re.sub(r"\$\{(\w+):-[^}]*\}", r"${\1}", each).replace(":?", "").split(":")[:2]
            assert outside == inside or inside in ("/etc/jobrunner/settings.env", "/var/run/docker.sock")


def test_the_database_is_on_a_network_that_leads_nowhere_else():
    assert COMPOSE["networks"]["database"] == {"internal": True}
    assert SERVICES["postgresql"]["networks"] == ["database"]
    assert "outside" not in SERVICES["web"]["networks"]


@pytest.mark.parametrize("files", IN_DEVELOPMENT, ids=["production", "development"])
def test_compose_understands_the_files(files):
    compose = next(
        (
            words
            for words in (["docker", "compose"], ["docker-compose"])
            if shutil.which(words[0]) and not subprocess.run([*words, "version"], capture_output=True).returncode
        ),
        None,
    )
    if compose is None:
        pytest.skip("neither `docker compose` nor docker-compose is on this machine")
    said = subprocess.run(
        [*compose, *files, "--profile", "command", "--profile", "postgresql", "config", "--quiet"],
        cwd=ROOT, env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | VARIABLES,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
