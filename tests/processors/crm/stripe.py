"""The simulated Stripe as a test sees it."""

from typing import Any

import httpx2


class StripeControl:
    """What it is told to do, and what it received."""

    def __init__(self, sandbox: str) -> None:
        self.url = f"{sandbox}/stripe"
        self.http = httpx2.Client(timeout=30)

    def control(self, **wanted: Any) -> httpx2.Response:
        return self.http.post(f"{self.url}/_control", json=wanted)

    def fail(self, fault: str, count: int = 1, after: int = 0) -> None:
        self.control(fault=fault, count=count, after=after).raise_for_status()

    def settle(self, intent_id: str, status: str) -> None:
        """Bring an intent to its end, with the event that tells of it."""
        self.control(settle={intent_id: status}).raise_for_status()

    def customers(self, *rows: dict[str, Any]) -> None:
        self.control(customers=rows).raise_for_status()

    def received(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"{self.url}/_received").json()
        return answer

    def asked(self, method: str) -> list[dict[str, Any]]:
        return [request for request in self.received()["requests"] if request["method"] == method]

    def charges(self) -> int:
        """How many payments have succeeded."""
        counts: dict[str, int] = self.received()["charges"]
        return sum(counts.values())
