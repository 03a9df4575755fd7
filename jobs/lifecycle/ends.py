"""finish: what became of runs, in one statement for many, and what follows in the same transaction."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from jobs import broker, events
from jobs.lifecycle.successors import Ended, follow
from jobs.models import TERMINAL, Status
from jobs.sessions import fetch

MAX_LOSSES = 5  # a job that has taken its worker down this often is the cause


class Verb(StrEnum):
    """What a run reports. The row decides what becomes of it: see `_NEXT_STATUS`."""

    COMPLETE = "complete"
    FAIL = "fail"  # permanent
    RETRY = "retry"  # another attempt after `delay`, if one is left
    SNOOZE = "snooze"  # look again after `delay`; uses no attempt
    GIVE_BACK = "give back"  # not started, or stopped by us; uses no attempt
    LOSE = "lose"  # the worker is gone; uses no attempt, counts as a loss
    CANCEL = "cancel"


@dataclass(slots=True)
class Error:
    """Why a run did not complete, for `Failure`."""

    name: str  # the exception's class
    message: str
    traceback: str
    classification: str

    @property
    def fingerprint(self) -> str:
        """Equal for errors of one class whose messages differ in numbers and quoted values only."""
        kind = re.sub(r"'[^']*'|\"[^\"]*\"|[0-9a-f]{8,}|\d+", "*", self.message[:500])
        return hashlib.md5(f"{self.name}\n{kind}".encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Outcome:
    """The report of one run. `seconds` is how long the body ran; `result` is JSON, kept when the job ends with it."""

    id: UUID
    run: int
    verb: Verb
    result: str | None = None
    delay: float = 0.0
    seconds: float | None = None
    error: Error | None = None
    progress: str | None = None  # JSON, the run's last
    max_attempts: int | None = None  # with a retry: so many are allowed, if that is more than before


# A success that was returned wins over a request to cancel; everything else yields to it.
_NEXT_STATUS = f"""
CASE WHEN d.verb = 'complete' THEN 'completed'
     WHEN d.verb = 'cancel' OR j.cancel_requested_at IS NOT NULL THEN 'cancelled'
     WHEN d.verb = 'fail' OR d.verb = 'retry' AND j.attempt >= greatest(j.max_attempts, d.max_attempts)
         OR d.verb = 'lose' AND j.losses + 1 >= {MAX_LOSSES} THEN 'failed'
     WHEN d.verb IN ('retry', 'snooze') THEN 'scheduled'
     ELSE 'pending' END"""

# The status is asked for in a condition of the join: as one of the table alone it would let the planner expect a single
# row, and compare each outcome with each job. `id = ANY` keeps it from reading the whole table.
_FINISH = f"""
UPDATE jobs_job j SET
    status = {_NEXT_STATUS},
    result = CASE WHEN {_NEXT_STATUS} IN ('completed', 'failed') THEN d.result::jsonb END,
    attempt = CASE WHEN d.verb IN ('snooze', 'give back', 'lose') THEN greatest(j.attempt - 1, 0) ELSE j.attempt END,
    max_attempts = greatest(j.max_attempts, d.max_attempts),
    losses = CASE WHEN d.verb = 'lose' THEN j.losses + 1 ELSE j.losses END,
    scheduled_at = CASE WHEN d.verb IN ('retry', 'snooze') THEN now() + coalesce(d.delay, 0) * interval '1 second'
        ELSE j.scheduled_at END,
    started_at = CASE WHEN d.seconds IS NULL THEN j.started_at ELSE now() - d.seconds * interval '1 second' END,
    finished_at = CASE WHEN {_NEXT_STATUS} IN ('completed', 'failed', 'cancelled') THEN now() END,
    lease_expires_at = NULL, progress = coalesce(d.progress::jsonb, j.progress)
FROM unnest(%(ids)s::uuid[], %(runs)s::int[], %(verbs)s::text[], %(results)s::text[], %(delays)s::float8[],
    %(seconds)s::float8[], %(progress)s::text[], %(max_attempts)s::int[])
    AS d(id, run, verb, result, delay, seconds, progress, max_attempts)
