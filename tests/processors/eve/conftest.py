from collections.abc import Iterator
from datetime import time

import pytest
from django.db import connection
from pytest_django import Settings

from jobs.sessions import side_session
from processors.eve.esi import client as esi_client
from processors.eve.esi.client import client
from processors.eve.sandbox import environment
from processors.eve.sso import sso
from tests.processors.eve.sandbox import EveSandbox


@pytest.fixture
def sandbox(sandbox_address: str) -> Iterator[EveSandbox]:
    """Without faults and without a past."""
    control = EveSandbox(sandbox_address)
    control.reset()
    yield control
    control.http.close()


@pytest.fixture
def eve(sandbox: EveSandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[EveSandbox]:
    """Our clients' upstream is the sandbox, at no time of the day down. The test says how it uses the database."""
    monkeypatch.setattr(esi_client, "DOWNTIME", (time.min, time.min))
    for name, value in environment(sandbox.url).items():
        setattr(settings, name, value)
    client.cache_clear()
    sso.cache_clear()
    yield sandbox
    client().close()
    client.cache_clear()
    sso.cache_clear()
    with side_session():
        connection.close()  # limits are kept beside the test's transaction; nobody may hold the database at the end
