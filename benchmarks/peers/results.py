"""Celery with django-celery-results: the django-db backend as it comes, one row for each result."""

import os

import django
import redis
from celery import Celery
from django.core.management import call_command

from benchmarks.marks import mark
from benchmarks.peers.celery import Stock

django.setup()
app = Celery("results", broker=os.environ["REDIS_URL"], backend="django-db")
app.conf.update(broker_connection_retry_on_startup=True)
task = app.task(mark)


class Results(Stock):
    application = "benchmarks.peers.results"

    def reset(self) -> None:
        from django_celery_results.models import TaskResult

        redis.Redis.from_url(os.environ["REDIS_URL"]).flushdb()
        call_command("migrate", verbosity=0)
        TaskResult.objects.all().delete()

    def enqueue(self, sent: int, wait_ms: int) -> None:
        task.delay(sent, wait_ms)


peer = Results()
