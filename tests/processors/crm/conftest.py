from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from django.db import connection
from pytest_django import Settings

from jobs.management.embedded import free_port
from jobs.sessions import side_session
from processors.crm.mailer import DJANGOS
from processors.crm.sandbox import application, environment
from processors.crm.sandbox.smtp import HOST, serve
from processors.crm.stripe_client import client
from tests.processors.crm.stripe import StripeControl


@pytest.fixture(scope="session")
def smtp_port() -> Iterator[int]:
    """Where the sandbox's mail server listens."""
    port = free_port()
    controller = serve(application.post_office, port)
    yield port
    controller.stop()


class SandboxControl:
    """The sandbox as a test sees it: what it is told to do, and what it received."""

    def __init__(self, address: str) -> None:
        self.url = f"{address}/crm"
        self.http = httpx2.Client(timeout=30)

    def control(self, **wanted: Any) -> httpx2.Response:
        return self.http.post(f"{self.url}/_control", json=wanted)

    def fail(self, fault: str, count: int = 1, after: int = 0) -> None:
        self.control(fault=fault, count=count, after=after).raise_for_status()

    def answer(self, address: str, answer: str) -> None:
        self.control(answers={address: answer}).raise_for_status()

    def received(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"{self.url}/_received").json()
        return answer

    def mails(self) -> list[dict[str, Any]]:
        """In the order they came; headers by name, small."""
        mails: list[dict[str, Any]] = self.received()["mails"]
        return [{**mail, "headers": {name.lower(): value for name, value in mail["headers"]}} for mail in mails]

    def mail(self) -> dict[str, Any]:
        """The only one."""
        (mail,) = self.mails()
        return mail


@pytest.fixture
def sandbox(sandbox_address: str) -> Iterator[SandboxControl]:
    """Without faults and without a past."""
    control = SandboxControl(sandbox_address)
    control.http.delete(f"{control.url}/_received").raise_for_status()
    yield control
    control.http.close()


@pytest.fixture
def crm(sandbox: SandboxControl, smtp_port: int, settings: Settings) -> Iterator[SandboxControl]:
    """Our clients' services are the sandbox."""
    settings.EMAIL_BACKEND = DJANGOS  # pytest-django keeps mails to itself
    settings.EMAIL_HOST, settings.EMAIL_PORT = HOST, smtp_port
    settings.DEFAULT_FROM_EMAIL = "Clean & Co <mail@crm.example>"
    settings.SITE_URL = "https://crm.example"
    settings.CRM_WEBHOOKS = {"team": f"{sandbox.url}/webhook"}
    yield sandbox
    with side_session():
        connection.close()  # limits are kept beside the test's transaction; nobody may hold the database at the end


@pytest.fixture
def stripe(sandbox: SandboxControl, settings: Settings) -> Iterator[StripeControl]:
    """An account without a past, which our client uses; it has the customer of `rows.invoice`."""
    control = StripeControl(sandbox.url)
    control.http.delete(f"{control.url}/_received").raise_for_status()
    control.customers({"id": "cus_1", "name": "Grace Moss"})
    for name, value in environment(sandbox.url).items():
        if name.startswith("STRIPE_"):
            setattr(settings, name, value)
    client.cache_clear()
    yield control
    client().close()
    client.cache_clear()
    control.http.close()
    with side_session():
        connection.close()
