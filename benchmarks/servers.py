"""The servers of a run: PostgreSQL and Valkey of its own as they come, and a Valkey that syncs every write."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from jobs.management import embedded


class Servers(NamedTuple):
    """What is running, and a folder for files of this run."""

    folder: Path
    database: str
    valkey: str

    def database_of(self, peer: str) -> str:
        """A URL of a database of its own, made when it is not there yet."""
        with psycopg.connect(self.database, autocommit=True) as session:
            if not session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [peer]).fetchone():
                session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(peer)))
        return urlunsplit(urlsplit(self.database)._replace(path=f"/{peer}"))


@contextmanager
def servers() -> Iterator[Servers]:
    """PostgreSQL and Valkey, as durable as they come; this process and its children find them in the environment."""
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        postgres, valkey = embedded.Postgres(folder), embedded.Valkey(folder)
        embedded.export(postgres, valkey)
        os.environ.update(
            DJANGO_SETTINGS_MODULE="benchmarks.settings",
            DEBUG="0",
            SECRET_KEY=secrets.token_urlsafe(48),
            ALLOWED_HOSTS="localhost",
            LOG_LEVEL="WARNING",
        )
        try:
            yield Servers(folder, postgres.url, valkey.url)
        finally:
            valkey.stop()
            postgres.stop()


@contextmanager
def synced_valkey(folder: Path) -> Iterator[str]:
    """The URL of a Valkey that has written a change to its disk before it answers."""
    valkey = embedded.Valkey(folder / "synced", durable=True)
    try:
        yield valkey.url
    finally:
        valkey.stop()
