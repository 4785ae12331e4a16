"""A planned reboot that has taken place: the runner's first act after it is to let jobs start again.

Which boot of the machine it is the kernel says; clocks may be wrong after a boot. It counts only if a runner has seen,
before, that the time had come: a reboot that somebody did earlier for another reason leaves the plan as it is.
"""

import logging

from jobs import asking
from jobs.models import AuditEntry, Flag, Heartbeat, Who
from jobs.processes import boot_id
from jobs.signs import Run
from runner.capacity import reboot_of

log = logging.getLogger(__name__)

REASON = "The planned reboot has taken place."


def lift_after_boot() -> None:
    """Switch a planned reboot off if this is another boot than the one in which its time came."""
    flag = reboot_of(Flag.objects.current())
    if flag is None or flag.due_at is None:
        return
    before = Run(Heartbeat.objects.filter(name="run").first())
    has_seen_it = before.reboot is not None and before.reboot.flag == flag.pk
    then, now = before.sentence("boot_id"), boot_id()
    if not (has_seen_it and then and now and then != now):
        return
    try:
        asking.switch(flag.name, "", Who("runner", AuditEntry.Via.RUNNER), REASON, seen=str(flag.pk))
        log.info("the planned reboot has taken place: jobs start again")
    except asking.Overtaken:
        log.info("the planned reboot was switched off meanwhile")