WHERE j.id = d.id AND j.id = ANY(%(ids)s::uuid[]) AND CASE WHEN j.run = d.run THEN j.status END = 'processing'
RETURNING j.id, j.run, j.status, j.queue, j.canvas::text, j.attempt, j.worker, j.started_at
"""  # noqa: S608

# Jobs that completed and after which nothing comes.
_FAIL = "UPDATE jobs_job SET status = 'failed' WHERE id = ANY(%(ids)s::uuid[]) AND status = 'completed'"

_FAILURES = """
INSERT INTO jobs_failure (job_id, run, attempt, error, message, traceback, classification, fingerprint, worker,
    started_at)
SELECT * FROM jsonb_to_recordset(%(rows)s::text::jsonb) AS r(job_id uuid, run int, attempt int, error text,
    message text, traceback text, classification text, fingerprint text, worker text, started_at timestamptz)
ON CONFLICT DO NOTHING
"""


def finish(outcomes: Sequence[Outcome]) -> dict[tuple[UUID, int], Status]:
    """Write what became of these runs, and insert what follows those that ended.

    Returns the new status by (id, run). Runs that are not the job's current one are missing: they changed nothing.
    """
    if not outcomes:
        return {}
    with transaction.atomic(savepoint=False):
        rows = fetch(
            _FINISH,
            {
                "ids": [outcome.id for outcome in outcomes],
                "runs": [outcome.run for outcome in outcomes],
                "verbs": [outcome.verb.value for outcome in outcomes],
                "results": _column([outcome.result for outcome in outcomes]),
                "delays": _column([outcome.delay or None for outcome in outcomes]),
                "seconds": _column([outcome.seconds for outcome in outcomes]),
                "progress": _column([outcome.progress for outcome in outcomes]),
                "max_attempts": _column([outcome.max_attempts for outcome in outcomes]),
            },
        )
        by_key = {(outcome.id, outcome.run): outcome for outcome in outcomes}
        failures = []
        ended = []
        waiting = set()
        changed: dict[tuple[UUID, int], Status] = {}
        for job, run, status, queue, canvas, attempt, worker, started_at in rows:
            outcome = by_key[job, run]
            changed[job, run] = Status(status)
            if outcome.error is not None and status != Status.CANCELLED:
                failures.append(_failure(outcome, outcome.error, attempt, worker, started_at))
            if status in TERMINAL:
                if canvas is not None:
                    ended.append(Ended(job, status, canvas, outcome.result, outcome.error))
            else:
                waiting.add(queue)
        if alone := follow(ended):  # the steps after these cannot be inserted: that must be seen
            fetch(_FAIL, {"ids": list(alone)})
            for job, run, status, *_, attempt, worker, started_at in (row for row in rows if row[0] in alone):
                error = Error("SuccessorsRefused", f"what follows this job is not there: {alone[job]}", "", "permanent")
                failures.append(_failure(by_key[job, run], error, attempt, worker, started_at))
                changed[job, run] = Status.FAILED if status == Status.COMPLETED else Status(status)
        if failures:
            fetch(_FAILURES, {"rows": json.dumps(failures, default=str)})
        if waiting:
            transaction.on_commit(partial(broker.wake, waiting), robust=True)
        if changed:
            transaction.on_commit(partial(events.changed, [job for job, _ in changed]), robust=True)
    return changed


def _column(values: list[Any]) -> list[Any]:
    """Nothing where there are only NULLs: `unnest` makes them of what is missing, and there is less to send."""
    return values if any(value is not None for value in values) else []


def _failure(outcome: Outcome, error: Error, attempt: int, worker: str | None, started_at: object) -> dict[str, object]:
    return {
        "job_id": outcome.id,
        "run": outcome.run,
        "attempt": attempt,
        "error": error.name[:255],
        "message": error.message,
        "traceback": error.traceback,
        "classification": error.classification,
        "fingerprint": error.fingerprint,
        "worker": worker or "",
        "started_at": started_at,
    }
