"""Job types that nap, fail, die, poison and count, as their payloads ask."""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from pydantic import Field

from jobs.models import Job
from jobs.processor import Backoff, Discard, JobContext, Payload, Secret, Snooze, Upstream, batch_process, processor
from tests.integration.jobtypes import confessions as confessions  # its job types are declared with these
from tests.integration.jobtypes import journal

declare_task: Callable[..., Callable[[Callable[..., Any]], Any]] = shared_task  # its stubs know Celery's options only
SOON = Backoff(base=0.05, max=0.1)


class Noop(Payload):
    number: int = 0


@processor(max_attempts=3, backoff=SOON)
def noop(payload: Noop, job: JobContext) -> int:
    """Give the number back."""
    return payload.number


class Nap(Payload):
    journal: str
    seconds: float = 0.0
    until: str = ""  # a file: wait for it; {run} in its name is the run's number
    checks: bool = True  # does it look whether it should stop?
    stubborn: bool = False  # does it pass over the signal to end?


@processor(max_attempts=3, backoff=SOON)
def nap(payload: Nap, job: JobContext) -> int:
    """Take some time, and write down how far it got. The result is the run's number."""
    write = partial(journal.write, payload.journal, job.id, job.run)
    end = time.monotonic() + payload.seconds
    gate = payload.until and Path(payload.until.format(run=job.run))
    if payload.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write("start")
    try:
        while time.monotonic() < end or (gate and not gate.exists()):
            if payload.checks:
                job.check()
            time.sleep(0.01)
        write("end")
    finally:
        write("finally")
    return job.run


class Trouble(Payload):
    times: int = 1
    journal: str = ""


@processor(max_attempts=3, backoff=SOON)
def flaky(payload: Trouble, job: JobContext) -> int:
    """Fail in the first attempts."""
    if job.attempt <= payload.times:
        raise ValueError(f"attempt {job.attempt} fails")
    return job.attempt


@processor(max_attempts=3, backoff=SOON)
def die(payload: Trouble, job: JobContext) -> str:
    """Take the process down until that was its end so many times."""
    journal.write(payload.journal, job.id, job.run, "start")
    if Job.objects.values_list("losses", flat=True).get(id=job.id) < payload.times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


@declare_task(name="die_for_good", on_lost="fail")
def die_for_good() -> None:
    """Must not run a second time when its worker was lost."""
    os.kill(os.getpid(), signal.SIGKILL)


@processor(max_attempts=3, backoff=SOON)
def snore(payload: Nap, job: JobContext) -> str:
    """Not yet, for as long as the file is missing."""
    journal.write(payload.journal, job.id, job.run, "start", job.attempt)
    if not Path(payload.until).exists():
        raise Snooze("not yet", after=payload.seconds)
    return "ready"


class Poison(Payload):
    kind: str


class Awkward(Exception):
    """Cannot be made from its message, so it cannot be pickled."""

    def __init__(self, code: int, *, lock: Any) -> None:
        super().__init__(f"code {code}")
        self.lock = lock


def _dive(depth: int) -> int:
    return _dive(depth + 1)


@processor(max_attempts=1)
def poison(payload: Poison, job: JobContext) -> Any:
    """Return, or raise, what no database stores and no pool expects."""
    match payload.kind:
        case "nul":
            return {"text": "a\x00b"}
        case "nan":
            return math.nan
        case "big":
            return "x" * 10_000_000
        case "surrogate":
            return "\ud800"
        case "object":
            return {object()}
        case "surrogate in a message":
            raise Discard("\ud800 and \x00")
        case "surrogate in a failure":
            raise ValueError("\ud800 and \x00")
        case "awkward":
            raise Awkward(7, lock=threading.Lock())
        case "exit":
            sys.exit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "memory":
            raise MemoryError("all of it")
        case "recursion":
            return _dive(1)
    raise ValueError(payload.kind)


class Letter(Payload):
    text: str
    letter: str = ""
    journal: str = ""
    seconds: float = 0.0
    fails: bool = False  # for good
    breaks: bool = False  # another attempt may help


@processor(max_attempts=3, backoff=SOON)
def letter(payload: Letter, job: JobContext) -> str:
    """A step of a chain: what came before, and one letter more."""
    if payload.journal:
        journal.write(payload.journal, job.id, job.run, "start", payload.text)
    time.sleep(payload.seconds)
    if payload.fails:
        raise Discard("asked to fail")
    if payload.breaks:
        raise ValueError("asked to break")
    if payload.journal:
        journal.write(payload.journal, job.id, job.run, "end", payload.text)
    return payload.text + payload.letter


