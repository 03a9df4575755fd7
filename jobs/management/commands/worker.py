"""`manage.py worker io|cpu`: a Celery worker as `JOBS_WORKERS` and `JOBS_QUEUES` describe it."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs import checks


class Command(BaseCommand):
    help = "Runs a worker of one kind: its pool, its concurrency and its queues are one table in the settings."
    requires_system_checks = ()  # `worker_problems` says the same in one line each

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=sorted(settings.JOBS_WORKERS))
        parser.add_argument("celery", nargs="*", help="after --: options for `celery worker`, which win over the table")

    def handle(self, *, kind: str, celery: list[str], **options: Any) -> None:
        command = celery_command(kind) + celery
        queues = [name for name, queue in settings.JOBS_QUEUES.items() if queue["worker"] == kind]
        if problems := checks.worker_problems(queues, autoscale=any(word.startswith("--autoscale") for word in celery)):
            raise CommandError("\n".join(problems))
        os.environ["JOBYARD_ROLE"] = f"worker-{kind}"
        os.execv(sys.executable, command)  # noqa: S606  (the worker is this process, and gets its signals)


def celery_command(kind: str) -> list[str]:
    """The command line of a worker."""
    worker = settings.JOBS_WORKERS[kind]
    queues = [name for name, queue in settings.JOBS_QUEUES.items() if queue["worker"] == kind]
    return [
        *(sys.executable, "-m", "celery", "-A", "config", "worker"),
        *("--pool", worker["pool"], "--concurrency", str(worker["concurrency"]), "--queues", ",".join(queues)),
        *("--hostname", f"{kind}-{os.getpid()}@%h"),  # two of a kind on one host are two nodes
        *("--without-mingle", "--without-gossip"),
    ]
