"""Job types that know secrets and cannot keep them to themselves."""

import logging
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from jobs.processor import Backoff, Discard, JobContext, Payload, Secret, batch_process, processor

log = logging.getLogger("confessions")


class Account(BaseModel):
    user: str
    password: Secret


class Confession(Payload):
    token: Secret
    account: Account
    more: list[Secret] = []
    ends: str = "well"  # or: failing, retrying, discarded, in a batch
    gate: str = ""  # a file: wait for it


@processor(max_attempts=2, backoff=Backoff(base=0.05, max=0.1))
def confess(payload: Confession, job: JobContext) -> str:
    """Tell everything, in every way, and end as is wanted."""
    while payload.gate and not Path(payload.gate).exists():
        time.sleep(0.01)
    log.warning("token %s, account %r, all %s", payload.token, payload.account, payload.model_dump())
    log.warning("in fields", extra={"found": payload.model_dump(), "password": payload.account.password})
    print("token", payload.token, file=sys.stderr)  # noqa: T201 (that is what bodies do)
    job.log.error("token %s and %s", payload.token, payload.more)
    job.progress(1, 2, f"using {payload.token}")
    _end(payload, job)
    return "well"


def _end(payload: Confession, job: JobContext) -> None:
    match payload.ends:
        case "failing" | "retrying" if payload.ends == "failing" or job.attempt == 1:
            try:
                raise KeyError(payload.account.password)
            except KeyError as error:
                log.exception("no such token: %s", payload.token)
                raise ValueError(f"cannot use {payload.token!r} of {payload.model_dump_json()}") from error
        case "discarded":
            raise Discard(f"{payload.token} is no token")
        case "in a batch":
            batch_process(payload.more, _refuse, job=job, key=lambda word: str(len(word)))


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is refused")
