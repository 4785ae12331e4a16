"""Images are fetched anew when somebody wants it, from a real registry by a real engine; nothing else ever is."""

import json
import uuid

import docker
import pytest

from jobs.chores import ChoreFailed
from jobs.models import AuditEntry, ChoreRun
from runner.chores.by_hand import update_images
from runner.executors import engine_of_site
from runner.images import NoSuchImages, wanted_images
from tests.console import Terminal
from tests.registry import Registry, registry

pytestmark = [pytest.mark.django_db, pytest.mark.needs_docker]


@pytest.fixture
def images(settings):
    """A registry with two images, for a site that has none of them yet; what was pulled is removed afterwards."""
    with registry() as server:
        settings.DOCKER_REGISTRY, settings.ALLOWED_IMAGES = server.address, ("python", "r")
        server.push("python", "v2", b"first")
        server.push("r", "v1", b"first")
        yield server
        client = docker.from_env()
        for image in client.images.list():  # also those that a newer one has taken the tag from
            if any(digest.startswith(server.address) for digest in image.attrs["RepoDigests"]):
                client.images.remove(image.id, force=True)
        client.close()


@pytest.fixture
def manage(capsys, monkeypatch) -> Terminal:
    return Terminal(capsys, monkeypatch)


def update(manage: Terminal, *names: str):
    return manage("update_images", *names, "--reason", "a new release")


def test_an_image_is_fetched_and_later_only_if_it_is_new(images: Registry, manage):
    first = update(manage, "python:v2")
    assert first.code == 0 and first.out.startswith("✓ python:v2: updated, none → sha256:")
    assert update(manage, "python:v2").out == "✓ python:v2: up to date\n"
    images.push("python", "v2", b"second")
    again = update(manage)
    assert again.out.startswith("✓ python:v2: updated, sha256:") and "r:v1" not in again.out
    entries = list(AuditEntry.objects.order_by("pk").values_list("verb", "object_kind", "object_id", "reason"))
    assert entries == [("update", "image", "python:v2", "a new release")] * 2


def test_a_name_without_a_version_means_each_that_is_here(images, manage):
    images.push("python", "v3", b"third")
    refused = update(manage, "python")
    assert refused.code == 1
    assert refused.refusal == "No version of python is here yet: say which one, such as python:v2."
    update(manage, "python:v2", "python:v3")
    assert update(manage, "python").out == "✓ python:v2: up to date\n✓ python:v3: up to date\n"


def test_one_that_cannot_be_fetched_is_told_and_the_others_are_fetched(images, manage):
    called = update(manage, "python:v9", "r:v1")
    assert called.code == 1
    lines = called.out.splitlines()
    assert lines[0].startswith("✗ python:v9: failed: ") and "manifest unknown" in lines[0]
    assert lines[1].startswith("✓ r:v1: updated")


def test_what_does_not_arrive_as_it_was_sent_is_a_failure_and_the_next_time_completes_it(images, manage):
    images.push("python", "v2", uuid.uuid4().bytes)  # no engine has it in store
    images.spoils = True
    called = update(manage, "python:v2")
    assert called.code == 1 and "✗ python:v2: failed" in called.out
    assert AuditEntry.objects.count() == 0
    images.spoils = False
    assert update(manage, "python:v2").code == 0


@pytest.mark.parametrize("name", ["perl:v1", "perl", "../python:v2", "python:../v2", "python:", "python:v2:v3", "-v"])
def test_only_the_sites_own_images_are_fetched(images, name):
    if name == "python:":
        with pytest.raises(NoSuchImages, match="No version of python is here yet"):
            wanted_images(engine_of_site(), [name])
        return
    with pytest.raises(NoSuchImages):
        wanted_images(engine_of_site(), [name])


def test_as_json_and_what_would_be_done(images, manage):
    would = manage("update_images", "python:v2", "--dry-run", "--json")
    assert json.loads(would.out) == {"images": ["python:v2"]}
    assert manage("update_images", "--dry-run").out.startswith("No image of this backend is here yet")
    said = json.loads(manage("update_images", "python:v2", "--reason", "x", "--json").out)
    (image,) = said["images"]
    assert (image["name"], image["outcome"], image["before"]) == ("python:v2", "updated", "")
    assert image["after"].startswith("sha256:")


def test_without_a_reason_nothing_is_fetched(images, manage):
    assert manage("update_images", "python:v2").code == 1
    assert wanted_images(engine_of_site()) == []


def test_an_engine_that_does_not_answer_is_told(images, manage, settings, tmp_path):
    settings.DOCKER_HOST = f"unix://{tmp_path}/none.sock"
    called = update(manage, "python:v2")
    assert called.code == 1 and "No Docker engine answers" in called.refusal


def test_the_chore_does_the_same_in_the_name_of_whoever_asked(images):
    run = ChoreRun(chore="images", argument="python:v2", asked_by="olive", via="dashboard", reason="a new release")
    assert update_images(run).said == "1 image looked at, new: python:v2"
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via, entry.reason) == ("olive", "dashboard", "a new release")
    assert update_images(ChoreRun(chore="images")).said == "1 image looked at, none is new"
    with pytest.raises(ChoreFailed, match=r"could not be fetched: python:v9 \("):
        update_images(ChoreRun(chore="images", argument="python:v9"))
    with pytest.raises(ChoreFailed, match="none of this backend's images"):
        update_images(ChoreRun(chore="images", argument="perl"))
