"""Job types whose bodies write down that they began and ended, and fail as their payloads ask."""

import time

from pydantic import Field

from jobs.processor import Backoff, Discard, JobContext, Payload, Upstream, processor
from tests.chaos.checks import PACE
from tests.integration.jobtypes import journal

SOON = Backoff(base=0.2, max=1)
SLICE = 0.02  # seconds between two looks whether the job is to stop


class Work(Payload):
    journal: str
    seconds: float = Field(0.0, ge=0)
    fails: int = 0  # so many attempts
    hopeless: bool = False


@processor(max_attempts=3, backoff=SOON)
def chaos_work(payload: Work, job: JobContext) -> int:
    """Take some time, then do what was asked."""
    journal.write(payload.journal, job.id, job.run, "start")
    end = time.monotonic() + payload.seconds
    while (left := end - time.monotonic()) > 0:
        job.check()
        time.sleep(min(SLICE, left))
    if payload.hopeless:
        journal.write(payload.journal, job.id, job.run, "fail")
        raise Discard("asked to fail")
    if job.attempt <= payload.fails:
        raise ValueError(f"attempt {job.attempt} fails")
    journal.write(payload.journal, job.id, job.run, "end")
    return job.run


class Step(Payload):
    text: str = ""  # the first field: the result of the step before
    letter: str
    journal: str


@processor(max_attempts=3, backoff=SOON)
def chaos_step(payload: Step, job: JobContext) -> str:
    """A step of a chain: the text so far, and a letter."""
    journal.write(payload.journal, job.id, job.run, "start", payload.text)
    time.sleep(0.05)
    journal.write(payload.journal, job.id, job.run, "end", payload.text)
    return payload.text + payload.letter


class Call(Payload):
    journal: str


@processor(max_attempts=10, backoff=SOON)  # it asks the database: each outage under its feet costs an attempt
def chaos_call(payload: Call, job: JobContext) -> None:
    """Call an upstream that allows ten calls a second."""
    upstream = Upstream("chaos", interval=PACE)
    upstream.acquire()
    journal.write(payload.journal, job.id, job.run, "call")
    upstream.succeeded()
