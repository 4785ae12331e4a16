"""`manage.py update_images [NAME …]`: fetch the backend's images anew."""

from jobs.console.command import OperatorCommand
from runner.console.images import update_images


class Command(OperatorCommand):
    help = (
        "Fetch images anew from DOCKER_REGISTRY: those named (python:v2, or python with each version that is here), "
        "else all of this backend's that are here. Jobs that run keep the one they began with. A registry that wants a "
        "login gets the one of `docker login` of this user. Exit code 1 if one could not be fetched."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("images", nargs="*", metavar="image", help="such as python:v2")
        parser.add_argument("--reason", help="why; kept in the audit")
        parser.add_argument("--dry-run", action="store_true", help="say which would be fetched, and fetch none")

    def answer(self, *, images: list[str], dry_run: bool, reason: str | None, as_json: bool, **options) -> int:
        return update_images(images, dry_run=dry_run, reason=reason, as_json=as_json)
