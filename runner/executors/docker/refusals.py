"""What engines say when they refuse, in small letters: Docker's words and Podman's.

The status code alone does not tell: Podman answers 500 where Docker answers 400, 404 or 409 (seen on 4.3).
"""

from docker.errors import APIError

from runner.executors.base import ExecutorUnavailable

# What an engine that was killed while it started a container says to every later start of it (fact F3).
WEDGED = ("already exists", "id already in use")
# Refusals of "create" that come from what the study asks for; all others come from this site's configuration.
STUDY_ASKED = ("invalid reference format", "no command specified", "no command or entrypoint provided")
# Podman: "statfs …: no such file or directory".
NO_SUCH_FOLDER = ("bind source path does not exist", "statfs")


def is_name_taken(error: APIError) -> bool:
    return error.status_code == 409 or says(error, ("is already in use",))


def is_not_running(error: APIError) -> bool:
    """Docker says so of a failed kill, too, with another code."""
    conflict = error.status_code == 409 and says(error, ("not running",))
    return conflict or says(error, ("can only kill running containers",))


def refuse_missing_network(error: APIError, name: str) -> None:
    """Raises ExecutorUnavailable if that is what the engine says: Docker of "start", Podman of "create"."""
    lower = name.lower()
    phrases = (f"network {lower} not found", f"network with name or id {lower}: network not found")
    if name and says(error, phrases):
        raise ExecutorUnavailable(f"There is no Docker network {name}; run: docker network create {name}") from error


def says(error: APIError, phrases: tuple[str, ...]) -> bool:
    return any(phrase in str(error.explanation).lower() for phrase in phrases)
