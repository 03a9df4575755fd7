"""Fixtures: the test database shared with worker processes, workers, and servers that a test may strike down."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from jobs import broker
from jobs.apps import make_queues
from jobs.management import embedded
from jobs.models import (
    Alert,
    BatchItem,
    Chord,
    ErrorGroup,
    ErrorRollup,
    Event,
    Failure,
    Job,
    Leader,
    Limit,
    LogLine,
    Queue,
    RolledUp,
    Rollup,
    Worker,
)
from tests.integration.jobtypes import tasks  # noqa: F401  (this process enqueues them)
from tests.integration.jobtypes.journal import Journal
from tests.integration.servers import Server, simulated_upstreams
from tests.integration.workers import Start
from tests.services import FOLDER


def _empty() -> None:
    """Delete what a test leaves."""
    for model in (Job, Failure, Event, Chord, BatchItem, Limit, LogLine, Leader, Queue, Worker, Alert):
        model.objects.all().delete()
    for numbers in (Rollup, ErrorRollup, RolledUp, ErrorGroup):
        numbers.objects.all().delete()
    make_queues(using="default")


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """In place of pytest-django's, whose rows no other process sees: these are committed, and deleted afterwards."""
    with django_db_blocker.unblock():
        yield
        _empty()
        connection.close()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """What the bodies of this test's jobs did."""
    return Journal(tmp_path / "journal")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that jobs wait for."""
    return tmp_path / "gate"


@pytest.fixture(scope="module")
def upstreams(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None
) -> Iterator[tuple[Server, dict[str, Any]]]:
    """The simulated upstreams of all rooms in a process of their own, and the environment of workers that call them."""
    server, environment = simulated_upstreams(tmp_path_factory.mktemp("upstreams") / "sandbox.log")
    yield server.wait_until_up(), environment
    server.kill()


@pytest.fixture
def start(db: None, tmp_path: Path) -> Iterator[Start]:
    """Starts workers."""
    start = Start(tmp_path)
    yield start
    start.end()


@pytest.fixture(scope="module", params=["threads", "prefork", "solo"])
def shared_worker(
    request: pytest.FixtureRequest,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Start]:
    """One worker of each pool for all tests of a file, which leave it as it is."""
    start = Start(tmp_path_factory.mktemp("shared"))
    with django_db_blocker.unblock():
        start(request.param)
        connection.close()
    yield start
    start.end()


class Servers:
    """A PostgreSQL and a Valkey that a test may kill and restart. Nothing is given up for speed here."""

    def __init__(self, folder: Path) -> None:
        self.postgres = embedded.Postgres(folder)
        self.valkey = embedded.Valkey(folder)

    def run_again(self) -> None:
        """Whatever a test did to them."""
        self.postgres.start()
        if self.valkey.process.poll() is not None:
            self.valkey.start()


@pytest.fixture(scope="session")
def own_servers() -> Iterator[Servers]:
    servers = Servers(Path(os.environ[FOLDER]) / f"own-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    yield servers
    servers.valkey.kill()
    servers.postgres.stop()


@pytest.fixture
def servers(own_servers: Servers, db: None, settings: Settings) -> Iterator[Servers]:
    """Servers of this test alone, which this process then uses, and the workers that it starts."""
    own_servers.run_again()
    usual = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(
        HOST=str(own_servers.postgres.server.get_postmaster_info().socket_dir), NAME="postgres", USER="postgres"
    )
    settings.REDIS_URL = own_servers.valkey.url
    broker.client.cache_clear()
    call_command("migrate", verbosity=0)
    yield own_servers
    own_servers.run_again()
    connection.close()
    _empty()
    connection.close()
    connection.settings_dict.update(usual)
    broker.client.cache_clear()


@pytest.fixture
def start_on_servers(servers: Servers, tmp_path: Path) -> Iterator[Start]:
    """Starts workers on this test's own servers."""
    start = Start(tmp_path)
    yield start
    start.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the workers wrote."""
    report = yield
    if report.when == "call" and report.failed:
        for fixture in getattr(item, "funcargs", {}).values():
            if isinstance(fixture, Start):
                report.sections.append(("workers", fixture.logs()))
    return report
