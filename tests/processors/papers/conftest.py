from collections.abc import Iterator

import pytest

from tests.processors.papers.sandbox import ProvidersControl


@pytest.fixture
def sandbox(sandbox_address: str) -> Iterator[ProvidersControl]:
    """Without faults and without a past."""
    control = ProvidersControl(sandbox_address)
    control.forget()
    yield control
    control.http.close()
