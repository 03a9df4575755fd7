"""The Celery application of this deployment."""

import logging
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from celery.signals import setup_logging

from jobs.celery import JobsCelery

logging.captureWarnings(True)  # they are lines of the log like any other

app = JobsCelery("jobyard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_logging(**kwargs: Any) -> None:
    """`settings.LOGGING` is in force: a receiver here keeps Celery from adding its own."""
