"""`manage.py dev`: everything on this machine, until Ctrl-C."""

import signal
import subprocess
import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.management import development
from jobs.management.demo import LOADED


class Command(BaseCommand):
    help = "Starts the servers it needs, migrates, and runs web, workers, beat, Flower and the sandbox."
    requires_system_checks = ()  # the settings that count are those of the processes it starts

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="with demo jobs, and without restarts on change")
        parser.add_argument("--once", action="store_true", help="with demo jobs; stop when they have ended, say how")

    def handle(self, *, demo: bool, once: bool, **options: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, stop)
        try:
            code = run_until_stopped(demo=demo or once, once=once)
        except development.CannotStart as reason:
            raise CommandError(str(reason)) from None
        except subprocess.CalledProcessError as error:
            raise CommandError(f"{' '.join(error.cmd[1:])} failed.") from None
        except KeyboardInterrupt:
            code = 0
        sys.exit(code)


def run_until_stopped(*, demo: bool, once: bool) -> int:
    """The exit code: with `once` whether every demo job ended as it should, else that of what ended first."""
    LOADED.unlink(missing_ok=True)
    with development.servers():
        development.choose_ports()
        development.configure(debug=not demo)
        development.prepare()
        part = ["load", *(["--once"] if once else [])] if demo else ["welcome"]
        commands = development.processes(reload=not demo)
        commands["demo"] = [sys.executable, "manage.py", "demo", *part], ""
        code = development.run(commands)
        if once:
            development.manage("demo", "report")
            return 0
        return code


def stop(number: int, frame: object) -> NoReturn:
    """Leave as after Ctrl-C."""
    raise KeyboardInterrupt
