"""Asks the Docker engine that the job runner would use whether it answers, and prints one line about it.

Exit code 0: it answers. 1: it does not. 3: it is there, but this user may not use it. 4: DOCKER_HOST names another
engine than the usual one of this machine, and that one does not answer.
The Docker command line may be absent, so the question goes through the same SDK as the runner's.
"""

import os
import sys
from pathlib import Path

import docker
import requests
from dotenv import dotenv_values

SECONDS_TO_ANSWER = 5
USUAL_ENGINES = ("unix:///var/run/docker.sock", "unix:///run/docker.sock")


def engine_address() -> str:
    """DOCKER_HOST as the settings read it: the environment first, then .env, then the usual socket."""
    dotenv = Path(os.environ.get("DOTENV_FILE", Path(__file__).parent.parent / ".env"))
    from_file = dotenv_values(dotenv) if dotenv.is_file() else {}
    return os.environ.get("DOCKER_HOST") or from_file.get("DOCKER_HOST") or USUAL_ENGINES[0]


def main() -> int:
    address = engine_address()
    try:
        client = docker.DockerClient(base_url=address, version="auto", timeout=SECONDS_TO_ANSWER)
        print(f"Docker engine {client.version()['Version']} at {address}")
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        print(f"{address}: {error}")
        if "PermissionError" in str(error):
            return 3
        return 1 if address in USUAL_ENGINES else 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
