"""One call of the engine's: create a container, and what its refusals mean. Knows neither profile nor contract."""

from docker import APIClient
from docker.errors import APIError, ImageNotFound

from jobs.errors import JobError
from runner.executors.base import ExecutorUnavailable, ImageMissing
from runner.executors.docker import refusals
from runner.executors.docker.engine import understanding
from runner.executors.docker.refusals import says


def create(client: APIClient, body: dict, name: str) -> str | None:
    """The new container's id; None if the name is in use.

    Raises ImageMissing, JobError, ExecutorUnavailable, APIError.
    """
    image = body["Image"]
    try:
        created = client.create_container_from_config(body, name)
    except ImageNotFound as error:
        raise ImageMissing(
            f"The image {image} is not on this machine; an operator can run: docker pull {image}"
        ) from error
    except APIError as error:
        if refusals.is_name_taken(error):
            return None
        if says(error, refusals.NO_SUCH_FOLDER):
            raise ExecutorUnavailable(
                "The engine sees no folder of the job runner's where it should: HOST_WORK_DIR must be WORK_DIR's path "
                "on the engine's own host (docs/engines.md; manage.py doctor checks it)",
                detail=str(error.explanation),
            ) from error
        if says(error, refusals.STUDY_ASKED):
            raise JobError(f"The engine refuses the image {image}: {error.explanation}") from error
        refusals.refuse_missing_network(error, body["HostConfig"]["NetworkMode"])
        raise
    with understanding(f"to create {name}"):
        return created["Id"]
