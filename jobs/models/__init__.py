"""The rows: a Job and what stands around it.

Fields, constraints and queryset adjectives only. What a job may become is `jobs.lifecycle`'s
business; nothing else writes `Job.status`.
"""

from jobs.models.access import ApiKey
from jobs.models.cluster import Leader, Limit, Queue, Worker
from jobs.models.job import ACTIVE, TERMINAL, Job, JobQuerySet, Priority, Status
from jobs.models.records import BatchItem, Chord, Event, Failure, ScheduleRun

__all__ = [
    "ACTIVE",
    "TERMINAL",
    "ApiKey",
    "BatchItem",
    "Chord",
    "Event",
    "Failure",
    "Job",
    "JobQuerySet",
    "Leader",
    "Limit",
    "Priority",
    "Queue",
    "ScheduleRun",
    "Status",
    "Worker",
]
