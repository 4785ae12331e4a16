"""Whether the backend can work at all, and what to do if it cannot; `?kiosk=1` is the same for a screen on the wall."""

from datetime import timedelta

from django.http import HttpRequest

from jobs.durations import typical_seconds
from jobs.models import Flag, Job, Quarantine
from jobs.people.access import allowed
from jobs.system import about
from jobs.system.checks import checks
from jobs.system.queue import chart, queue
from jobs.system.reboot import readiness
from jobs.system.stuck import stuck
from jobs.system.verdict import verdict
from jobs.views import chores
from jobs.views.frame import Frame
from jobs.views.live import all_jobs_changed, live_page

SECONDS = 5  # as often as the processes give signs of life
MOST_HISTORY = 20
SETTINGS = "jobs.use_admin"
LABELS = {
    Flag.Name.PAUSED: "Paused",
    Flag.Name.DB_MAINTENANCE: "Database maintenance",
    Flag.Name.REBOOT: "Prepared for a reboot",
}


def _parts(request: HttpRequest) -> tuple:
    signs = Frame.of(request).signs
    released = tuple(Quarantine.objects.values_list("pk", "release_requested_at"))
    seen = (signs.run.at, signs.sync.at, Frame.of(request).problems, released, chores.changed())
    return (*all_jobs_changed(), *seen)


@allowed()
@live_page("system/system.html", "system/_system.html", _parts)
def system(request: HttpRequest) -> dict:
    frame, waiting = Frame.of(request), queue()
    reboot = readiness(frame.flags, frame.signs)
    running = list(Job.objects.running().order_by("pk"))
    context = {
        "title": "System",
        "section": "system",
        "live_seconds": SECONDS,
        "is_wall": "kiosk" in request.GET,
        "verdict": verdict(frame.signs, frame.problems, frame.warnings, len(running), waiting.waiting, reboot),
        "reboot": reboot,
        "running": _with_typical(running),
        "queue": waiting,
        "chart": chart(waiting),
        "pools": frame.signs.run.slots if frame.signs.run.is_fresh else [],
        "stuck": stuck(),
        "checks": checks(frame.signs, frame.problems, waiting),
    }
    return context if context["is_wall"] else context | _more(request, frame)


def _with_typical(running: list[Job]) -> list[tuple[Job, timedelta | None]]:
    """Each with how long its action usually takes. One query."""
    typical = typical_seconds(running)
    return [(job, timedelta(seconds=typical[job.pk]) if job.pk in typical else None) for job in running]


def _more(request: HttpRequest, frame: Frame) -> dict:
    """What a screen on the wall does not show."""
    return {
        "switches": [(name.value, LABELS[name], frame.flags.get(name)) for name in Flag.Name],
        "quarantine": list(Quarantine.objects.select_related("job")),
        "history": Flag.objects.order_by("-pk")[:MOST_HISTORY],
        "chores": chores.rows(),
        "versions": about.versions(),
        "settings": about.shown_settings() if request.user.has_perm(SETTINGS) else [],
    }
