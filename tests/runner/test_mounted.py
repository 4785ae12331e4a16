"""A storage that is not mounted is waited for, and never taken for one that nobody has used yet."""

import json
import os

import pytest

from jobs import storage
from jobs.levels import HIGHLY_SENSITIVE, MODERATELY_SENSITIVE
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner import outputs
from runner.mounted import require_storage
from runner.verdicts import Outcome
from runner.workspaces import folder
from runner.workspaces.files import StorageUnavailable
from tests.factories import make_job
from tests.job_folders import tar
from tests.publication import finalize, high, leave, make_publisher, medium, never, publish

pytestmark = pytest.mark.django_db
BOTH = {"output/rows.csv": b"id\n1\n", "output/table.csv": b"sex,n\nF,10\n"}
IDENTIFYING = BOTH | {"output/table.csv": b"patient_id,n\n1,2\n"}
HIGHLY = {HIGHLY_SENSITIVE: {"table": "output/table.csv"}}


class Mount:
    """A storage whose mount can be taken away: then its base is the empty folder below the mount."""

    def __init__(self, base):
        self.base, self.away = base, base.with_name(f"{base.name}-away")

    def unmount(self) -> None:
        os.rename(self.base, self.away)
        self.base.mkdir()

    def mount(self) -> None:
        self.base.rmdir()  # fails if anything was made below the mount
        os.rename(self.away, self.base)


@pytest.fixture
def medium_mount(settings):
    return Mount(settings.MEDIUM_PRIVACY_STORAGE_BASE)


@pytest.fixture
def high_mount(settings):
    return Mount(settings.HIGH_PRIVACY_STORAGE_BASE)


@pytest.mark.parametrize("spec", [None, HIGHLY])
@pytest.mark.parametrize("is_planned", [False, True])
def test_an_earlier_version_never_stays_released_because_medium_storage_was_not_mounted(medium_mount, spec, is_planned):
    publish(make_publisher(action="tables"), BOTH)
    job = make_publisher(action="tables", **({"output_spec": spec} if spec else {}))
    leave(job, IDENTIFYING)
    if is_planned:
        outputs.collect(job, should_stop=never)
    medium_mount.unmount()

    with pytest.raises(StorageUnavailable, match="Mount medium privacy storage again"):
        finalize(job)
    assert high("output/table.csv").read_bytes() == BOTH["output/table.csv"]
    medium_mount.mount()
    finalize(job)

    assert not medium("output/table.csv").exists()
    assert high("output/table.csv").read_bytes() == IDENTIFYING["output/table.csv"]


def test_medium_storage_that_an_older_system_has_filled_is_waited_for_too(medium_mount):
    """Its files have no rows; the manifest of high privacy storage names them."""
    storage.manifest(high()).parent.mkdir(parents=True)
    files = {"output/table.csv": {"created_by_action": "tables", "privacy_level": MODERATELY_SENSITIVE}}
    storage.manifest(high()).write_text(json.dumps({"files": files}))
    medium_mount.base.mkdir()
    job = make_job(StatusCode.FINALIZING, action="tables", output_spec=HIGHLY)
    leave(job, BOTH)

    with pytest.raises(StorageUnavailable, match="Mount medium privacy storage again"):
        finalize(job)


@pytest.mark.parametrize("manifest", ['{"files": 1, "x": "moderately_sensitive"}', '{"moderately_sensitive"', "{}"])
def test_a_damaged_manifest_says_nothing_of_medium_storage(manifest):
    storage.manifest(high()).parent.mkdir(parents=True)
    storage.manifest(high()).write_text(manifest)

    require_storage("study")


@pytest.mark.parametrize("workspace", ["study", "another"])
def test_nothing_is_published_below_a_missing_mount_of_high_storage(high_mount, workspace):
    publish(make_publisher(), BOTH)
    job = make_publisher(workspace=workspace)
    leave(job, BOTH)
    high_mount.unmount()

    with pytest.raises(StorageUnavailable, match="Mount high privacy storage again"):
        finalize(job)
    high_mount.mount()
    finalize(job)

    assert JobOutput.objects.filter(job=job).count() == 2


@pytest.mark.parametrize("storage_folder", [high, medium])
def test_one_workspace_that_is_missing_in_storage_is_waited_for(settings, storage_folder):
    publish(make_publisher(action="tables"), BOTH)
    publish(make_publisher(workspace="another"), BOTH)
    os.rename(storage_folder(), settings.WORK_DIR / "away")
    job = make_publisher(action="tables")
    leave(job, IDENTIFYING)

    with pytest.raises(StorageUnavailable, match=f"^{storage_folder()} is missing"):
        finalize(job)


def test_an_input_that_lies_in_storage_which_is_not_mounted_is_waited_for(high_mount):
    publish(make_publisher(), BOTH)
    high_mount.unmount()
    job = make_job()

    with pytest.raises(StorageUnavailable, match="Mount high privacy storage again"):
        folder.prepare(job, tar(("a.txt", b"a")), JobOutput.objects.current(), should_stop=never)


def test_the_log_of_a_failed_job_makes_no_folder_below_a_missing_mount(medium_mount):
    publish(make_publisher(action="tables"), BOTH)
    job = make_publisher(action="tables", exit_code=1)
    medium_mount.unmount()

    with pytest.raises(StorageUnavailable, match="Mount medium privacy storage again"):
        outputs.write_logs(job, Outcome(StatusCode.NONZERO_EXIT, "It ended badly."))

    medium_mount.mount()


def test_a_cancelled_job_waits_for_no_mount(medium_mount):
    publish(make_publisher(action="tables"), BOTH)
    medium_mount.unmount()

    outputs.write_logs(make_publisher(action="tables"), Outcome(StatusCode.CANCELLED_BY_USER, "Cancelled."))


def test_storage_that_was_emptied_on_purpose_is_used_again_once_its_folder_is_made(medium_mount):
    publish(make_publisher(action="tables"), BOTH)
    medium_mount.unmount()
    medium().mkdir(parents=True)

    publish(make_publisher(action="tables"), BOTH)

    assert medium("output/table.csv").read_bytes() == BOTH["output/table.csv"]


def test_storage_that_nobody_has_used_needs_no_folder():
    require_storage("study")
    publish(make_job(StatusCode.FINALIZING, output_spec=HIGHLY), BOTH)

    require_storage("study")

    assert not medium().exists()
