"""Every address, role and method: who is let in is what the table says, and an address without a line fails."""

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group
from django.http import HttpResponse, HttpResponseForbidden, HttpResponseRedirect
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from jobs.models import (
    ApiToken,
    AuditEntry,
    ChoreRun,
    Delivery,
    Flag,
    Heartbeat,
    LogInCount,
    Notice,
    Quarantine,
    SavedView,
    StatusChange,
    StorageCheck,
    Who,
)
from jobs.people.roles import ROLES
from jobs.people.tokens import make_token
from jobs.states import StatusCode
from tests.factories import make_flag, make_job, make_output
from tests.people.matrix import EVERYBODY, LEVELS, METHOD, NO_ONE, OPEN_BY_TOKEN, OPERATOR, TABLE, Rule
from tests.web import person

pytestmark = pytest.mark.django_db
# All roles look and send; of the other methods a few roles tell enough.
METHODS = {"GET": tuple(LEVELS), "POST": tuple(LEVELS)} | dict.fromkeys(
    ("HEAD", "PUT", "PATCH", "DELETE"), ("anonymous", "superuser")
)
# Routes that are expressions.
WRITTEN = {"admin/^(?P<app_label>auth|jobs)/$": "admin/jobs/", "admin/(?P<url>.*)$": "admin/nowhere/"}


