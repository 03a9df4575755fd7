"""What follows the end of a job: next steps, callbacks, error callbacks, chords. See `jobs.canvas` for a step's shape.

Called in the transaction that ends the job, with rows that it changed: so each step is inserted once, whatever crashes.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction

from jobs.encoding import storable
from jobs.lifecycle.enqueueing import NewJob, insert_failed_steps, insert_steps
from jobs.models import Status
from jobs.sessions import fetch

if TYPE_CHECKING:
    from jobs.lifecycle.ends import Error

log = logging.getLogger("jobs")

Step = dict[str, Any]


class Ended(NamedTuple):
    """A job that just became terminal. `canvas` and `result` are JSON."""

    id: UUID
    status: str
    canvas: str | None
    result: str | None
    error: "Error | None"


def follow(ended: Sequence[Ended]) -> dict[UUID, str]:
    """Insert what follows these jobs. Returns those for which that is not possible, and why.

    A canvas may be damaged, or come from a later version: that must not keep this job, or others, from ending.
    """
    if not ended:
        return {}
    try:
        with transaction.atomic():
            _insert_all(ended)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(ended) > 1:
            return {job: why for one in ended for job, why in follow([one]).items()}
        why = storable(f"{type(error).__name__}: {error}".partition("\n")[0])[:500]  # further lines may show payloads
        log.error("what follows job %s cannot be inserted: %s", ended[0].id, why)
        return {ended[0].id: why}
    return {}


def _insert_all(ended: Sequence[Ended]) -> None:
    starting: list[NewJob] = []
    failing: list[NewJob] = []
    members: list[tuple[dict[str, Any], Ended]] = []
    for job in ended:
        canvas = json.loads(job.canvas) if job.canvas else {}
        steps: list[Step] = canvas.get("then", [])
        if job.status == Status.COMPLETED:
            value = json.loads(job.result) if steps and job.result is not None else None
            starting += [start(step, job.id, value) for step in steps]
        else:
            failing += [tail for step in steps for tail in _whole(step, job.id)]
            if job.status == Status.FAILED:
                starting += [_error_callback(step, job) for step in canvas.get("on_error", [])]
        if "chord" in canvas:
            members.append((canvas["chord"], job))
    insert_steps(starting)
    _put_down(failing, "the job before it did not complete")
    members += [
        (job.canvas["chord"], Ended(job.id, Status.FAILED, None, None, None))
        for job in failing
        if job.canvas and "chord" in job.canvas
    ]
    if members:
        _close_chords(members)


def start(step: Step, parent: UUID | None, value: Any) -> NewJob:
    """The job of a step, with what it takes from the job before it."""
    payload = step["payload"]
    takes = step.get("takes")
    if takes == "":
        payload = {**payload, "args": [value, *payload["args"]]}
    elif takes is not None:
        payload = {**payload, takes: value}
    return job_of(step, parent, payload)


def job_of(step: Step, parent: UUID | None, payload: dict[str, Any]) -> NewJob:
    return NewJob(
        id=UUID(step["id"]),
        type=step["type"],
        payload=json.dumps(payload),
        queue=step["queue"],
        priority=step["priority"],
        max_attempts=step["max_attempts"],
        timeout=step["timeout"],
        backoff=step.get("backoff"),
        delay=step.get("delay"),
        scheduled_at=step.get("scheduled_at"),
        expires_in=step.get("expires_in"),
        expires_at=step.get("expires_at"),
        tags=step.get("tags", ()),
        request_id=step.get("request_id"),
        parent=parent,
        group=UUID(step["group"]) if step.get("group") else None,
        canvas=step.get("canvas"),
    )


def _whole(step: Step, parent: UUID) -> Iterable[NewJob]:
    """The job of a step that will not run, and those of all steps after it."""
    yield job_of(step, parent, step["payload"])
    for after in (step.get("canvas") or {}).get("then", []):
        yield from _whole(after, UUID(step["id"]))


def _error_callback(step: Step, job: Ended) -> NewJob:
    if not step.get("explains"):
        return start(step, job.id, str(job.id))
    message = f"{job.error.name}: {job.error.message}" if job.error else ""
    args = [{"id": str(job.id)}, message, job.error.traceback if job.error else ""]
    return job_of(step, job.id, {**step["payload"], "args": [*args, *step["payload"]["args"]]})


_NEVER_RUN = """
INSERT INTO jobs_failure (job_id, run, attempt, error, message, traceback, classification, fingerprint, worker)
SELECT id, 0, 0, 'PredecessorFailed', %(message)s, '', 'permanent', md5('PredecessorFailed'), ''
FROM unnest(%(ids)s::uuid[]) AS t(id) ON CONFLICT DO NOTHING
"""


def _put_down(jobs: list[NewJob], why: str) -> set[UUID]:
    """Insert these steps as failed. Returns those that were not there before."""
    new = set(insert_failed_steps(jobs))
    if new:
        fetch(_NEVER_RUN, {"ids": list(new), "message": why})
    return new


_CREATE_CHORDS = """
INSERT INTO jobs_chord (id, size, body)
SELECT id, size, body FROM jsonb_to_recordset(%(rows)s::text::jsonb) AS r(id uuid, size int, body jsonb)
ON CONFLICT DO NOTHING
"""
_LOCK_CHORDS = """
SELECT id, size, body::text FROM jobs_chord WHERE id = ANY(%(ids)s::uuid[]) AND fired_at IS NULL ORDER BY id FOR UPDATE
"""
# Its own statement, after the lock: it sees what the transactions that held the lock before have committed.
_COMPLETE_CHORDS = """
SELECT c.id FROM jobs_chord c WHERE c.id = ANY(%(ids)s::uuid[])
AND NOT EXISTS (SELECT 1 FROM jobs_job j WHERE j."group" = c.id AND j.status IN ('scheduled', 'pending', 'processing'))
AND c.size = (SELECT count(*) FROM jobs_job j WHERE j."group" = c.id AND j.status || '' = 'completed')
"""
_FIRE_CHORDS = "UPDATE jobs_chord SET fired_at = now() WHERE id = ANY(%(ids)s::uuid[])"


def _close_chords(members: list[tuple[dict[str, Any], Ended]]) -> None:
    """Start the body of each chord whose members are all completed; fail that of one with a member that is not."""
    chords = {chord["id"]: {"id": chord["id"], "size": chord["size"], "body": chord["body"]} for chord, _ in members}
    # In order: two transactions that make the same chords wait for each other's.
    fetch(_CREATE_CHORDS, {"rows": json.dumps([chords[chord] for chord in sorted(chords)])})
    locked = fetch(_LOCK_CHORDS, {"ids": [UUID(chord) for chord in chords]})
    open_chords = {chord: json.loads(body) for chord, _, body in locked}
    broken: dict[UUID, Ended] = {}
    for chord, job in members:
        if job.status != Status.COMPLETED and UUID(chord["id"]) in open_chords:
            broken.setdefault(UUID(chord["id"]), job)
    for chord_id, job in broken.items():
        _break_chord(open_chords.pop(chord_id), job)
    complete = [chord for (chord,) in fetch(_COMPLETE_CHORDS, {"ids": list(open_chords)})] if open_chords else []
    if complete:
        insert_steps([job_of(step, None, step["payload"]) for chord in complete for step in open_chords[chord]])
        fetch(_FIRE_CHORDS, {"ids": complete})


def _break_chord(body: list[Step], member: Ended) -> None:
    """The body fails with its member, once: its error callbacks run, and what would have followed it fails too."""
    jobs = [job for step in body for job in _whole(step, member.id)]
    new = _put_down(jobs, f"{member.id}, a member of its chord, did not complete")
    failed = {job.id: Ended(job.id, Status.FAILED, None, None, member.error) for job in jobs}
    heads = [(step, failed[UUID(step["id"])]) for step in body if UUID(step["id"]) in new]
    canvases = [(step.get("canvas") or {}, head) for step, head in heads]
    insert_steps([_error_callback(step, head) for canvas, head in canvases for step in canvas.get("on_error", [])])
    outer = [(job.canvas["chord"], failed[job.id]) for job in jobs if job.canvas and "chord" in job.canvas]
    if outer:
        _close_chords(outer)


_MEMBERS = """
SELECT result::text FROM jobs_job WHERE "group" = %(group)s ORDER BY (canvas #>> '{chord,index}')::int
"""


def member_results(group: UUID) -> list[Any]:
    """What the members of a chord returned, in the order of its header."""
    return [None if result is None else json.loads(result) for (result,) in fetch(_MEMBERS, {"group": group})]
