"""`manage.py sandbox`: the simulated upstreams, on loopback only, for development and tests."""

import os
from argparse import ArgumentParser
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.management import sandbox

HOST = "127.0.0.1"


class Command(BaseCommand):
    help = "Serve the simulated upstreams of all rooms."
    requires_system_checks = ()  # it needs neither the database nor the rest

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=os.environ.get("SANDBOX_PORT", "8010"))

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        if not settings.DEBUG and os.environ.get("SANDBOX_WITHOUT_DEBUG") != "true":
            raise CommandError(
                "The sandbox is not for production: it runs with DEBUG, or with SANDBOX_WITHOUT_DEBUG=true."
            )
        for name, value in sandbox.environment(f"http://{HOST}:{port}").items():
            self.stdout.write(f"{name}={value}")
        sandbox.start()
        uvicorn.run(sandbox.Sandboxes(), host=HOST, port=port, lifespan="off", access_log=False, log_level="warning")
