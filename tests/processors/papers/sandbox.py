"""The simulated providers as a test sees them."""

from typing import Any

import httpx2


class ProvidersControl:
    """What they are told to do, and what they received."""

    def __init__(self, address: str) -> None:
        self.url = f"{address}/papers"
        self.http = httpx2.Client(timeout=30)

    def control(self, provider: str, **wanted: Any) -> httpx2.Response:
        return self.http.post(f"{self.url}/{provider}/_control", json=wanted)

    def fail(self, provider: str, *faults: str | None) -> None:
        """One a request, in this order; None is a good answer."""
        self.control(provider, faults=faults).raise_for_status()

    def always(self, provider: str, fault: str) -> None:
        self.control(provider, fault=fault, count=10_000).raise_for_status()

    def received(self, provider: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"{self.url}/{provider}/_received").json()
        return answer

    def requests(self, provider: str) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = self.received(provider)["requests"]
        return requests

    def forget(self) -> None:
        self.http.delete(f"{self.url}/_received").raise_for_status()
