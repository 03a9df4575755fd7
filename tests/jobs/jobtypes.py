"""Job types that do what a test says, for tests that run them in their own process."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from celery import shared_task
from pydantic import BaseModel

from jobs.processor import Backoff, Discard, JobContext, Payload, Secret, processor

_parts: dict[str, Callable[[Any], Any]] = {}


def part(body: Callable[[Any], Any]) -> dict[str, str]:
    """The payload with which `improvise`, `nag` and `plead` call this function."""
    name = uuid4().hex
    _parts[name] = body
    return {"part": name}


class Card(BaseModel):
    number: Secret
    holder: str = ""


class Cue(Payload):
    part: str = ""
    stage_name: str = ""
    card_number: Secret = ""
    card: Card | None = None


@processor(max_attempts=3, backoff=Backoff(base=10, max=60, jitter=False), timeout=60)
def improvise(payload: Cue, job: JobContext) -> Any:
    """Play a part.

    Whichever the test has written.
    """
    return _parts[payload.part](job)


@processor(backoff=lambda attempt, error: attempt * 100.0 if "tired" in str(error) else 1 / 0)
def nag(payload: Cue, job: JobContext) -> Any:
    """Wait between attempts as a function says, which is broken for all but the tired."""
    return _parts[payload.part](job)


class Letter(Payload):
    text: str
    letter: str = ""


@processor(max_attempts=2, backoff=Backoff(base=10, jitter=False))
def spell(payload: Letter, job: JobContext) -> str:
    """Add a letter to the text before it."""
    return payload.text + payload.letter


class Word(Payload):
    letters: list[str]
    end: str = ""


@processor()
def read_out(payload: Word, job: JobContext) -> str:
    """Make one word of letters: a chord's body."""
    return "".join(payload.letters) + payload.end


class Gathered(Payload):
    all_values: list[Any]
    fails: int = 0


@processor(max_attempts=9)
def gather(payload: Gathered, job: JobContext) -> list[Any]:
    """Give back what it was given, after some failures."""
    if job.attempt <= payload.fails:
        raise ValueError("not yet")
    return payload.all_values


class Text(Payload):
    text: str = ""


@processor(max_attempts=1)
def collapse(payload: Text, job: JobContext) -> str:
    """Fail for good."""
    raise Discard("the set fell down")


@processor(max_attempts=1)
def recover(payload: Text, job: JobContext) -> str:
    """Fail for good, but not when a person has it run again."""
    if job.run == 1:
        raise Discard("the set fell down")
    return payload.text


@processor(queue="cpu", priority="low", max_attempts=7, timeout=lambda payload: 10 + len(payload["text"]))
def slow_read(payload: Text, job: JobContext) -> int:
    """Time in proportion to the text."""
    return len(payload.text)


class Nothing(Payload):
    pass


@processor()
def idle(payload: Nothing, job: JobContext) -> str:
    """Need nothing."""
    return "idle"


@processor(retention={"completed": 60, "failed": 7200})
def forget_soon(payload: Text, job: JobContext) -> str:
    """Is kept for a time of its own."""
    return payload.text


@shared_task
def add_up(x: int, y: int = 0) -> int:
    """A plain task."""
    return x + y


@shared_task
def total(numbers: list[int]) -> int:
    """A plain task as a chord's body."""
    return sum(numbers)


@shared_task
def say(*args: Any, **kwargs: Any) -> Any:
    """Give back what it was given."""
    return [*args, kwargs] if kwargs else list(args)


@shared_task
def complain(request: Any, error: Any, traceback: Any) -> Any:
    """An error callback of Celery's newer form."""
    return [request["id"], error, traceback]


@shared_task
def complain_of(job_id: str) -> str:
    """An error callback of Celery's older form."""
    return job_id


@shared_task
def stumble(*args: Any) -> None:
    """Fail."""
    raise ValueError("stumbled")


@shared_task(bind=True, max_retries=2, default_retry_delay=40)
def persist(self: Any, /, **how: Any) -> None:
    """Ask for a retry."""
    error = ValueError("once more") if how.pop("because", False) else None
    raise self.retry(**how, exc=error)


@shared_task(autoretry_for=(ConnectionError,), retry_backoff=8, retry_jitter=False, retry_kwargs={"max_retries": 5})
def reconnect() -> None:
    """Be retried by Celery."""
    raise ConnectionError("nobody there")


@shared_task(bind=True)
def plead(self: Any, /, part: str) -> Any:
    """A plain task that plays a part."""
    return _parts[part](self)
