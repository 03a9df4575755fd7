"""The peer: Celery as it comes, on Redis, with no result kept and nothing stored."""

import os

from celery import Celery

app = Celery("stock", broker=os.environ["REDIS_URL"], set_as_current=False)  # ours stays the current one
app.conf.update(task_ignore_result=True, task_default_queue="stock", broker_connection_retry_on_startup=True)


@app.task(name="stock.noop")
def noop() -> None:
    """Nothing."""
