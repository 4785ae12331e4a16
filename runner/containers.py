"""From a Job to the specification of its container: pure translation of columns and settings.

Only an action that reads the database gets the database's address and network; every other container has no network and
no secret at all.
"""

from django.conf import settings

from jobs import storage
from jobs.errors import JobError
from jobs.models import Job
from runner.executors.base import ContainerSpec


def spec_for(job: Job, volume: str = "") -> ContainerSpec:
    """`volume`: the engine's volume with the job's files, in place of a folder of this host.

    Raises JobError if the job needs a database that this backend does not have.
    """
    return ContainerSpec(
        name=job.container_name,
        job_id=job.identifier,
        attempt=job.attempt,
        image=full_image_name(job.image),
        command=tuple(job.arguments),
        workspace_folder=storage.job_workspace(job),
        workspace_volume=volume,
        environment=_environment(job),
        network=settings.DATABASE_ACCESS_NETWORK if _uses_database(job) else "",
        cpus=settings.JOB_CPUS,
        memory_bytes=settings.JOB_MEMORY_BYTES,
        labels={"workspace": job.workspace, "action": job.action},
        output_patterns=tuple(pattern for files in job.output_spec.values() for pattern in files.values()),
    )


def full_image_name(image: str) -> str:
    """ "python:v2" with the registry in front; `latest` has always meant the first version (row N3)."""
    name, _, tag = image.partition(":")
    tag = "v1" if tag == "latest" and name != "cohortextractor" else tag
    return f"{settings.DOCKER_REGISTRY}/{name}:{tag}" if settings.DOCKER_REGISTRY else f"{name}:{tag}"


def _uses_database(job: Job) -> bool:
    return job.requires_db and not settings.USING_DUMMY_DATA_BACKEND


def _environment(job: Job) -> dict[str, str]:
    environment = {"OPENSAFELY_BACKEND": job.backend}
    if job.image.startswith("stata") and settings.STATA_LICENSE:
        environment["STATA_LICENSE"] = settings.STATA_LICENSE
    if _uses_database(job):
        environment |= database_environment(job.request.database_name)
    return environment


def database_environment(name: str) -> dict[str, str]:
    """What reads a database is given. Raises JobError if this backend has no such one."""
    url = settings.DATABASE_URLS.get(name)
    if not url:
        raise JobError(
            f"The action reads the database {name!r}, for which this backend has no address. An operator has to set "
            f"{name.upper()}_DATABASE_URL."
        )
    optional = {
        "TEMP_DATABASE_NAME": settings.TEMP_DATABASE_NAME,
        "PRESTO_TLS_KEY_PATH": settings.PRESTO_TLS_KEY_PATH,
        "PRESTO_TLS_CERT_PATH": settings.PRESTO_TLS_CERT_PATH,
        "EMIS_ORGANISATION_HASH": settings.EMIS_ORGANISATION_HASH,
    }
    return {"DATABASE_URL": url} | {name: value for name, value in optional.items() if value}
