"""The door for a scheduler outside. What each cron does is its room's business."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from jobs import crons

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> list[int]:
    """One entry for each call of the only cron there is."""
    made: list[int] = []

    def tick() -> dict[str, int]:
        made.append(1)
        return {"queued": len(made)}

    monkeypatch.setattr(crons, "declared", lambda: {"tick": tick})
    settings.CRON_SECRET = "a secret"
    return made


def call(client: Client, name: str = "tick", **headers: str) -> Any:
    return client.post(f"/api/cron/{name}", headers={"authorization": "Bearer a secret", **headers})


def test_it_does_what_is_due_and_says_how_much(client: Client, calls: list[int]) -> None:
    answer = call(client)
    assert (answer.status_code, answer.json(), calls) == (200, {"success": True, "queued": 1}, [1])


def test_a_name_that_nobody_declared(client: Client) -> None:
    answer = call(client, "tock")
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no cron 'tock'.")


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer ", "Basic YTpi", "a secret", ""])
def test_without_the_secret_nothing_is_done(client: Client, calls: list[int], given: str) -> None:
    answer = call(client, authorization=given)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert (answer["WWW-Authenticate"], calls) == ("Bearer", [])


def test_a_staff_session_is_no_secret(admin_client: Client, calls: list[int]) -> None:
    assert admin_client.post("/api/cron/tick").status_code == 401
    assert calls == []


def test_the_same_call_twice_is_done_once(client: Client, calls: list[int]) -> None:
    answers = [call(client, **{"Idempotency-Key": "today"}).json() for _ in range(2)]
    assert (answers, calls) == ([{"success": True, "queued": 1}] * 2, [1])
