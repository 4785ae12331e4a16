"""Asks the Docker engine that the job runner would use whether it answers, and prints one line about it.

Exit code 0: it answers. 3: it is there, but this user may not use it. 4: DOCKER_HOST names another engine than the
usual one of this machine, and that one does not answer. 5: it does not answer. Everything else means that the question
could not be asked, which says nothing of the engine: Python ends with 1 after an error of ours.
The Docker command line may be absent, so the question goes through the same SDK as the runner's.
"""

import os
import sys
from pathlib import Path

import docker
import requests
from dotenv import dotenv_values

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the job runner's own packages

SECONDS_TO_ANSWER = 5
NO_ANSWER = 5
USUAL_ENGINES = ("unix:///var/run/docker.sock", "unix:///run/docker.sock")


def setting(name: str) -> str:
    """As the settings read it: the environment first, then .env."""
    dotenv = Path(os.environ.get("DOTENV_FILE", Path(__file__).parent.parent / ".env"))
    from_file = dotenv_values(dotenv) if dotenv.is_file() else {}
    return os.environ.get(name) or from_file.get(name) or ""


def engine_address() -> str:
    return setting("DOCKER_HOST") or USUAL_ENGINES[0]


def sdk_client(**options: object) -> docker.DockerClient:
    """The SDK's client for that engine, wherever it is. Raises DockerException, ConnectionError, TimeoutError."""
    address, tls = engine_address(), False
    if address.startswith("ssh:"):
        from runner.executors.docker.tunnel import Tunnel

        tunnel = Tunnel(address, setting("SSH_KEY_FILE"), setting("SSH_KNOWN_HOSTS_FILE"))  # it ends with this process
        tunnel.ensure(20)
        address = f"unix://{tunnel.socket}"
    elif certificates := setting("DOCKER_CERT_PATH"):
        pair = (f"{certificates}/cert.pem", f"{certificates}/key.pem")
        tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=f"{certificates}/ca.pem", verify=True)
    return docker.DockerClient(base_url=address, tls=tls, version="auto", **options)


def main() -> int:
    address = engine_address()
    is_known_to_runner = address.startswith("ssh:") or setting("DOCKER_CERT_PATH")
    return ask_elsewhere(address) if is_known_to_runner else ask_here(address)


def ask_elsewhere(address: str) -> int:
    """As the runner does: by SSH, or by TCP with certificates."""
    from runner.executors.base import ExecutorUnavailable
    from runner.executors.docker.engine import Access, Engine

    access = Access(setting("DOCKER_CERT_PATH"), setting("SSH_KEY_FILE"), setting("SSH_KNOWN_HOSTS_FILE"))
    engine = Engine(address, SECONDS_TO_ANSWER, access)
    try:
        with engine.asked("its version") as client:
            print(f"Docker engine {client.version()['Version']} at {address}")
    except ExecutorUnavailable as error:
        print(error)
        return 4
    finally:
        engine.close()
    return 0


def ask_here(address: str) -> int:
    try:
        client = docker.DockerClient(base_url=address, version="auto", timeout=SECONDS_TO_ANSWER)
        print(f"Docker engine {client.version()['Version']} at {address}")
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        print(f"{address}: {error}")
        if "PermissionError" in str(error):
            return 3
        return NO_ANSWER if address in USUAL_ENGINES else 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
