"""Read tokens: for a while, whoever has one may look at one job. For the people whom a job is done for.

Signed and not stored: nothing ends a token but its time.
"""

import time
from uuid import UUID

from django.core import signing

SALT = "jobs.read"
TTL = 3600.0  # seconds


def read_token(job_id: UUID | str, ttl_seconds: float = TTL) -> str:
    """A token for this job, good for so many seconds. Safe to stand in an address."""
    return signing.dumps([str(job_id), int(time.time() + ttl_seconds)], salt=SALT)


def job_of(token: str) -> UUID | None:
    """The job that the token is for. None: it is forged or its time is over."""
    try:
        job_id, until = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    return UUID(job_id) if time.time() < until else None
