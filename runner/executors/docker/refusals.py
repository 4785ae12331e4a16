"""What engines say when they refuse, in small letters: Docker's words and Podman's.

The status code alone does not tell: Podman answers 500 where Docker answers 400, 404 or 409 (seen on 4.3).
"""

from docker.errors import APIError

from runner.executors.base import ExecutorUnavailable

# The name is in use. Docker: 409; Podman: 500.
NAME_TAKEN = ("is already in use",)
# What an engine that was killed while it started a container says to every later start of it (fact F3).
WEDGED = ("already exists", "id already in use")
# Refusals of "create" that come from what the study asks for; all others come from this site's configuration.
STUDY_ASKED = ("invalid reference format", "no command specified", "no command or entrypoint provided")
# Podman: "statfs …: no such file or directory".
NO_SUCH_FOLDER = ("bind source path does not exist", "statfs")
NOT_RUNNING = ("not running", "can only kill running containers")


def refuse_missing_network(error: APIError, name: str) -> None:
    """Raises ExecutorUnavailable if that is what the engine says: Docker of "start", Podman of "create"."""
    lower = name.lower()
    phrases = (f"network {lower} not found", f"network with name or id {lower}: network not found")
    if name and says(error, phrases):
        raise ExecutorUnavailable(f"There is no Docker network {name}; run: docker network create {name}") from error


def says(error: APIError, phrases: tuple[str, ...]) -> bool:
    return any(phrase in str(error.explanation).lower() for phrase in phrases)
