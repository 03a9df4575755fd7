"""The whole platform on this machine, for `manage.py dev`: servers, settings, processes.

Everything that it keeps is under `.jobyard/` in the checkout, so that two checkouts do not meet.
"""

import fcntl
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import honcho.manager
from django.conf import settings
from honcho.compat import ProcessManager

from jobs.management import embedded, sandbox
from jobs.management.commands.worker import CODE

HOME = Path(os.environ.get("JOBYARD_HOME") or settings.BASE_DIR / ".jobyard")
CREDENTIALS = HOME / "credentials"
HOST = "127.0.0.1"
USUAL_PORTS = {"PORT": 8000, "FLOWER_PORT": 5555, "SANDBOX_PORT": 8010, "SANDBOX_SMTP_PORT": 8025}
STOPPING = 15  # seconds that a process may need beyond the grace of its jobs


class CannotStart(Exception):
    """Something is in the way."""


@contextmanager
def servers() -> Iterator[None]:
    """PostgreSQL and Valkey, unless their addresses are given; this process's environment then names them."""
    with ExitStack() as running:
        _lock(running)
        embedded.stop_leftovers(HOME)
        if not os.environ.get("DATABASE_URL"):
            postgres = embedded.Postgres(HOME)
            running.callback(postgres.stop)
            postgres.configure(max_connections="200")
            embedded.export(postgres, None)
        if not (os.environ.get("REDIS_URL") or os.environ.get("REDIS_HOST")):
            valkey = embedded.Valkey(HOME)
            running.callback(valkey.stop)
            embedded.export(None, valkey)
        yield


def _lock(running: ExitStack) -> None:
    """One platform for each checkout."""
    HOME.mkdir(parents=True, exist_ok=True)
    lock = running.enter_context((HOME / "lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart("It runs already in this checkout.") from None


def choose_ports() -> None:
    """Put ports into the environment: as given there, or the usual ones, or free ones where those are taken."""
    for name, usual in USUAL_PORTS.items():
        given = os.environ.get(name)
        if given and not (given.isdecimal() and 0 < int(given) < 65536):
            raise CannotStart(f"{name}: {given!r} is not a port.")
        if given and not _reserve(int(given)):
            raise CannotStart(f"{name}: port {given} is in use.")
        port = int(given) if given else usual if _reserve(usual) else embedded.free_port()
        os.environ[name] = str(port)


_reserved: list[IO[str]] = []  # held, so that two checkouts that start at once do not choose the same port


def _reserve(port: int) -> bool:
    """Claim a port that is free, until this process ends."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            lock = (Path(tempfile.gettempdir()) / f"jobyard-port-{port}").open("w")
        except OSError:
            return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _reserved.append(lock)
    return True


def credentials() -> dict[str, str]:
    """What only this checkout knows: made at the first start, readable by its owner alone."""
    kept = read_credentials()
    made = {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CRON_SECRET": secrets.token_urlsafe(24),
        "FIELD_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "DEMO_LOGIN": "demo",
        "DEMO_PASSWORD": secrets.token_urlsafe(12),
    }
    return write_credentials(made | kept)


def read_credentials() -> dict[str, str]:
    """What is kept so far."""
    lines = CREDENTIALS.read_text().splitlines() if CREDENTIALS.exists() else []
    return dict(line.split("=", 1) for line in lines)


def write_credentials(values: dict[str, str]) -> dict[str, str]:
    CREDENTIALS.touch(mode=0o600)
    CREDENTIALS.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return values


def configure(*, debug: bool) -> None:
    """Complete this process's environment, which all others inherit; what is given there stays."""
    defaults = credentials() | {
        "DEBUG": "true" if debug else "false",
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        "JOBS_SHUTDOWN_GRACE": "10",
        "SANDBOX_WITHOUT_DEBUG": "true",
        "SITE_URL": f"http://{HOST}:{os.environ['PORT']}",
        **sandbox.environment(f"http://{HOST}:{os.environ['SANDBOX_PORT']}"),
    }
    for name, value in defaults.items():
        os.environ[name] = os.environ.get(name) or value
    os.environ["PYTHONUNBUFFERED"] = "1"  # their output comes through pipes


def manage(*arguments: str) -> None:
    """Run a command of manage.py with this environment."""
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=settings.BASE_DIR, check=True)


def prepare() -> None:
    """Bring the database and the static files up to date."""
    manage("migrate", "--verbosity", "0")
    manage("sync_schedules", "--verbosity", "0")
    manage("demo_data")
    if os.environ["DEBUG"] == "false" and _static_files_are_old():
        manage("collectstatic", "--no-input", "--verbosity", "0")


def _static_files_are_old() -> bool:
    manifest = settings.STATIC_ROOT / "staticfiles.json"
    sources = [Path(sys.prefix) / "installed", *settings.BASE_DIR.glob("[!.]*/**/static/**/*")]
    return not manifest.exists() or any(
        source.stat().st_mtime > manifest.stat().st_mtime for source in sources if source.exists()
    )


def processes(*, reload: bool) -> dict[str, tuple[list[str], str]]:
    """What runs, by name: the command, and the role that its settings are for."""
    python, port = sys.executable, os.environ["PORT"]
    web = [python, "-m", "uvicorn", "config.asgi:application", "--host", HOST, "--port", port]
    web += ["--lifespan", "off", "--timeout-graceful-shutdown", "5"]
    if reload:
        web += ["--reload", *(f"--reload-dir={folder}" for folder in CODE)]
    commands = {
        "web": (web, "web"),
        "beat": ([python, "-m", "celery", "-A", "config", "--quiet", "beat"], "beat"),
        "flower": ([python, "manage.py", "flower"], "flower"),
        "sandbox": ([python, "manage.py", "sandbox"], ""),
    }
    for kind in settings.JOBS_WORKERS:
        worker = [python, "manage.py", "worker", kind, *(["--reload"] if reload else [])]
        commands[f"worker-{kind}"] = worker, f"worker-{kind}"
    return commands


def _patience() -> int:
    return int(float(os.environ["JOBS_SHUTDOWN_GRACE"])) + STOPPING


class OneByOne(ProcessManager):
    """Asks a process to end, not its group: a worker's children would die under their jobs."""

    def terminate(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def run(commands: dict[str, tuple[list[str], str]]) -> int:
    """Run these until a signal comes or one of them ends, then end them all. 0 after a signal."""
    honcho.manager.KILL_WAIT = _patience()
    manager = honcho.manager.Manager()
    manager._procmgr = OneByOne()
    for name, (command, role) in commands.items():
        env = os.environ | {"JOBYARD_ROLE": role}
        manager.add_process(name, f"exec {shlex.join(command)}", env=env, cwd=str(settings.BASE_DIR))
    manager.loop()
    return 0 if manager.returncode in (130, 143) else int(manager.returncode)
