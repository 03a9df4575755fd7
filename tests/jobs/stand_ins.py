"""Job types for tests of the doors: API and admin."""

from celery import shared_task
from pydantic import BaseModel, Field

from jobs.processor import JobContext, Payload, Secret, processor


class Greet(Payload):
    guest_name: str
    times: int = Field(1, ge=1, le=10)
    api_token: Secret = ""


class Greeted(BaseModel):
    text: str


@processor(queue="default", max_attempts=3)
def greet_guest(payload: Greet, job: JobContext) -> Greeted:
    """Greet a guest.

    More than once if that is wanted.
    """
    job.progress(1, 2, "thinking of something nice")
    return Greeted(text=" ".join([f"Hello {payload.guest_name}!"] * payload.times))


class Refuse(Payload):
    reason: str = "no"


@processor(queue="cpu", priority="low", max_attempts=2)
def refuse_guest(payload: Refuse, job: JobContext) -> None:
    """Fail, saying why."""
    raise ValueError(payload.reason)


@shared_task(name="add_guests")
def add_guests(here: int, arriving: int = 1) -> int:
    """A plain Celery task."""
    return here + arriving
