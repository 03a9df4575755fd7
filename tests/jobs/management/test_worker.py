"""`manage.py worker` and `smoke` as an operator meets them: real processes, one line when they do not start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def refusal(*arguments: str, **environment: str) -> str:
    done = manage(*arguments, **environment)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


COMMANDS = [("worker", "io"), ("worker", "cpu"), ("smoke",)]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unmigrated_database(command: tuple[str, ...]) -> None:
    # The database `postgres` of the test run: tests have their own beside it.
    assert "migrations: run manage.py migrate." in refusal(*command)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unreachable_database(command: tuple[str, ...]) -> None:
    said = refusal(*command, DATABASE_URL="postgres://localhost:1/jobs")
    assert said.startswith("CommandError: The database of DATABASE_URL cannot be used: ")


def test_a_wrong_setting() -> None:
    assert refusal("worker", "io", WORKER_CONCURRENCY="0").startswith("Wrong setting WORKER_CONCURRENCY: ")


def test_celery_itself_is_no_way_around() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "solo"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": "postgres://localhost:1/jobs"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("The database of DATABASE_URL cannot be used: ")
    assert "Traceback" not in done.stderr


def test_the_autoscaler_is_refused() -> None:
    assert "Celery's autoscaler is not supported" in manage("worker", "cpu", "--", "--autoscale=4,1").stderr
