"""What is stored. Models have verbs, predicates and named querysets; no status is filtered or written elsewhere."""

from jobs.models.audit import AuditEntry, Who
from jobs.models.chore_run import ChoreRun
from jobs.models.delivery import Delivery
from jobs.models.flag import Flag, Heartbeat
from jobs.models.installation import Installation
from jobs.models.job import Job
from jobs.models.log_in import LogInCount
from jobs.models.notice import Notice
from jobs.models.output import JobOutput
from jobs.models.people import ApiToken, SavedView
from jobs.models.project_file import ProjectFile
from jobs.models.quarantine import Quarantine
from jobs.models.request import JobRequest
from jobs.models.sample import ResourceSample
from jobs.models.status_change import InvalidTransition, StatusChange
from jobs.models.storage_check import StorageCheck

__all__ = [
    "ApiToken",
    "AuditEntry",
    "ChoreRun",
    "Delivery",
    "Flag",
    "Heartbeat",
    "Installation",
    "InvalidTransition",
    "Job",
    "JobOutput",
    "JobRequest",
    "LogInCount",
    "Notice",
    "ProjectFile",
    "Quarantine",
    "ResourceSample",
    "SavedView",
    "StatusChange",
    "StorageCheck",
    "Who",
]
