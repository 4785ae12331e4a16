"""Calls about the system: whether it works, what operators have switched, and who calls."""

from datetime import datetime
from typing import Annotated

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Body, Path, Query, Router, Schema
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from jobs import asking
from jobs.api.jobs import BIGGEST_KEY
from jobs.api.operations import operation
from jobs.api.problems import Trouble
from jobs.api.wishes import Reason
from jobs.health import health
from jobs.models import AuditEntry, Flag
from jobs.people.access import who
from jobs.reasons import NoReason
from jobs.signs import Signs
from jobs.system.reboot import SAFE, Readiness, readiness

router = Router(tags=["the system"])

MOST_AHEAD_DAYS = 366


class Whoami(Schema):
    """Who calls, and what this call's token or session may do."""

    name: str = Field(examples=["olive"])
    roles: list[str] = Field(examples=[["operator"]])
    permissions: list[str] = Field(examples=[["jobs.view_job", "jobs.read_log"]])
    token: str | None = Field(description="the token's name; null for a session", examples=["nightly report"])
    may_change: bool = Field(description="whether this call may ask for changes at all")
    expires_at: datetime | None = Field(description="until when the token lasts")


class System(Schema):
    """Whether the processes of this installation are at work."""

    backend: str = Field(examples=["tpp"])
    status: str = Field(description="ok or trouble", examples=["ok"])
    problems: list[str] = Field(description="what is wrong and what to do; none means well", examples=[[]])
    run: dict = Field(description="the runner's last sign of life", examples=[{"at": None, "age_seconds": None}])
    sync: dict = Field(description="the same of the process that speaks with the job-server, and what it says")


class FlagRow(Schema):
    """One setting of one switch."""

    id: int | None = Field(description="null if it was never set")
    name: Flag.Name = Field(examples=["paused"])
    on: bool
    value: str = Field(description="empty: off", examples=["on"])
    set_by: str = Field(examples=["olive"])
    reason: str = Field(examples=["The disk is being replaced"])
    set_at: datetime | None
    expires_at: datetime | None = Field(description="when it goes off by itself")
    due_at: datetime | None = Field(description="of a planned reboot: when what runs is stopped; null: at once")


class Flags(Schema):
    """How every switch stands now."""

    flags: list[FlagRow]


class FlagPage(Schema):
    """How a switch stood, the newest first."""

    settings: list[FlagRow]
    next: int | None = Field(description="give it as `before` for the older ones; null: that is all")


class RebootAnswer(Schema):
    """Whether the machine may be rebooted now."""

    state: str = Field(
        description="off (no reboot is prepared), planned (for later), draining (jobs are being stopped or saved), "
        "unknown or safe",
        examples=["safe"],
    )
    is_safe: bool
    sentence: str = Field(examples=["Safe to reboot: no job is at work, and none starts before this is switched off."])
    running: int = Field(description="how many jobs are still at work")
    jobs: list[str] = Field(description="identifiers of the oldest of them")


class Switch(BaseModel):
    """What a switch is to be set to."""

    model_config = ConfigDict(extra="forbid", strict=True)

    on: bool
    reason: Reason
    until: AwareDatetime | None = Field(
        None, strict=False, description="when it goes off by itself; only for `on`", examples=["2026-11-26T18:00:00Z"]
    )
    due_at: AwareDatetime | None = Field(
        None, strict=False, description="only for the switch `reboot`: not now, but then", examples=[None]
    )


FlagName = Annotated[Flag.Name, Path(description="which switch", examples=["paused"])]


@operation(router, "GET", "/whoami", Whoami)
def whoami(request: HttpRequest) -> dict:
    """Say who calls and what may be done."""
    caller = request.auth
    return {
        "name": caller.user.get_username(),
        "roles": list(caller.user.groups.order_by("name").values_list("name", flat=True)),
        "permissions": caller.permissions(),
        "token": caller.token.name if caller.token else None,
        "may_change": caller.token.may_change if caller.token else True,
        "expires_at": caller.token.expires_at if caller.token else None,
    }


