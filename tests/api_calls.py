"""Programs for tests of the API: `program(OPERATOR, may_change=True)` is a client that comes with a token."""

from django.test import Client

from jobs.models import Who
from jobs.people.tokens import make_token
from tests.web import person

API = "/api/v1"


def secret_of(user, **options) -> str:
    return make_token(user, "nightly report", Who(user.get_username(), "dashboard"), **options)[1]


def program(role: str = "", *, may_change: bool = False, **columns) -> Client:
    """It has no cookies, and is asked for a CSRF token like every real one."""
    user = person(role, **columns)
    secret = secret_of(user, may_change=may_change)
    client = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {secret}"})
    client.person, client.secret = user, secret
    return client


def post(client: Client, path: str, body: object, **more):
    return client.post(f"{API}{path}", body, content_type="application/json", **more)
