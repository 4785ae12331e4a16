"""The roles that the migrations make, as groups, and what each may do: one table, which tests hold the pages against.

A viewer sees how everything stands; an operator also reads logs, which may quote patients' rows, and asks for changes;
an administrator also looks after people and tokens. Superusers may do everything, whatever their role.
"""

from django.db import transaction

VIEWER, OPERATOR, ADMINISTRATOR = "viewer", "operator", "administrator"
# What whoever may look at the dashboard at all has.
BASE = "jobs.view_job"

_SEEN = (
    "job",
    "jobrequest",
    "joboutput",
    "statuschange",
    "flag",
    "heartbeat",
    "delivery",
    "projectfile",
    "quarantine",
    "resourcesample",
    "chorerun",
    "storagecheck",
)
_VIEWER = tuple(f"jobs.view_{model}" for model in _SEEN)
_OPERATOR = (
    *_VIEWER,
    "jobs.read_log",
    "jobs.cancel_job",
    "jobs.retry_job",
    "jobs.add_flag",
    "jobs.change_jobrequest",  # refuse one that waits
    "jobs.change_delivery",  # have it told again
    "jobs.add_chorerun",
    "jobs.view_notice",
    "jobs.change_quarantine",  # have its container tried again
    "jobs.view_auditentry",
    "jobs.use_admin",
)
_ADMINISTRATOR = (
    *_OPERATOR,
    *(f"auth.{verb}_user" for verb in ("add", "change", "view")),
    "auth.view_group",
    *(f"jobs.{verb}_apitoken" for verb in ("change", "view", "delete")),
    *(f"jobs.{verb}_savedview" for verb in ("view", "delete")),
    "jobs.view_logincount",
    "jobs.remove_leftovers",  # and outdated outputs, for good
)
# Permissions of our own invention, and the models that they belong to.
_OF_OUR_OWN = {"read_log": "job", "use_admin": "job", "remove_leftovers": "chorerun"}
ROLES: dict[str, tuple[str, ...]] = {VIEWER: _VIEWER, OPERATOR: _OPERATOR, ADMINISTRATOR: _ADMINISTRATOR}


def make_roles(apps) -> None:
    """For migrations: give each role's group exactly these permissions. `apps` is the registry of the migration.

    Django makes permissions only after all migrations, so what is not there yet is made here, under the same names.
    """
    group_model = apps.get_model("auth", "Group")
    with transaction.atomic():
        for role, names in ROLES.items():
            group, _ = group_model.objects.get_or_create(name=role)
            group.permissions.set([_permission(apps, name) for name in names])


def _permission(apps, name: str):
    app_label, codename = name.split(".")
    model = _OF_OUR_OWN.get(codename, codename.rpartition("_")[2])
    types = apps.get_model("contenttypes", "ContentType").objects
    content_type, _ = types.get_or_create(app_label=app_label, model=model)
    permissions = apps.get_model("auth", "Permission").objects
    defaults = {"name": f"Can {codename.replace('_', ' ')}"}
    return permissions.get_or_create(content_type=content_type, codename=codename, defaults=defaults)[0]
