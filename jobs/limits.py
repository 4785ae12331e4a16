"""Which limits an action would need, by what its last runs used at their peaks: a hint for operators and authors.

The limits of this installation are the same for every job (JOB_MEMORY_LIMIT, JOB_CPUS), and a weight can make an action
count for more workers (JOB_RESOURCE_WEIGHTS_FILE); what is told here decides nothing.
"""

import math
from dataclasses import dataclass

from django.conf import settings

from jobs.models import Job
from jobs.text import counted, size_in_words

LAST_RUNS = 5
_MIB = 1024**2
# A quarter more than was ever seen, in steps that people would choose.
_ROOM, _MEMORY_STEP = 1.25, 256 * _MIB


@dataclass(frozen=True)
class Suggestion:
    """`memory_bytes` and `cpus` would do; peaks are of the `runs` that were measured."""

    runs: int
    memory_peak: int
    cpu_peak: float  # percent of one processor
    memory_bytes: int
    cpus: float
    ran_out: bool

    @property
    def sentence(self) -> str:
        last = f"its last {self.runs} measured runs" if self.runs > 1 else "its last measured run"
        if self.ran_out:
            return (
                f"Of {last} one ran out of memory (the limit is {size_in_words(settings.JOB_MEMORY_BYTES)}). It needs "
                f"more: try {size_in_words(self.memory_bytes)}, or have the study read its data in parts."
            )
        peaks = f"{size_in_words(self.memory_peak)} of memory and {self.cpu_peak:.0f} % of a processor"
        return (
            f"At their peaks {last} used {peaks}; {size_in_words(self.memory_bytes)} and "
            f"{counted(1, 'processor') if self.cpus == 1 else f'{self.cpus:g} processors'} would do."
        ).replace("At their peaks its last measured run used", "At its peak its last measured run used")


def suggestion(job: Job) -> Suggestion | None:
    """Of the job's action in its workspace; None if nothing was measured. One query."""
    measured = [
        (float(memory) * _MIB, float(cpu), ran_out)
        for metrics, ran_out in Job.objects.measured_runs_of(job, LAST_RUNS)
        if isinstance(memory := metrics.get("mem_mb_peak"), int | float)
        and isinstance(cpu := metrics.get("cpu_peak"), int | float)
    ]
    if not measured:
        return None
    memory, cpu = max(peak for peak, _, _ in measured), max(peak for _, peak, _ in measured)
    ran_out = any(ran_out for _, _, ran_out in measured)
    wanted = 2 * settings.JOB_MEMORY_BYTES if ran_out else memory * _ROOM
    return Suggestion(
        runs=len(measured),
        memory_peak=round(memory),
        cpu_peak=cpu,
        memory_bytes=max(1, math.ceil(wanted / _MEMORY_STEP)) * _MEMORY_STEP,
        cpus=max(1, math.ceil(cpu / 50 * _ROOM)) / 2 if cpu > 100 else 1.0,
        ran_out=ran_out,
    )