def routes(resolver=None, before: str = "", namespace: str = "") -> Iterator[tuple[str, str]]:
    """Name in TABLE and route of every address of the site."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from routes(pattern, route, inner)
        else:
            yield (namespace + pattern.name if pattern.name else route), route


ROUTES = dict(routes())


def test_every_address_has_a_line_and_every_line_an_address():
    assert sorted(set(ROUTES) - set(TABLE)) == [], "add a line to tests/people/matrix.py"
    assert sorted(set(TABLE) - set(ROUTES)) == []


@pytest.fixture
def rows() -> dict[str, object]:
    """What stands in routes: the name of a parameter, or of a model of the admin, -> something that is there."""
    job = make_job(StatusCode.CREATED)
    job.move_to(StatusCode.INITIATED, "Starting.")
    bob = person("viewer", name="bob")
    Heartbeat.beat("run")
    return {
        "job": job,
        "jobrequest": job.request,
        "joboutput": make_output(job),
        "statuschange": StatusChange.objects.get(),
        "flag": make_flag(),
        "heartbeat": Heartbeat.objects.get(),
        "quarantine": Quarantine.objects.create(name=job.workspace, since=timezone.now(), last_error="x"),
        "delivery": Delivery.objects.create(request=job.request),
        "apitoken": ApiToken.objects.create(user=bob, name="x", digest="0" * 64),
        "auditentry": AuditEntry.objects.create(actor="bob", verb="cancel", via="admin"),
        "logincount": LogInCount.objects.create(name="bob", last_at=timezone.now()),
        "chorerun": ChoreRun.objects.create(chore="snapshot"),
        "notice": Notice.objects.create(kind="failed", key="x", text="x"),
        "storagecheck": StorageCheck.objects.create(workspace="1", at=timezone.now(), is_sound=True),
        "savedview": SavedView.objects.create(name="x", slug="x"),
        "user": bob,
        "group": Group.objects.get(name="viewer"),
    }


def address_of(name: str, rows: dict[str, object]) -> str:
    route = ROUTES[name]
    job = rows["job"]
    model = rows.get(route.split("/")[2]) if route.startswith(("admin/jobs/", "admin/auth/")) else None
    values = {
        "identifier": job.request.identifier if "request" in name else job.identifier,
        "name": Flag.Name.PAUSED if "flag" in name else job.workspace,
        "object_id": model.pk if model else 1,
        "id": rows["user"].pk,
        "pk": rows["apitoken"].pk,
        "content_type_id": 1,
        "slug": "x",
        "form": "csv",
    }
    route = WRITTEN.get(route, route)
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values.get(found[1], "x")), route)


@pytest.fixture
def people() -> dict[str, object]:
    made = {role: person(role, name=f"a-{role}") for role in ROLES}
    made |= {"nobody": person(name="a-nobody"), "superuser": person(name="a-superuser", is_superuser=True)}
    return made | {"disabled": person("administrator", name="a-disabled")}


def body_for(name: str) -> tuple[str, ...]:
    """What is sent: the API takes only JSON."""
    return ("{}", "application/json") if name.startswith("api") else ()


def client_for(user, **options) -> Client:
    client = Client(raise_request_exception=False, **options)
    if user is not None:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        if user.username == "a-disabled":  # after the session began
            type(user).objects.filter(pk=user.pk).update(is_active=False)
    return client


def verdict(response) -> str:
    if response.status_code == 405:
        return "method"
    if response.status_code in (401, 403):
        return "refused"
    # Whoever signs out is led to the door as well, but not to come back to where they were.
    if response.status_code in (301, 302) and re.match(r"(/admin)?/login/\?next=|/admin/$", response.url):
        return "refused"
    # 503 is what a page says that has nothing to show yet.
    return "in" if response.status_code < 500 or response.status_code == 503 else "broken"


def expected(rule: Rule, method: str, level: int) -> set[str]:
    needed = rule.level(method)
    if needed == METHOD:
        least = min(rule.get, rule.post)
        return {"method"} if level >= least else {"method", "refused"}
    if needed == NO_ONE:
        return {"refused", "method"}
    return {"in"} if level >= needed else {"refused"}


@pytest.mark.parametrize("name", TABLE)
def test_who_is_let_in_is_what_the_table_says(name, rows, people, settings):
    settings.RAP_API_TOKENS = {"x" * 20: frozenset({"development"})}
    if name not in ROUTES:
        pytest.fail("no such address")
    address, rule, wrong = address_of(name, rows), TABLE[name], []
    body = body_for(name)
    for method, roles in METHODS.items():
        for role in roles:
            response = client_for(people.get(role)).generic(method, address, *body)
            found = verdict(response)
            if found not in expected(rule, method, LEVELS[role]):
                wrong.append(f"{method} {address} by {role}: {response.status_code}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [name for name, rule in TABLE.items() if rule.needs_csrf and rule.post < NO_ONE])
def test_nothing_is_sent_from_elsewhere(name, rows, people):
    elsewhere = client_for(people["superuser"], enforce_csrf_checks=True)
    response = elsewhere.generic("POST", address_of(name, rows), *body_for(name))
    assert response.status_code == 403


@pytest.mark.parametrize("name", TABLE)
def test_a_token_opens_what_is_for_programs_and_only_that(name, rows, people, settings):
    settings.RAP_API_TOKENS = {"x" * 20: frozenset({"development"})}
    address, rule, wrong = address_of(name, rows), TABLE[name], []
    is_for_programs = name.startswith("api:") or name in OPEN_BY_TOKEN
    for may_change in (False, True):
        _, token = make_token(people["operator"], "x", Who("olive", "command"), may_change=may_change)
        for method in ("GET", "POST"):
            level = OPERATOR if is_for_programs else EVERYBODY
            wanted = expected(rule, method, level)
            if is_for_programs and method == "POST" and rule.post < NO_ONE and not may_change:
                wanted = {"refused"}
            called = Client(raise_request_exception=False)
            response = called.generic(method, address, *body_for(name), headers={"Authorization": f"Bearer {token}"})
            if verdict(response) not in wanted:
                wrong.append(f"{method} {address}, token that {may_change=}: {response.status_code}")
    assert not wrong, "\n".join(wrong)


def test_the_matrix_is_able_to_fail():
    assert verdict(HttpResponse()) not in expected(Rule(NO_ONE, METHOD), "GET", EVERYBODY)
    assert verdict(HttpResponseForbidden()) not in expected(Rule(EVERYBODY, METHOD), "GET", EVERYBODY)
    assert verdict(HttpResponse()) not in expected(Rule(EVERYBODY, METHOD), "POST", EVERYBODY)
    assert verdict(HttpResponse(status=500)) not in expected(Rule(EVERYBODY, METHOD), "GET", EVERYBODY)
    assert verdict(HttpResponseRedirect("/login/?next=/")) == "refused"
