"""`manage.py sandbox`: all simulated upstreams behind one address, and not in production."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from jobs.management import sandbox
from jobs.management.embedded import free_port

MANAGE = [sys.executable, str(Path(__file__).parents[3] / "manage.py"), "sandbox"]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "SANDBOX_WITHOUT_DEBUG": "", **changes}


def test_the_rooms_are_found_and_say_where_their_clients_go() -> None:
    assert "bgg" in sandbox.rooms()
    assert sandbox.environment("http://127.0.0.1:8010")["BGG_URL"] == "http://127.0.0.1:8010/bgg/xmlapi2/"


@pytest.mark.parametrize("allowed", [{"DEBUG": "true"}, {"DEBUG": "false", "SANDBOX_WITHOUT_DEBUG": "true"}])
def test_it_serves_on_the_port_it_is_given_until_it_is_told_to_stop(allowed: dict[str, str]) -> None:
    port = free_port()
    env = environment(SANDBOX_PORT=str(port), SANDBOX_SMTP_PORT=str(free_port()), **allowed)
    with subprocess.Popen(MANAGE, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == f"BGG_URL=http://127.0.0.1:{port}/bgg/xmlapi2/\n"
        deadline, answer = time.monotonic() + 60, None
        while answer is None and time.monotonic() < deadline:
            try:
                answer = httpx2.get(f"http://127.0.0.1:{port}/")
            except httpx2.ConnectError:
                time.sleep(0.05)
        process.terminate()
    assert answer is not None
    assert "bgg" in answer.json()["sandboxes"]


def test_it_refuses_to_run_in_production() -> None:
    refused = subprocess.run(
        MANAGE, env=environment(DEBUG="false"), capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode != 0
    assert "The sandbox is not for production" in refused.stderr
