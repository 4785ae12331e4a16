"""Who has read which job's log: noted in the audit, at most once an hour for each person and job.

Logs may quote patients' rows, so every answer that gives lines away is noted, whichever way it was asked for; a row a
second, as pages poll, would only bury the audit.
"""

from datetime import timedelta

from django.utils import timezone

from jobs.models import AuditEntry, Job, Who

VERB = "view log"
NOTED_EVERY = timedelta(hours=1)


def note_view(reader: Who, job: Job) -> None:
    """Write the row if there is none of the last hour. Raises DatabaseError: then nothing may be shown."""
    noted = AuditEntry.objects.about("job", job.identifier).filter(actor=reader.name, via=reader.via, verb=VERB)
    if not noted.filter(at__gte=timezone.now() - NOTED_EVERY).exists():
        label = f"{job.workspace}: {job.action}"
        AuditEntry.note(reader, VERB, object_kind="job", object_id=job.identifier, label=label)
