"""The admin's pages of people: made, disabled, given a role and a password; never deleted, never more than the maker.

Roles are the only way to be allowed something: the ticks for single permissions and for "staff" are not offered, and
the roles themselves are the code's. Whoever is no superuser edits no superuser, makes none, and does not edit
themselves. A name stays, because the audit knows people by it.
"""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from jobs.admin_lists import AuditedHistory, ReadOnly
from jobs.models import AuditEntry, LogInCount
from jobs.people.access import who
from jobs.people.accounts import role_in_words
from jobs.people.lock_out import name_key
from jobs.people.roles import ROLES

admin.site.unregister([User, Group])
_PERSON = ("first_name", "last_name", "email")


class AddPersonForm(AdminUserCreationForm):
    """Django's, in our words: its own speak of authentication backends."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        name, way, password, again = (
            self.fields[each] for each in ("username", "usable_password", "password1", "password2")
        )
        name.label = "Name to sign in with"
        name.help_text = "At most 150 letters, digits and @ . + - _. It stays: the audit knows people by it."
        way.label, way.choices = "Signs in by", [("true", "password"), ("false", "single sign-on only")]
        way.help_text = "Single sign-on opens only accounts without a password (docs/production.md)."
        password.help_text = "At least 15 characters, no common password, not like the name. The person can change it."
        again.label, again.help_text = "The same password again", ""


@admin.register(User)
class PersonAdmin(AuditedHistory, UserAdmin):
    list_display = ("username", "role", "first_name", "last_name", "is_active", "signs_in_by", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    object_kind, object_column = "user", "username"
    add_form = AddPersonForm

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None):
        if obj is None:
            return self.add_fieldsets
        superuser = ("is_superuser",) if request.user.is_superuser else ()
        return (
            (None, {"fields": ("username", "password")}),
            ("Person", {"fields": _PERSON}),
            ("What they may do", {"fields": ("is_active", "groups", *superuser)}),
            ("Dates (UTC)", {"fields": ("last_login", "date_joined")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None):
        fields = super().get_readonly_fields(request, obj)
        if obj is None:
            return fields
        # Nobody locks themselves out, and the last superuser stays one.
        own = ("is_active", "is_superuser") if obj == request.user else ()
        return (*fields, "username", *own)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related("groups")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_out_of_reach = obj is not None and (obj.is_superuser or obj == request.user)
        if is_out_of_reach and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def formfield_for_manytomany(self, db_field, request: HttpRequest | None = None, **options):
        if db_field.name == "groups":
            options["queryset"] = Group.objects.filter(name__in=ROLES)
        field = super().formfield_for_manytomany(db_field, request=request, **options)
        if field and db_field.name == "groups":
            field.label, field.help_text = "Roles", "What each role may do stands in docs/production.md."
        return field

    def save_model(self, request: HttpRequest, obj: User, form, change: bool) -> None:
        request.person_before = role_in_words(User.objects.get(pk=obj.pk)) if change else ""
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form, formsets, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        person = User.objects.get(pk=form.instance.pk)
        changed = [name for name in form.changed_data if name in _PERSON]
        after = "; ".join([role_in_words(person), *(f"{name} changed" for name in changed)])
        _note(request, "change" if change else "add", person, before=request.person_before, after=after)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        def password() -> str:
            return User.objects.filter(pk=id).values_list("password", flat=True).first() if id.isdecimal() else ""

        before = password()
        answer = super().user_change_password(request, id, form_url)
        if request.method == "POST" and password() != before:
            person = User.objects.get(pk=id)
            LogInCount.objects.lift(name_key(person.get_username()))
            _note(request, "new password", person)
        return answer

    @admin.display(description="role")
    def role(self, person: User) -> str:
        roles = [group.name for group in person.groups.all()]
        return ", ".join(["superuser"] * person.is_superuser + roles) or "none"

    @admin.display(description="signs in by")
    def signs_in_by(self, person: User) -> str:
        return "password" if person.has_usable_password() else "single sign-on"


@admin.register(Group)
class RoleAdmin(ReadOnly, GroupAdmin):
    """To look at: what a role may do is jobs.people.roles."""


def _note(request: HttpRequest, verb: str, person: User, **columns: str) -> None:
    name = person.get_username()
    by = who(request, AuditEntry.Via.ADMIN)
    AuditEntry.note(by, verb, object_kind="user", object_id=name, label=name, **columns)
