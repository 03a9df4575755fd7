"""`manage.py smoke`: one job through a running deployment; the exit code tells."""

import secrets
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs import checks
from jobs.models import TERMINAL, Job, Status
from jobs.processor import enqueue

EVERY = 0.05  # seconds between two looks at the row


class Command(BaseCommand):
    help = "Sends one job through the running workers and waits for its result. Exits 0 when it came back unchanged."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", default="default", help="whose workers to try")
        parser.add_argument("--timeout", type=float, default=30, help="seconds to wait")

    def handle(self, *, queue: str, timeout: float, **options: Any) -> None:
        if problems := checks.database_problems():
            raise CommandError("\n".join(problems))
        message = secrets.token_hex(8)
        started = time.monotonic()
        try:
            job_id = enqueue("smoke", {"message": message}, queue=queue, created_by="manage.py smoke").id
        except ValueError as error:
            raise CommandError(str(error)) from None
        while (job := Job.objects.get(pk=job_id)).status not in TERMINAL:
            if time.monotonic() - started > timeout:
                raise CommandError(f"Job {job_id} is still {job.status} after {timeout:g} s: is a worker running?")
            time.sleep(EVERY)
        if job.status != Status.COMPLETED or job.result != {"message": message}:
            raise CommandError(f"Job {job_id} ended {job.status} with the result {job.result!r}.")
        self.stdout.write(f"Job {job_id} completed in {time.monotonic() - started:.2f} s on {job.worker}.")
