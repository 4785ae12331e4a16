"""How long it takes to send a large input into a volume of the engine's and to fetch it back (V).

In this process, through the engine at hand: what a network between the two costs is not the job runner's.
"""

import io
import os
import tarfile
import time
from collections.abc import Iterator

from benchmarks.floor import timed
from benchmarks.installation import IMAGE, Installation
from benchmarks.latency import alternate
from benchmarks.results import Result, Target

MEBIBYTES = 512
_PIECE = bytes(range(256)) * 4096


def in_and_out(site: Installation, repeat: int) -> Result:
    source = site.folder / "big.bin"
    with source.open("wb") as file:
        for _ in range(MEBIBYTES):
            file.write(_PIECE)
    product, floor = alternate(repeat, lambda: _by_the_product(site, source), lambda: _by_the_sdk(site, source))
    source.unlink()
    return Result(
        "V",
        f"{MEBIBYTES} MiB sent into a volume and fetched back to disk",
        "s",
        product,
        "the SDK's put_archive of a file, and get_archive thrown away",
        floor,
        (Target("ratio", 3),),
    )


def _by_the_product(site: Installation, source) -> float:
    from runner.executors import from_settings
    from runner.matching import pattern_tree
    from runner.workspaces.code import Member
    from runner.workspaces.copying import pieces_of
    from runner.workspaces.incoming import fetch
    from runner.workspaces.outgoing import Outgoing

    volumes, name = from_settings().volumes, f"jobrunner-bench-{os.getpid()}"
    into = site.folder / "fetched" / "workspace"
    into.mkdir(parents=True)
    descriptor = os.open(source, os.O_RDONLY)
    volumes.make(name, "bench")
    try:
        size = source.stat().st_size
        code = [Member("big.bin", False, 0o644, size, pieces_of(descriptor, size, lambda: False))]
        patterns = pattern_tree({"highly_sensitive": {"big": "*.bin"}})
        started = time.perf_counter()
        with volumes.opened(name, IMAGE) as volume:
            volume.put(Outgoing(10001, 10001, 0).pieces(code, [], [], [], lambda: False))
        with volumes.opened(name, IMAGE) as volume:
            fetch(volume, patterns, into, lambda: False)
        return time.perf_counter() - started
    finally:
        os.close(descriptor)
        volumes.remove(name)
        for path in sorted(into.parent.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        into.parent.rmdir()


def _by_the_sdk(site: Installation, source) -> float:
    with site.bare.volume() as (client, container_id):

        def there_and_back() -> None:
            client.put_archive(container_id, "/workspace", _tar_of(source))
            stream, _ = client.get_archive(container_id, "/workspace/big.bin")
            for _ in stream:
                pass

        return timed(there_and_back)


def _tar_of(source) -> Iterator[bytes]:
    info = tarfile.TarInfo("big.bin")
    info.size = source.stat().st_size
    yield info.tobuf()
    with source.open("rb") as file:
        while piece := file.read(io.DEFAULT_BUFFER_SIZE * 32):
            yield piece
    yield bytes(1024)
