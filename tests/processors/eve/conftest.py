from collections.abc import Iterator

import pytest
from pytest_django import Settings

from processors.eve.sandbox import environment
from tests.processors.eve.sandbox import EveSandbox


@pytest.fixture
def sandbox(sandbox_address: str) -> Iterator[EveSandbox]:
    """Without faults and without a past."""
    control = EveSandbox(sandbox_address)
    control.reset()
    yield control
    control.http.close()


@pytest.fixture
def eve(sandbox: EveSandbox, settings: Settings) -> EveSandbox:
    """Our clients' upstream is the sandbox."""
    for name, value in environment(sandbox.url).items():
        setattr(settings, name, value)
    return sandbox