@operation(router, "GET", "/system", System)
def get_system(request: HttpRequest) -> dict:
    """Say whether the system works.

    The same as /healthz/ tells monitors; it is answered with 200 whatever it says.
    """
    found = health()
    return {"backend": settings.BACKEND, "status": "trouble" if found["problems"] else "ok", **found}


@operation(router, "GET", "/flags", Flags)
def list_flags(request: HttpRequest) -> dict:
    """Say how every switch stands."""
    current = Flag.objects.current()
    return {"flags": [flag_row(name, current.get(name)) for name in Flag.Name]}


@operation(router, "GET", "/reboot", RebootAnswer)
def get_reboot(request: HttpRequest) -> dict:
    """Say whether the machine may be rebooted now.

    It is safe only after the switch `reboot` was switched on and no job is at work any more; it stays safe until the
    switch is switched off.
    """
    flags = {name: flag for name, flag in Flag.objects.current().items() if flag.value}
    return reboot_answer(readiness(flags, Signs.read()))


@operation(router, "GET", "/flags/{name}/history", FlagPage)
def list_flag_history(
    request: HttpRequest,
    name: FlagName,
    before: Annotated[int | None, Query(ge=1, le=BIGGEST_KEY, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict:
    """Say who has set a switch, when and why."""
    older = {"pk__lt": before} if before else {}
    found = list(Flag.objects.filter(name=name, **older).order_by("-pk")[: limit + 1])
    rows = [flag_row(flag.name, flag) for flag in found[:limit]]
    return {"settings": rows, "next": found[limit - 1].pk if len(found) > limit else None}


@operation(router, "POST", "/flags/{name}", FlagRow, permissions=("jobs.add_flag",), changes=True)
def switch_flag(request: HttpRequest, name: FlagName, switch: Body[Switch]) -> dict:
    """Set a switch.

    `paused`: no job starts; those that run go on. `reboot`: no job starts, and those that run are stopped and run again
    later; with `due_at` this begins then, until then only jobs start that will by their past runs be done, and it goes
    off by itself after the reboot. `db-maintenance`: what reads the database does not start, and what runs of it is
    stopped and run again later. Each holds until it is switched off, or until `until`.
    """
    if why := _fault(name, switch):
        raise Trouble(422, "The call cannot be understood", why)
    try:
        value, caller = "on" if switch.on else "", who(request, AuditEntry.Via.API)
        flag = asking.switch(name, value, caller, switch.reason, switch.until, due=switch.due_at)
    except NoReason as error:
        raise Trouble(422, "No reason", str(error)) from error
    return flag_row(name, flag)


def _fault(name: str, switch: Switch) -> str:
    """Why its times cannot be meant so; empty if they can."""
    for word, time in (("until", switch.until), ("due_at", switch.due_at)):
        if time and not switch.on:
            return f"`{word}` goes with `on`: true only."
        if time and not 0 < (time - timezone.now()).total_seconds() < MOST_AHEAD_DAYS * 86400:
            return f"`{word}` has to lie ahead, by a year at most."
    if switch.due_at and name != Flag.Name.REBOOT:
        return "`due_at` is for the switch `reboot` only."
    if switch.due_at and switch.until and switch.until <= switch.due_at:
        return "`until` has to come after `due_at`."
    return ""


def reboot_answer(found: Readiness) -> dict:
    """What a RebootAnswer is made from."""
    told = {"state": found.state, "sentence": found.sentence, "running": found.running}
    return told | {"is_safe": found.state == SAFE, "jobs": [job.identifier for job in found.jobs]}


def flag_row(name: str, flag: Flag | None) -> dict:
    """What a FlagRow is made from."""
    if flag is None:
        empty = dict.fromkeys(("value", "set_by", "reason"), "")
        return {"id": None, "name": name, "on": False, "set_at": None, "expires_at": None, "due_at": None, **empty}
    columns = ("value", "set_by", "reason", "set_at", "expires_at", "due_at")
    return {"id": flag.pk, "name": name, "on": bool(flag.value), **{each: getattr(flag, each) for each in columns}}
