from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import Settings

from jobs.sessions import side_session
from processors.papers.sandbox import environment
from tests.processors.papers.sandbox import ProvidersControl


@pytest.fixture
def sandbox(sandbox_address: str) -> Iterator[ProvidersControl]:
    """Without faults and without a past."""
    control = ProvidersControl(sandbox_address)
    control.forget()
    yield control
    control.http.close()


@pytest.fixture
def papers(sandbox: ProvidersControl, settings: Settings) -> Iterator[ProvidersControl]:
    """The providers of our settings are the sandbox's."""
    told = environment(sandbox.url)
    settings.AI_PROVIDERS = {
        name: {**provider, "url": told[f"{name.upper()}_BASE_URL"], "key": told[f"{name.upper()}_API_KEY"]}
        for name, provider in settings.AI_PROVIDERS.items()
    }
    yield sandbox
    with side_session():
        connection.close()  # what is kept beside the test's transaction; nobody may hold the database at the end
