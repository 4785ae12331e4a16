"""Fetching images anew: which ones, what became of each, and the audit's row. Jobs that run keep the one they have.

The runner itself never pulls: an image changes when an operator wants it, or once a day where the site says so. Only
the site's own images (ALLOWED_IMAGES) are fetched, under their names at DOCKER_REGISTRY.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings

from jobs.models import AuditEntry, Who
from jobs.reasons import cleaned_reason
from jobs.wire import clean
from runner.containers import full_image_name
from runner.executors.base import ExecutorUnavailable
from runner.executors.docker.engine import Engine
from runner.executors.docker.facts import tags_of
from runner.executors.docker.pulling import Progress, PullFailed, image_id, pull

UPDATED, CURRENT, FAILED = "updated", "up to date", "failed"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class NoSuchImages(Exception):
    """The message says what is wrong with the names that were given."""


@dataclass(frozen=True)
class Update:
    """`name` as studies write it, such as python:v2; `before` is empty if it was not there."""

    name: str
    outcome: str
    before: str
    after: str
    said: str = ""


def wanted_images(engine: Engine, names: Iterable[str] = ()) -> list[str]:
    """ "python:v2" as it is, "python" with each version that is here; without names all that are here.

    Raises NoSuchImages, ExecutorUnavailable.
    """
    here = [_as_studies_write_it(tag) for tag in tags_of(engine, settings.DOCKER_REGISTRY)]
    here = [name for name in here if name.partition(":")[0] in settings.ALLOWED_IMAGES]
    found: list[str] = []
    for name in names:
        image, _, tag = name.partition(":")
        if image not in settings.ALLOWED_IMAGES:
            raise NoSuchImages(f"{name} is none of this backend's images: {', '.join(settings.ALLOWED_IMAGES)}.")
        if tag and not _TAG.fullmatch(tag):
            raise NoSuchImages(f"{tag} cannot be a version of an image.")
        there = [name] if tag else [each for each in here if each.partition(":")[0] == image]
        if not there:
            raise NoSuchImages(f"No version of {image} is here yet: say which one, such as {image}:v2.")
        found += there
    return list(dict.fromkeys(found or here))


def update(
    engine: Engine,
    names: Iterable[str],
    who: Who,
    reason: str,
    told: Callable[[str, Progress], None] = lambda name, progress: None,
) -> Iterator[Update]:
    """One after the other, each noted in the audit if it changed. Raises NoReason; ExecutorUnavailable."""
    reason = cleaned_reason(reason)
    for name in names:
        full = full_image_name(name)
        before = image_id(engine, full)
        try:
            pull(engine, full, lambda progress, name=name: told(name, progress))
        except PullFailed as error:
            yield Update(name, FAILED, before, before, clean(str(error), 300))
            continue
        after = image_id(engine, full)
        if after != before:
            AuditEntry.note(
                who, "update", object_kind="image", object_id=name, label=full[-512:], before=before, after=after,
                reason=reason,
            )  # fmt: skip
        yield Update(name, UPDATED if after != before else CURRENT, before, after)


def _as_studies_write_it(tag: str) -> str:
    return tag.removeprefix(f"{settings.DOCKER_REGISTRY}/")


__all__ = ["CURRENT", "FAILED", "UPDATED", "ExecutorUnavailable", "NoSuchImages", "Update", "update", "wanted_images"]
