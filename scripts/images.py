"""Makes sure that the named images exist on the engine: the demo and the tests run in a tiny busybox under these names.

Real sites pull real images, and nothing in the job runner knows about this one. No registry need be reachable: an
image of that name is left as it is; else one made here earlier, a local busybox, a pulled busybox or one built from
Debian's busybox-static gets the name. Usage: .venv/bin/python scripts/images.py NAME:TAG…
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import docker
from ask_engine import sdk_client
from docker.errors import APIError, ImageNotFound
from docker.models.images import Image

BASE = "jobrunner-demo/busybox:1"
LABELS = ["LABEL org.jobrunner.demo=true"]
SECONDS_TO_PULL = 20
BUSYBOX = Path("/bin/busybox")
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
FOLDERS = {"tmp": 0o1777, "workspace": 0o755, "root": 0o700}


class CannotMakeImage(Exception):
    """No busybox could be had; the text says what to do."""


def make_base(client: docker.DockerClient) -> Image:
    """The image that gets all the names, from the nearest source that has a busybox."""
    if not has_image(client, BASE):
        if has_image(client, "busybox:latest") or pull_busybox(client):
            copy_with_labels(client, "busybox:latest")
        else:
            build_from(client, static_busybox())
    return client.images.get(BASE)


def has_image(client: docker.DockerClient, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def pull_busybox(client: docker.DockerClient) -> bool:
    """Asks the registry once: a machine without one must not wait long for the answer no."""
    say(f"Pulling busybox (at most {SECONDS_TO_PULL} s) …")
    impatient = sdk_client(timeout=SECONDS_TO_PULL)
    try:
        impatient.images.pull("busybox", tag="latest")
    except (APIError, OSError):
        say("No registry answers. Building the image from Debian's busybox-static …")
        return False
    return has_image(client, "busybox:latest")


def copy_with_labels(client: docker.DockerClient, name: str) -> None:
    container = client.containers.create(name)
    try:
        container.commit(*split_name(BASE), changes=LABELS)
    finally:
        container.remove(force=True)


def static_busybox() -> Path:
    """A busybox that needs no library; Debian's ordinary package is linked to the C library and useless in an image."""
    if is_static(BUSYBOX):
        return BUSYBOX
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise CannotMakeImage(
            "The demo needs a busybox image, and no registry answers. Run 'docker pull busybox' where one does, or "
            "have an administrator run 'apt-get install busybox-static', then run this again."
        )
    script = ". scripts/messages.sh && install_packages busybox-static"
    subprocess.run(["bash", "-ec", script], check=True, cwd=Path(__file__).parent.parent)
    if not is_static(BUSYBOX):
        raise CannotMakeImage(f"{BUSYBOX} of busybox-static needs a C library: run 'docker pull busybox' instead.")
    return BUSYBOX


def is_static(program: Path) -> bool:
    """A static program names no dynamic loader (ELF program header PT_INTERP)."""
    return program.is_file() and b"/ld-" not in program.read_bytes()[:4096]


def build_from(client: docker.DockerClient, busybox: Path) -> None:
    changes = [*LABELS, 'CMD ["sh"]', "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin", "WORKDIR /workspace"]
    client.api.import_image_from_data(root_file_system(busybox), BASE, changes=changes)


def root_file_system(busybox: Path) -> bytes:
    """A tar of the smallest system that shell scripts run in: busybox and a link for each of its applets."""
    applets = subprocess.run([busybox, "--list-full"], check=True, capture_output=True, text=True).stdout.split()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, mode in FOLDERS.items():
            add(tar, name, mode, type=tarfile.DIRTYPE)
        for name, text in FILES.items():
            add(tar, name, 0o644, content=text.encode())
        add(tar, "bin/busybox", 0o755, content=busybox.read_bytes())
        for name in applets:
            if name != "bin/busybox":
                add(tar, name, 0o777, type=tarfile.SYMTYPE, linkname="/bin/busybox")
    return archive.getvalue()


def add(tar: tarfile.TarFile, name: str, mode: int, content: bytes = b"", **fields: object) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = mode, len(content)
    for field, value in fields.items():
        setattr(entry, field, value)
    tar.addfile(entry, io.BytesIO(content))


def check_that_it_runs(client: docker.DockerClient, name: str) -> None:
    said = client.containers.run(name, ["sh", "-c", "echo ok"], remove=True, network_mode="none")
    if said.strip() != b"ok":
        raise CannotMakeImage(f"The image {name} does not run: it should have said ok and said {said!r}.")


def split_name(name: str) -> tuple[str, str]:
    repository, _, tag = name.rpartition(":")
    return repository, tag


def say(text: str) -> None:
    print(f"▸ {text}", flush=True)


def main(names: list[str]) -> int:
    client = sdk_client()
    missing = [name for name in names if not has_image(client, name)]
    if not missing:
        return 0
    try:
        image = make_base(client)
        for name in missing:
            image.tag(*split_name(name))
            check_that_it_runs(client, name)
    except CannotMakeImage as error:
        print(f"\n✗ {error}", file=sys.stderr)
        return 1
    except APIError as error:
        print(f"\n✗ The Docker engine could not make the demo's image: {error.explanation or error}", file=sys.stderr)
        return 1
    say(f"Made the demo's image: {' '.join(missing)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
