"""Which kind of workspace this site's jobs have: by where its engine is, unless a setting says otherwise."""

from django.conf import settings

from runner.executors.base import Executor
from runner.executors.docker.volumes import Volumes
from runner.workspaces import Workspaces, folder


def workspaces_for(executor: Executor) -> Workspaces:
    """`executor` is the site's, as `runner.executors.from_settings` makes it."""
    if settings.EXECUTOR == "docker" and settings.WORKSPACE_KIND == "volume":
        from runner.workspaces.volume import VolumeWorkspaces

        return VolumeWorkspaces(executor.volumes)
    return folder


def volumes_on(executor: Executor) -> Volumes | None:
    """The installation's volumes on the engine, which it may have from a time when it was set up otherwise."""
    return getattr(executor, "volumes", None)
