"""The product's settings, with a no-op job type, and task events as the measurement asks."""

import os

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks"]
CELERY_WORKER_SEND_TASK_EVENTS = os.environ.get("BENCH_EVENTS") == "1"
