"""One call of the engine's: create a container, and what its refusals mean. Knows neither profile nor contract."""

from docker import APIClient
from docker.errors import APIError, ImageNotFound

from jobs.errors import JobError
from runner.executors.base import ImageMissing
from runner.executors.docker.engine import understanding

# Refusals that come from what the study asks for; all others come from this site's configuration.
_STUDY_ASKED = ("invalid reference format", "no command specified")


def create(client: APIClient, body: dict, name: str) -> str | None:
    """The new container's id; None if the name is in use. Raises ImageMissing, JobError, APIError."""
    image = body["Image"]
    try:
        created = client.create_container_from_config(body, name)
    except ImageNotFound as error:
        raise ImageMissing(
            f"The image {image} is not on this machine; an operator can run: docker pull {image}"
        ) from error
    except APIError as error:
        if error.status_code == 409:
            return None
        if error.status_code == 400 and says(error, _STUDY_ASKED):
            raise JobError(f"The engine refuses the image {image}: {error.explanation}") from error
        raise
    with understanding(f"to create {name}"):
        return created["Id"]


def says(error: APIError, phrases: tuple[str, ...]) -> bool:
    """Whether an error of the engine's holds one of these, in small letters."""
    return any(phrase in str(error.explanation).lower() for phrase in phrases)
