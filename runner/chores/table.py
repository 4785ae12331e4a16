"""The chores of this room: by name, so that whoever only lists them loads neither Docker nor storage."""

from datetime import timedelta

from django.conf import settings

from jobs.chores import ADMINISTRATORS, IMAGE, WORKSPACE, Chore


def _no_images() -> str:
    if settings.EXECUTOR != "docker":
        return "EXECUTOR is fake: there are no images"
    return "" if settings.UPDATE_IMAGES_DAILY else "UPDATE_IMAGES_DAILY is off"


CHORES = (
    Chore(
        "storage",
        "Check what is stored",
        "Holds the files of workspaces against their manifests: each once a day, and all of their content once a week.",
        "runner.chores.integrity.check_storage",
        every=timedelta(hours=1),
        takes=WORKSPACE,
    ),
    Chore(
        "old-files",
        "Compress old logs",
        "Compresses logs of jobs that ended LOGS_COMPRESSED_AFTER_DAYS ago (the pages show them as ever), and removes "
        "exports that are EXPORTS_KEPT_DAYS old.",
        "runner.chores.old_files.tidy_old_files",
        every=timedelta(days=1),
    ),
    Chore(
        "leftovers",
        "Look for leftovers",
        "Looks for containers, folders and staged outputs that no job needs any more. Removes nothing.",
        "runner.chores.by_hand.look_for_leftovers",
        every=timedelta(days=1),
    ),
    Chore(
        "remove-leftovers",
        "Remove leftovers",
        "Removes containers, folders and staged outputs that no job needs any more; what is younger than ten minutes, "
        "or may still be finalised, is spared.",
        "runner.chores.by_hand.remove_leftovers",
        permission=ADMINISTRATORS,
    ),
    Chore(
        "images",
        "Update images",
        "Fetches the images of this backend anew from DOCKER_REGISTRY. Jobs that run keep the one they began with.",
        "runner.chores.by_hand.update_images",
        every=timedelta(days=1),
        takes=IMAGE,
        off=_no_images,
    ),
    Chore(
        "export",
        "Export what was released",
        "Writes the released outputs of a workspace, each as it was released, as one archive to EXPORT_DIR.",
        "runner.chores.by_hand.export_workspace",
        takes=WORKSPACE,
    ),
    Chore(
        "prune",
        "Delete outdated outputs",
        "Deletes outputs of a workspace that their action no longer makes, with their released copies, for good.",
        "runner.chores.by_hand.prune_outputs",
        takes=WORKSPACE,
        permission=ADMINISTRATORS,
    ),
)
