"""`manage.py flower`: Flower with this deployment's options, on an inner address, behind the site's log-in."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs import checks


class Command(BaseCommand):
    help = "Runs Flower as config/flowerconfig.py describes it."
    requires_system_checks = ()  # `configuration_problems` says the same in one line each

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("flower", nargs="*", help="after --: options for `celery flower`, which win over the file")

    def handle(self, *, flower: list[str], **options: Any) -> None:
        if problems := checks.configuration_problems():
            raise CommandError("\n".join(problems))
        os.environ["JOBYARD_ROLE"] = "flower"
        # Flower becomes this process, and gets its signals. Its options are in a file: a command line is public.
        config = settings.BASE_DIR / "config" / "flowerconfig.py"
        command = [sys.executable, "-m", "celery", "-A", "config", "flower", f"--conf={config}", *flower]
        os.execv(sys.executable, command)  # noqa: S606
