"""The Django admin of the platform. It reads rows and calls `lifecycle`; each module registers its pages."""

from django.contrib import admin
from django_celery_results.models import GroupResult, TaskResult

from jobs.admin import accounts, alerting, beat, job, keys, queue, records

__all__ = ["accounts", "alerting", "beat", "job", "keys", "queue", "records"]

# Every task is a job and has its result in its row: these pages would always be empty.
admin.site.unregister([TaskResult, GroupResult])
