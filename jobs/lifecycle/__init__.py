"""The state machine of a job, and the only code that writes `Job.status`.

    enqueue ─► pending ──claim──► processing ──complete──► completed
       └─► scheduled ─promote─┘      │  │ └──── fail ─────► failed       (attempts used up, losses used up, or Discard)
               ▲                     │  └────── cancel ───► cancelled
               └─ retry / snooze ────┘      rescue, give back: processing ─► pending
    scheduled, pending ──cancel──► cancelled           failed, cancelled ──retry by hand──► pending (attempt 0)

Every function works on a set of jobs by guarded UPDATEs and answers with the rows it changed. A write
about a running job names its run: a stale one changes nothing, and nothing follows it. Whatever
follows an end (next steps, callbacks, chords) is inserted in the transaction that ends the job.

It knows no processor and no policy: callers pass queues, delays and limits in. Time is the database's.
"""

from jobs.lifecycle.changes import Retried, cancel, expire, rerun, retry, run_now, set_priority
from jobs.lifecycle.claims import (
    Claimed,
    claim,
    claim_these,
    lost,
    promote,
    record_progress,
    renew,
    rescue,
    room,
    seconds_to_next,
    start_over,
)
from jobs.lifecycle.deletion import Removed, clean, forget, prune, prune_chords, remove
from jobs.lifecycle.ends import Error, Outcome, Verb, finish
from jobs.lifecycle.enqueueing import Enqueued, NewJob, enqueue
from jobs.lifecycle.queues import limited_queues, pause, resume, resume_due, set_limit
from jobs.lifecycle.successors import job_of, member_results
from jobs.lifecycle.workers import drain

__all__ = [
    "Claimed",
    "Enqueued",
    "Error",
    "NewJob",
    "Outcome",
    "Removed",
    "Retried",
    "Verb",
    "cancel",
    "claim",
    "claim_these",
    "clean",
    "drain",
    "enqueue",
    "expire",
    "finish",
    "forget",
    "job_of",
    "limited_queues",
    "lost",
    "member_results",
    "pause",
    "promote",
    "prune",
    "prune_chords",
    "record_progress",
    "remove",
    "renew",
    "rerun",
    "rescue",
    "resume",
    "resume_due",
    "retry",
    "room",
    "run_now",
    "seconds_to_next",
    "set_limit",
    "set_priority",
    "start_over",
]
