from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from jobs.sessions import side_session
from tests.jobs.receivers import inbox, webhook

__all__ = ["inbox", "webhook"]


@pytest.fixture
def uncollected(settings: Settings, tmp_path: Path) -> None:
    """Static files as in development: from where they lie, nothing collected."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def side() -> Iterator[None]:
    """The session beside the test's own: closed at the end, when nobody may hold the database."""
    yield
    with side_session():
        connection.close()
