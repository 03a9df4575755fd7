"""What operators do with schedules, and what they see of them: from the dashboard, the API and the admin.

Each verb leaves an Event. When a schedule is due is `jobs.duetimes`' business, to enqueue then `jobs.scheduler`'s;
what rooms declare is `jobs.schedules`'.
"""

from jobs.schedules import CRON_EXPRESSIONS, MissedRuns, Overlap
from jobs.scheduling.crons import Validation, next_runs, validate, words
from jobs.scheduling.fields import ScheduleFields
from jobs.scheduling.payloads import known_payload, payload_of, shown_payload
from jobs.scheduling.states import Overdue, Run, ScheduleState, counts, history, overdue, state, states
from jobs.scheduling.verbs import Snapshot, create, delete, record_saved, run, snapshot, start, stop, update

__all__ = [
    "CRON_EXPRESSIONS",
    "MissedRuns",
    "Overdue",
    "Overlap",
    "Run",
    "ScheduleFields",
    "ScheduleState",
    "Snapshot",
    "Validation",
    "counts",
    "create",
    "delete",
    "history",
    "known_payload",
    "next_runs",
    "overdue",
    "payload_of",
    "record_saved",
    "run",
    "shown_payload",
    "snapshot",
    "start",
    "state",
    "states",
    "stop",
    "update",
    "validate",
    "words",
]
