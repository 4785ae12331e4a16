"""People for tests of pages: `person(OPERATOR)` and a client that is logged in as one."""

import itertools

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from jobs.people import sessions

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)


def person(role: str = "", *, name: str = "", **columns):
    """A user with a role of `jobs.people.roles`, or without one."""
    user = get_user_model().objects.create_user(
        name or f"{role or 'nobody'}{next(_numbers)}", password=PASSWORD, **columns
    )
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


def client_of(role: str = "", **columns) -> Client:
    """A browser in which such a person is logged in; `client.person` is that user."""
    client = Client()
    client.person = person(role, **columns)
    client.force_login(client.person, backend="django.contrib.auth.backends.ModelBackend")
    session = client.session
    session.update(sessions.times())
    session.save()
    return client


def poll(client: Client, address: str, tag: str = ""):
    """What the page's live region asks."""
    return client.get(address, headers={"HX-Request": "true", **({"HX-PTag": tag} if tag else {})})
