"""What is stored. Models have verbs, predicates and named querysets; no status is filtered or written elsewhere."""

from jobs.models.delivery import Delivery
from jobs.models.flag import Flag, Heartbeat
from jobs.models.job import Job
from jobs.models.output import JobOutput
from jobs.models.request import JobRequest
from jobs.models.status_change import InvalidTransition, StatusChange

__all__ = ["Delivery", "Flag", "Heartbeat", "InvalidTransition", "Job", "JobOutput", "JobRequest", "StatusChange"]
