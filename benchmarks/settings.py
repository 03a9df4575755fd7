"""The product's settings, with the job types that are measured, and events and queues as the measurement asks."""

import os

from kombu import Queue

from config.settings import *  # noqa: F403
from config.settings import CELERY_TASK_QUEUES, INSTALLED_APPS, JOBS_QUEUES

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks"]
CELERY_WORKER_SEND_TASK_EVENTS = os.environ.get("BENCH_EVENTS") == "1"
_more = [f"q{number}" for number in range(int(os.environ.get("BENCH_QUEUES", "0")))]
JOBS_QUEUES = {**JOBS_QUEUES, **{name: {"worker": "io"} for name in _more}}
CELERY_TASK_QUEUES = [*CELERY_TASK_QUEUES, *(Queue(name, routing_key=name) for name in _more)]
