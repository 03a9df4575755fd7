from typing import Any

import pytest
from django.test import Client

from jobs import keys
from jobs.models import ApiKey
from tests.jobs import stand_ins as stand_ins  # registers the job types

ALL_SCOPES = ApiKey.Scope.values


class Api:
    """A client with a key. Answers are compared by `(status, body)`."""

    def __init__(self, key: str = "") -> None:
        self.client = Client(headers={"Authorization": f"Bearer {key}"} if key else {})

    def get(self, path: str) -> tuple[int, Any]:
        return _read(self.client.get(path))

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        return _read(self.client.post(path, body, content_type="application/json"))

    def patch(self, path: str, body: Any) -> tuple[int, Any]:
        return _read(self.client.patch(path, body, content_type="application/json"))

    def delete(self, path: str) -> tuple[int, Any]:
        return _read(self.client.delete(path))


def _read(response: Any) -> tuple[int, Any]:
    if response.status_code >= 400 and "healthy" not in response.json():
        assert response["Content-Type"] == "application/problem+json"
    return response.status_code, response.json() if response.content else None


@pytest.fixture
def api(db: None, uncollected: None) -> Api:
    return Api(keys.create("test", ALL_SCOPES))


@pytest.fixture
def anonymous(db: None, uncollected: None) -> Api:
    return Api()