class Word(Payload):
    letters: list[str]
    journal: str = ""


@processor(max_attempts=3, backoff=SOON)
def word(payload: Word, job: JobContext) -> str:
    """The body of a chord: its members' letters."""
    if payload.journal:
        journal.write(payload.journal, job.id, job.run, "start", "".join(payload.letters))
    return "".join(payload.letters)


@shared_task(name="keep_vigil", acks_late=True)
def keep_vigil(begun: str, until: str) -> None:
    """Wait for a file, as a task that Celery would acknowledge at its end."""
    Path(begun).touch()
    while not Path(until).exists():
        time.sleep(0.05)


@shared_task(name="mourn")
def mourn(failed: str) -> str:
    """An error callback that takes the failed job's id."""
    return failed


class Call(Payload):
    upstream: str
    interval: float
    journal: str
    slow_down: float = 0.0  # the upstream asks for so many seconds without a call
    fails: bool = False


@processor(max_attempts=3, backoff=SOON)
def call(payload: Call, job: JobContext) -> None:
    """Call an upstream that allows so many calls, as a client does."""
    upstream = Upstream(payload.upstream, interval=payload.interval)
    upstream.acquire()
    journal.write(payload.journal, job.id, job.run, "call")
    if payload.slow_down:
        upstream.slow_down(payload.slow_down)
    elif payload.fails:
        upstream.failed()
        raise Discard("the upstream is down")
    else:
        upstream.succeeded()


@declare_task(name="patient", soft_time_limit=1, time_limit=3)
def patient(path: str, mood: str) -> str:
    """Wait for ever, and take the soft limit as its mood is."""
    while True:
        try:
            while not Path(path).exists():
                time.sleep(0.01)
        except SoftTimeLimitExceeded:
            if mood == "obedient":
                raise
            if mood == "wise":
                return "gave up"


class Told(Payload):
    until: str


@processor(max_attempts=1)
def tell(payload: Told, job: JobContext) -> None:
    """Say how far it is inside a transaction that is rolled back."""
    with transaction.atomic():
        noop.enqueue({"number": 1}, tags=["rolled back"])
        job.progress(1, 4, "in the middle")
        while not Path(payload.until).exists():
            time.sleep(0.01)
        transaction.set_rollback(True)


class Items(Payload):
    items: list[int]
    journal: str
    size: int = Field(2, ge=1)
    seconds: float = 0.0  # for each item
    slow_from: int = 10**9  # these wait for `until`
    until: str = ""
    fails: list[int] = []


@processor(max_attempts=3, backoff=SOON)
def work_off(payload: Items, job: JobContext) -> dict[str, Any]:
    """Items of a batch, each written down."""
    write = partial(journal.write, payload.journal, job.id, job.run)

    def one(item: int) -> int:
        write("begin", item)
        time.sleep(payload.seconds)
        while item >= payload.slow_from and not Path(payload.until).exists():
            time.sleep(0.01)
        write("done", item)
        if item in payload.fails:
            raise ValueError(f"item {item}")
        return item

    batch = batch_process(payload.items, one, job=job, size=payload.size)
    return {"succeeded": sorted(batch.succeeded.values()), "failed": batch.failed}


class Whisper(Payload):
    secret_word: Secret
    fails: bool = False
    until: str = ""


@processor(max_attempts=2, backoff=Backoff(base=600, max=600, jitter=False))
def whisper(payload: Whisper, job: JobContext) -> str:
    """Keep a secret, or fail to."""
    while payload.until and not Path(payload.until).exists():
        job.check()
        time.sleep(0.01)
    if payload.fails:
        raise ValueError(f"was heard: {payload.secret_word}")
    return "was not heard"


class Steps(Payload):
    total: int = 10
    pause: float = 0.1
    until: str = ""  # a file: after the last step wait for it
    lines: int = 0  # of the log, for each step
    secret_word: Secret = ""


@processor(max_attempts=1)
def step_by_step(payload: Steps, job: JobContext) -> int:
    """Say how far it is, and write log lines."""
    for number in range(1, payload.total + 1):
        job.progress(number, payload.total, f"step {number}")
        for line in range(payload.lines):
            job.log.info("step %d, line %d %s", number, line, payload.secret_word)
        time.sleep(payload.pause)
    while payload.until and not Path(payload.until).exists():
        job.check()
        time.sleep(0.01)
    job.log.warning("done")
    return payload.total
