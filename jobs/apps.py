from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, post_save, pre_migrate
from django.utils.module_loading import autodiscover_modules


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        from jobs import checks, observing, roles, schedules, search, sessions, shown  # noqa: F401  (checks register themselves)

        search.hide(shown.is_hidden)
        post_migrate.connect(make_queues, sender=self)
        pre_migrate.connect(roles.note_newest, sender=self)
        post_migrate.connect(roles.grant_new)  # after `auth`'s own receiver: it is installed before us
        post_save.connect(schedules.date_change, sender="django_celery_beat.PeriodicTask")
        connection_created.connect(sessions.keep_few_texts)
        observing.listen()
        autodiscover_modules("tasks")  # job types are known everywhere; Celery itself loads them in workers only


def make_queues(using: str, **kwargs: Any) -> None:
    """A row for each queue of the settings; one that exists is the operators' and stays as it is."""
    from jobs.models import Queue

    Queue.objects.using(using).bulk_create(
        [Queue(name=name, max_running=queue.get("max_running")) for name, queue in settings.JOBS_QUEUES.items()],
        ignore_conflicts=True,
    )
