"""Celery on Redis as its guide says for jobs that must not be lost: late acknowledgement, redelivery, one at a time.

Knows nothing of Django: its workers import no more than this.
"""

import os
import time
from typing import Any
from uuid import UUID

from celery import Celery

from tests.integration.jobtypes import journal

# Seconds until what no worker acknowledged is delivered again, more than the longest countdown. As it comes it is
# looked for every 100 s and, when the one that looks is killed, for 5 minutes not at all: longer than the run waits.
REDELIVERY = {"visibility_timeout": 30, "unacked_restore_throttle": 1, "unacked_mutex_expire": 30}
MAX_RETRIES = 2

app = Celery("stock", broker=os.environ["REDIS_URL"], set_as_current=False)  # ours stays the current one
app.conf.update(
    task_ignore_result=True,
    task_default_queue="stock",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options=REDELIVERY,
)


@app.task(bind=True, name="chaos.work", max_retries=MAX_RETRIES)
def work(self: Any, path: str, seconds: float, fails: int, hopeless: bool) -> None:
    """Take some time, then do what was asked."""
    job, run = UUID(self.request.id), self.request.retries + 1
    journal.write(path, job, run, "start")
    time.sleep(seconds)
    if hopeless:
        journal.write(path, job, run, "fail")
        raise ValueError("asked to fail")
    if run <= fails:
        raise self.retry(countdown=0.2)
    journal.write(path, job, run, "end")
