"""`manage.py demo`: the part of `manage.py dev` that talks to people."""

import os
import signal
import time
import urllib.error
import urllib.request
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.management import demo, development


class Command(BaseCommand):
    help = "Shows where everything is; loads demo jobs and tells how they end."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("part", choices=("welcome", "load", "report"))
        parser.add_argument("--once", action="store_true", help="leave when the jobs have ended")

    def handle(self, *, part: str, once: bool, **options: Any) -> None:
        if part == "report":
            self.report()
            return
        self.welcome()
        if part == "load":
            self.load()
        if once:
            return  # whoever started this asks for the report when all is quiet
        if part == "load":
            self.stdout.write(demo.table(demo.report()))
        signal.pause()  # a process that ends would end the others

    def welcome(self) -> None:
        """When the site answers, say where it is."""
        site = f"http://{development.HOST}:{os.environ['PORT']}"
        wait_for(f"{site}/readyz")
        kept = development.read_credentials()
        lines = (
            ("Site", f"{site}/"),
            ("Admin", f"{site}/admin/"),
            ("API", f"{site}/api/docs"),
            ("Flower", f"{site}/flower/"),
            ("Sandbox", f"http://{development.HOST}:{os.environ['SANDBOX_PORT']}/"),
            ("Login", f"{kept['DEMO_LOGIN']} / {kept['DEMO_PASSWORD']}"),
            ("API key", kept["DEMO_API_KEY"]),
        )
        self.stdout.write("\n".join(["", *(f"  {name:8} {what}" for name, what in lines), ""]))

    def load(self) -> None:
        self.stdout.write(f"{demo.load()} demo jobs")
        for done, of in demo.follow():
            self.stdout.write(f"{done} of {of} demo jobs have ended")

    def report(self) -> None:
        lines = demo.report()
        self.stdout.write(demo.table(lines))
        if not lines or any(line.otherwise for line in lines):
            raise CommandError("Not every demo job ended as it should.")


def wait_for(address: str, seconds: float = 60) -> None:
    """Until it answers with a success."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310  (our own http address)
            return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise CommandError(f"{address} does not answer: {error}") from None
            time.sleep(0.2)
