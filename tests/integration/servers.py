"""Processes of the platform that answer requests: the site, Flower, the sandbox. Gone at a test's end."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import httpx2
import psycopg
from django.db import connection

from jobs.management import sandbox
from jobs.management.embedded import free_port
from tests.integration.workers import ROOT, environment, wait_for

_SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND application_name = %s"


class Server:
    """A process, up when the address `ready` answers."""

    def __init__(self, log: Path, command: list[str], port: int, ready: str, *, role: str = "", **changes: str) -> None:
        self.role = role
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        with log.open("wb") as output:
            command = [sys.executable, *command]
            env = environment(JOBYARD_ROLE=role, **changes)
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)
        self.ready = f"{self.url}{ready}"

    def wait_until_up(self) -> Self:
        wait_for(self._is_up, self.ready)
        return self

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx2.get(self.ready).is_success
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def remove(self) -> None:
        """And wait for the end of its sessions: the test database could not be dropped under them."""
        self.kill()
        its_own = [connection.settings_dict["NAME"], f"jobyard {self.role}"]
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as session:
            wait_for(lambda: not session.execute(_SESSIONS, its_own).fetchone(), f"the end of {self.url}")


def flower(log: Path, port: int, site_port: int) -> Server:
    ports = {"FLOWER_PORT": str(port), "PORT": str(site_port)}
    return Server(log, ["manage.py", "flower"], port, "/flower/healthcheck", role="flower", **ports)


def site(log: Path, port: int, flower_port: int, **changes: str) -> Server:
    """With DEBUG, which needs no collected static files."""
    command = ["-m", "uvicorn", "config.asgi:application", "--port", str(port), "--lifespan", "off"]
    return Server(log, command, port, "/readyz", role="web", FLOWER_PORT=str(flower_port), DEBUG="true", **changes)


def simulated_upstreams(log: Path) -> tuple[Server, dict[str, Any]]:
    """And the environment of a worker that is to call them."""
    port, mail_port = free_port(), str(free_port())
    command = ["manage.py", "sandbox", "--port", str(port)]
    server = Server(log, command, port, "/", SANDBOX_WITHOUT_DEBUG="true", SANDBOX_SMTP_PORT=mail_port)
    return server, sandbox.environment(server.url) | {"EMAIL_URL": f"smtp://127.0.0.1:{mail_port}"}
