"""The roles as groups, and an audit that nobody can rewrite: not by this program, and not by a slip at a prompt."""

from django.db import migrations

from jobs.people.roles import make_roles

REFUSED = "the audit is only ever added to"


def refuse_changes(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{REFUSED}'; END $$"
        )
        # For each statement: one that names no row of it is refused as well.
        schema_editor.execute(
            "CREATE TRIGGER audit_refuses_changes BEFORE UPDATE OR DELETE OR TRUNCATE ON jobs_auditentry "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        schema_editor.execute(
            f"CREATE TRIGGER audit_refuses_{verb.lower()} BEFORE {verb} ON jobs_auditentry "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        )


def allow_changes(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION IF EXISTS audit_refuses() CASCADE")
        return
    for verb in ("update", "delete"):
        schema_editor.execute(f"DROP TRIGGER IF EXISTS audit_refuses_{verb}")


class Migration(migrations.Migration):
    dependencies = (
        ("jobs", "0004_dashboard"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    )
    operations = (
        migrations.RunPython(lambda apps, schema_editor: make_roles(apps), migrations.RunPython.noop),
        migrations.RunPython(refuse_changes, allow_changes),
    )
