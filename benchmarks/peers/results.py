"""Celery with django-celery-results: the django-db backend as it comes, one row for each result."""

import os

import django
import redis
from celery import Celery
from django.core.management import call_command
from django.db import connection

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
        if TaskResult._meta.db_table in connection.introspection.table_names():
            TaskResult.objects.all().delete()
        else:
            call_command("migrate", verbosity=0)

    def enqueue(self, sent: int, wait_ms: int) -> None:
        task.delay(sent, wait_ms)


peer = Results()
