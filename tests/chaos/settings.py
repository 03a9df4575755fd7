"""The deployment's settings, with the job types of the chaos run and a queue that runs two jobs at once."""

from kombu import Queue

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as DEPLOYED
from config.settings import JOBS_QUEUES as DEPLOYED_QUEUES

INSTALLED_APPS = [*DEPLOYED, "tests.chaos"]
NARROW = 2  # jobs of the queue `narrow` at once, over all workers
JOBS_QUEUES = {**DEPLOYED_QUEUES, "narrow": {"worker": "io", "max_running": NARROW}}
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in JOBS_QUEUES]
