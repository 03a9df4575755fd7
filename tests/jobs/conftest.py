from pathlib import Path

import pytest
from pytest_django.fixtures import Settings


@pytest.fixture
def uncollected(settings: Settings, tmp_path: Path) -> None:
    """Static files as in development: from where they lie, nothing collected."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
