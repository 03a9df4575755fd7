"""The rows: a Job and what stands around it.

Fields, constraints and queryset adjectives only. What a job may become is `jobs.lifecycle`'s
business; nothing else writes `Job.status`.
"""

from jobs.models.access import ApiKey, IdempotencyKey
from jobs.models.alerting import Alert, AlertRule, Notice
from jobs.models.cluster import Leader, Limit, Queue, Worker
from jobs.models.job import ACTIVE, TERMINAL, Job, JobQuerySet, Priority, Status
from jobs.models.records import BatchItem, Chord, Event, Failure, LogLine
from jobs.models.scheduling import ScheduleOptions, ScheduleRun
from jobs.models.statistics import ErrorGroup, ErrorRollup, Period, RolledUp, Rollup

__all__ = [
    "ACTIVE",
    "TERMINAL",
    "Alert",
    "AlertRule",
    "ApiKey",
    "BatchItem",
    "Chord",
    "ErrorGroup",
    "ErrorRollup",
    "Event",
    "Failure",
    "IdempotencyKey",
    "Job",
    "JobQuerySet",
    "Leader",
    "Limit",
    "LogLine",
    "Notice",
    "Period",
    "Priority",
    "Queue",
    "RolledUp",
    "Rollup",
    "ScheduleOptions",
    "ScheduleRun",
    "Status",
    "Worker",
]
