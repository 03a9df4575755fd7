import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from jobs.management import embedded


def test_postgres_keeps_its_data_and_settings_over_a_restart(tmp_path: Path) -> None:
    server = embedded.Postgres(tmp_path)
    try:
        server.configure(max_connections="33")
        with psycopg.connect(server.url, autocommit=True) as session:
            session.execute("CREATE TABLE kept (x int)")
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url, connect_timeout=2)
        server.start()
        with psycopg.connect(server.url) as session:
            assert session.execute("SELECT count(*) FROM kept").fetchone() == (0,)
            assert session.execute("SHOW max_connections").fetchone() == ("33",)
    finally:
        server.stop()


@pytest.mark.parametrize(("durable", "kept"), [(False, None), (True, b"1")])
def test_valkey_comes_back_at_its_address(tmp_path: Path, durable: bool, kept: bytes | None) -> None:
    server = embedded.Valkey(tmp_path, durable=durable)
    try:
        with redis.Redis.from_url(server.url, retry=None) as client:
            client.set("x", 1)
            server.kill()
            with pytest.raises(redis.ConnectionError):
                client.ping()
            server.start()
            assert client.get("x") == kept
    finally:
        server.stop()


def test_valkey_wants_its_password_which_only_its_owner_can_read(tmp_path: Path) -> None:
    server = embedded.Valkey(tmp_path)
    try:
        with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert stat.S_IMODE((tmp_path / "valkey/valkey.conf").stat().st_mode) == 0o600
    finally:
        server.stop()


KILLED = """
import os, sys
from pathlib import Path
from jobs.management import embedded
postgres, valkey = embedded.Postgres(Path(sys.argv[1])), embedded.Valkey(Path(sys.argv[1]))
print(postgres.server.get_pid(), valkey.process.pid, flush=True)
os._exit(9)
"""


def test_servers_that_outlived_their_owner_are_stopped(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path], capture_output=True, text=True, cwd=os.getcwd())
    servers = [psutil.Process(int(pid)) for pid in done.stdout.split()]
    assert len(servers) == 2, done.stderr
    embedded.stop_leftovers(tmp_path)
    assert not any(server.is_running() and server.status() != psutil.STATUS_ZOMBIE for server in servers)
