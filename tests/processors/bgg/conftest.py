from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from django.db import connection
from pytest_django import Settings

from jobs.sessions import side_session
from processors.bgg.client import client
from processors.bgg.sandbox import TOKEN, environment


class SandboxControl:
    """The sandbox as a test sees it: what it is told to do, and what it received."""

    def __init__(self, address: str) -> None:
        self.url = f"{address}/bgg"
        self.http = httpx2.Client(timeout=30)

    def get(self, path: str, token: str | None = TOKEN, **query: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return self.http.get(f"{self.url}/xmlapi2/{path}", params=query, headers=headers)

    def control(self, **wanted: Any) -> httpx2.Response:
        return self.http.post(f"{self.url}/_control", json=wanted)

    def fail(self, fault: str, count: int = 1, after: int = 0) -> None:
        self.control(fault=fault, count=count, after=after).raise_for_status()

    def received(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"{self.url}/_received").json()
        return answer

    def queries(self, path: str) -> list[str]:
        return [request["query"] for request in self.received()["requests"] if request["path"] == f"/xmlapi2/{path}"]

    def forget(self) -> None:
        self.http.delete(f"{self.url}/_received").raise_for_status()


@pytest.fixture
def sandbox(sandbox_address: str) -> Iterator[SandboxControl]:
    """Without faults and without a past."""
    control = SandboxControl(sandbox_address)
    control.control(fault=None, latency_ms=0).raise_for_status()
    control.forget()
    yield control
    control.http.close()


@pytest.fixture
def bgg(sandbox: SandboxControl, settings: Settings) -> Iterator[SandboxControl]:
    """Our client's upstream is the sandbox, and its cache is its own. The test says how it uses the database."""
    for name, value in environment(sandbox.url).items():
        setattr(settings, name, value)
    settings.CACHES = {"default": settings.CACHES["default"] | {"KEY_PREFIX": uuid4().hex}}
    client.cache_clear()
    yield sandbox
    client().close()
    client.cache_clear()
    with side_session():
        connection.close()  # limits are kept beside the test's transaction; nobody may hold the database at the end
