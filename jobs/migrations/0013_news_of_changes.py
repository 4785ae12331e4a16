"""PostgreSQL tells the loops of committed changes (`jobs.news`), whoever has made them.

For each row, not for each statement: a statement that changes nothing must wake nobody, or two loops that both look for
something to do would wake each other for ever. Equal news of one transaction are told once.
"""

from django.db import migrations

# What the loops of run and sync look at; signs of life, samples and sessions are not among it.
TABLES = ("jobs_job", "jobs_jobrequest", "jobs_flag", "jobs_delivery", "jobs_quarantine", "jobs_chorerun")


def tell(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(
        "CREATE FUNCTION jobrunner_tell() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_notify('jobrunner', ''); RETURN NULL; END $$"
    )
    for table in TABLES:
        schema_editor.execute(
            f"CREATE TRIGGER jobrunner_tells AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION jobrunner_tell()"
        )


def keep_silent(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION IF EXISTS jobrunner_tell() CASCADE")


class Migration(migrations.Migration):
    dependencies = [("jobs", "0012_quarantine")]
    operations = [migrations.RunPython(tell, keep_silent)]
