"""How long a job's outputs keep it after its container has ended: one of 1 GiB (D1), and 2,000 small ones (D2)."""

import shutil
import time
from pathlib import Path

from benchmarks.floor import copied, hash_and_rename, hash_file, timed
from benchmarks.installation import Installation
from benchmarks.latency import alternate
from benchmarks.results import Result, Target
from benchmarks.studies import SMALL_FILES, WORKSPACE


def large_output(site: Installation, repeat: int) -> Result:
    copies: list[tuple[float, float]] = []

    def floor() -> float:
        file = _outputs(site) / "big.bin"
        hash_file(file)  # warm, as it is for the job runner when the container has just written it
        with copied(file) as seconds:
            copies.append(seconds)
        return timed(lambda: hash_file(file))

    product, floors = alternate(repeat, lambda: _finalise(site, "big"), floor)
    copy, copy_and_sync = zip(*copies, strict=True)
    return Result(
        "D1",
        "1 GiB output, same file system: container ended → succeeded",
        "s",
        product,
        "one sha256 pass over the same file",
        floors,
        (Target("ratio", 1.3),),
        also={"cp, s": min(copy), "cp with fsync, s": min(copy_and_sync)},
    )


def many_outputs(site: Installation, repeat: int) -> Result:
    def floor() -> float:
        # Away with them: the next job's files then do not replace any either.
        target = site.folder / "renamed"
        seconds = timed(lambda: hash_and_rename(_outputs(site) / "small", target))
        shutil.rmtree(target)
        return seconds

    product, floors = alternate(repeat, lambda: _finalise(site, "small"), floor)
    return Result(
        "D2",
        f"{SMALL_FILES:,} outputs of 10 KiB: container ended → succeeded",
        "s",
        product,
        "sha256 and rename of each",
        floors,
        (Target("median", 1),),
    )


def _outputs(site: Installation) -> Path:
    return site.high_privacy / WORKSPACE / "output"


def _finalise(site: Installation, action: str) -> float:
    """Seconds from the end of the container, as the engine's wait call tells it, to "succeeded".

    The engine's event "die" comes earlier by as long as the engine takes to unmount: 0.3 s after 1 GiB was written.
    """
    containers = site.containers  # listens from here on at the latest
    with site.database() as database:
        (job,) = site.study.submit(action)
        containers.when("start", job.container_name)
        site.bare.wait(job.container_name)
        ended = time.perf_counter()
        return database.wait_for_codes([job.pk], "succeeded") - ended
