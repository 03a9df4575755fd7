"""`manage.py worker io|cpu`: a Celery worker as `JOBS_WORKERS` and `JOBS_QUEUES` describe it."""

import os
import re
import socket
import sys
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models.functions import Now

from jobs import checks
from jobs.management import reloading
from jobs.models import Worker

CODE = ("config", "jobs", "processors")


class Command(BaseCommand):
    help = "Runs a worker of one kind: its pool, its concurrency and its queues are one table in the settings."
    requires_system_checks = ()  # `worker_problems` says the same in one line each

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=sorted(settings.JOBS_WORKERS))
        parser.add_argument("--check", action="store_true", help="start none; exit 0 if one is alive on this host")
        parser.add_argument("--reload", action="store_true", help="start it anew whenever code changes")
        parser.add_argument("celery", nargs="*", help="after --: options for `celery worker`, which win over the table")

    def handle(self, *, kind: str, check: bool, reload: bool, celery: list[str], **options: Any) -> None:
        queues = [name for name, queue in settings.JOBS_QUEUES.items() if queue["worker"] == kind]
        if problems := checks.worker_problems(queues, autoscale=any(word.startswith("--autoscale") for word in celery)):
            raise CommandError("\n".join(problems))
        if check:
            if not is_alive(kind):
                raise CommandError(f"No worker {kind} on this host has shown a sign of life for a lease.")
            return
        os.environ["JOBYARD_ROLE"] = f"worker-{kind}"
        command = [*celery_command(kind, queues), *celery]
        if reload:
            reloading.run(command, [settings.BASE_DIR / folder for folder in CODE])
        else:  # the worker becomes this process, and gets its signals
            os.execv(sys.executable, command)  # noqa: S606


def node_name(kind: str, process: int | str, host: str) -> str:
    """Two workers of a kind on one host are two nodes."""
    return f"{kind}-{process}@{host}"


def celery_command(kind: str, queues: list[str]) -> list[str]:
    """The command line of a worker."""
    worker = settings.JOBS_WORKERS[kind]
    return [
        *(sys.executable, "-m", "celery", "-A", "config", "--quiet", "worker"),  # no banner
        *("--pool", worker["pool"], "--concurrency", str(worker["concurrency"]), "--queues", ",".join(queues)),
        *("--hostname", node_name(kind, os.getpid(), "%h"), "--without-mingle", "--without-gossip"),
    ]


def is_alive(kind: str) -> bool:
    """Whether a worker of this kind on this host has beaten within a lease."""
    beating = Worker.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=settings.JOBS_LEASE))
    node = node_name(kind, "[0-9]+", re.escape(socket.gethostname()))
    return beating.filter(name__regex=f"^{node}:").exists()
