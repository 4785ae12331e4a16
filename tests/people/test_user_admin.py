"""Nobody gives more than they have, nobody edits a superuser or themselves, and each change is in the audit."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import AuditEntry, LogInCount
from jobs.people.roles import ADMINISTRATOR, OPERATOR, ROLES, VIEWER
from tests.web import PASSWORD, client_of, person

pytestmark = pytest.mark.django_db
NEW = "another horse battery staple"


@pytest.fixture
def ada():
    return client_of(ADMINISTRATOR, name="ada")


def page(user, view: str = "change") -> str:
    return f"/admin/auth/user/{user.pk}/{view}/"


def form(user, *roles: str, **more) -> dict:
    return {
        "username": user.username,
        "groups": [Group.objects.get(name=role).pk for role in roles],
        **({"is_active": "on"} if user.is_active else {}),
        **more,
    }


def roles_of(user) -> list[str]:
    return sorted(user.groups.values_list("name", flat=True))


def audited() -> list[tuple[str, ...]]:
    return list(AuditEntry.objects.order_by("pk").values_list("actor", "via", "verb", "object_id", "before", "after"))


def test_an_administrator_makes_a_person_and_gives_a_role(ada):
    added = ada.post("/admin/auth/user/add/", {"username": "bob", "usable_password": "true", "password1": NEW,
                                               "password2": NEW})  # fmt: skip
    bob = get_user_model().objects.get(username="bob")
    assert added.url == page(bob)
    assert ada.post(page(bob), form(bob, OPERATOR)).status_code == 302
    assert roles_of(bob) == [OPERATOR]
    assert audited() == [
        ("ada", "admin", "add", "bob", "", "no role"),
        ("ada", "admin", "change", "bob", "no role", "operator"),
    ]


def test_disabling_is_in_the_audit_and_ends_the_session(ada):
    bob = client_of(OPERATOR, name="bob")
    sent = form(bob.person, OPERATOR)
    del sent["is_active"]
    ada.post(page(bob.person), sent)
    assert bob.get("/jobs/").status_code == 302
    assert audited()[-1][3:] == ("bob", "operator", "disabled operator")


@pytest.mark.parametrize("more", [{"is_superuser": "on"}, {"is_staff": "on"}, {"user_permissions": "1"}])
def test_an_administrator_gives_no_more_than_roles(ada, more):
    bob = person(VIEWER)
    ada.post(page(bob), form(bob, VIEWER, **more))
    bob.refresh_from_db()
    assert (bob.is_superuser, bob.is_staff, bob.user_permissions.count()) == (False, False, 0)
    ada.post("/admin/auth/user/add/", {"username": "eve", "usable_password": "true", "password1": NEW,
                                       "password2": NEW, **more})  # fmt: skip
    eve = get_user_model().objects.get(username="eve")
    assert (eve.is_superuser, eve.is_staff, eve.user_permissions.count()) == (False, False, 0)


def test_a_group_that_is_no_role_is_not_given(ada):
    mighty = Group.objects.create(name="mighty")
    mighty.permissions.set(Permission.objects.all())
    bob = person(VIEWER)
    answer = ada.post(page(bob), {**form(bob, VIEWER), "groups": [mighty.pk]})
    assert answer.status_code == 200 and roles_of(bob) == [VIEWER]


def test_an_administrator_edits_neither_superusers_nor_themselves(ada):
    root = person(name="root", is_superuser=True)
    for user in (root, ada.person):
        assert ada.post(page(user), form(user, VIEWER)).status_code == 403
        sent = {"usable_password": "true", "password1": NEW, "password2": NEW}
        assert ada.post(page(user, "password"), sent).status_code == 403
        user.refresh_from_db()
        assert user.check_password(PASSWORD)
    assert audited() == []


def test_nobody_deletes_people(ada):
    bob = person(VIEWER)
    root = client_of(name="root", is_superuser=True)
    for client in (ada, root):
        assert client.post(page(bob, "delete"), {"post": "yes"}).status_code == 403
        client.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": [bob.pk], "post": "yes"})
    assert get_user_model().objects.filter(pk=bob.pk).exists()


def test_a_name_stays_because_the_audit_knows_people_by_it():
    root, bob = client_of(name="root", is_superuser=True), person(VIEWER, name="bob")
    root.post(page(bob), form(bob, VIEWER, username="alice"))
    bob.refresh_from_db()
    assert bob.username == "bob"


def test_a_superuser_makes_a_superuser_but_does_not_lock_themselves_out():
    root, bob = client_of(name="root", is_superuser=True), person(VIEWER, name="bob")
    root.post(page(bob), form(bob, VIEWER, is_superuser="on"))
    root.post(page(root.person), {"username": "root"})
    for user in (bob, root.person):
        user.refresh_from_db()
    assert bob.is_superuser and root.person.is_superuser and root.person.is_active
    assert audited()[0][3:] == ("bob", "viewer", "superuser, viewer")


def test_a_new_password_is_audited_lifts_the_lock_and_ends_the_sessions(ada):
    bob = client_of(OPERATOR, name="bob")
    LogInCount.objects.create(name="bob", address="10.0.0.1", failures=9, last_at=timezone.now())
    sent = {"usable_password": "true", "password1": NEW, "password2": NEW}
    assert ada.post(page(bob.person, "password"), sent).status_code == 302
    assert ada.post(page(bob.person, "password"), {**sent, "password2": "other"}).status_code == 200
    assert audited() == [("ada", "admin", "new password", "bob", "", "")]
    assert LogInCount.objects.get().failures == 0
    assert bob.get("/jobs/").status_code == 302


def test_an_operator_sees_no_people_and_nobody_edits_a_role(ada):
    bob = client_of(OPERATOR)
    assert bob.get("/admin/auth/user/").status_code == 403
    role = Group.objects.get(name=VIEWER)
    for client in (ada, client_of(is_superuser=True)):
        assert client.get(f"/admin/auth/group/{role.pk}/change/").status_code == 200
        assert client.post(f"/admin/auth/group/{role.pk}/change/", {"name": "x"}).status_code == 403
        assert client.get("/admin/auth/group/add/").status_code == 403


def test_the_list_of_people_takes_the_same_number_of_queries_however_many_there_are(ada):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert ada.get("/admin/auth/user/").status_code == 200
        return len(captured)

    few = queries()
    for _ in range(20):
        person(OPERATOR)
    assert queries() == few


def test_the_groups_in_the_database_are_the_roles_of_the_table():
    for role, names in ROLES.items():
        found = Group.objects.get(name=role).permissions.values_list("content_type__app_label", "codename")
        assert {f"{app}.{codename}" for app, codename in found} == set(names)
    assert set(ROLES[VIEWER]) < set(ROLES[OPERATOR]) < set(ROLES[ADMINISTRATOR])


def test_the_admin_has_no_log_in_no_log_out_and_no_password_page_of_its_own(ada):
    assert ada.get("/admin/password_change/").url == "/account/password/"
    assert ada.get("/admin/logout/").status_code == 405
    assert ada.post("/admin/logout/").url == "/login/"
    assert AuditEntry.objects.filter(verb="log out").count() == 1
    assert ada.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/login/")
