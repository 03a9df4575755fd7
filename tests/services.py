"""A pytest plugin that gives a test run its own PostgreSQL and Valkey before Django reads its settings.

Loaded by `-p tests.services`. The xdist controller starts the servers, its workers inherit the
addresses; each worker has its own test database (pytest-django) and its own Redis database number.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from cryptography.fernet import Fernet

from jobs.management import embedded

FOLDER = "JOBYARD_TEST_FOLDER"
PREFIX = "jobyard-test-"  # then the process id of the owner

_own: list[embedded.Valkey | embedded.Postgres] = []


@pytest.hookimpl(tryfirst=True)  # before pytest-django reads the settings
def pytest_load_initial_conftests() -> None:
    if FOLDER not in os.environ:
        _remove_stale_folders()
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        os.environ[FOLDER] = str(folder)
        postgres, valkey = embedded.Postgres(folder), embedded.Valkey(folder)
        # Fast and forgetful. Durability tests, which restart Postgres, turn it back on.
        postgres.configure(fsync="off", synchronous_commit="off", full_page_writes="off", max_connections="300")
        embedded.export(postgres, valkey)
        # As in production, for the processes that tests start.
        os.environ.update(SECRET_KEY=secrets.token_urlsafe(50), ALLOWED_HOSTS="localhost,127.0.0.1", DEBUG="")
        os.environ["FIELD_KEYS"] = Fernet.generate_key().decode()
        _own.extend([valkey, postgres])
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    os.environ["REDIS_URL"] = os.environ["REDIS_URL"].rpartition("/")[0] + f"/{number}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What tests about lone surrogates log could not be sent to xdist's controller."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    for server in _own:
        server.stop()
    if _own:
        shutil.rmtree(os.environ[FOLDER], ignore_errors=True)


def _remove_stale_folders() -> None:
    """What runs that were killed have left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            embedded.stop_leftovers(folder)
            shutil.rmtree(folder, ignore_errors=True)
