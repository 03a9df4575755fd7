"""The simulated Stripe as a test sees it."""

import json
import secrets
from typing import Any

import httpx2
import stripe as sdk
from django.test import Client

from processors.crm.sandbox.stripe import WEBHOOK_SECRET

PATH = "/crm/webhook/stripe"


def send(body: str, signature: str | None = None) -> int:
    """Bring an event as Stripe does, without cookies; signed, if no other signature is given."""
    strict = Client(enforce_csrf_checks=True)
    if signature is None:
        signature = sdk.WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET)
    headers = {"Stripe-Signature": signature}
    return strict.post(PATH, body, content_type="application/json", headers=headers).status_code


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

    def event(self, intent_id: str, at: int = 0, **changes: Any) -> str:
        """One of its own making about an intent, as it is there but for these changes; some seconds after the first."""
        first = json.loads(self.received()["events"][0]["body"])
        about = next(intent for intent in self.received()["intents"] if intent["id"] == intent_id) | changes
        made = {"id": f"evt_{secrets.token_hex(8)}", "created": first["created"] + at, "data": {"object": about}}
        return json.dumps(first | made)

    def asked(self, method: str) -> list[dict[str, Any]]:
        return [request for request in self.received()["requests"] if request["method"] == method]

    def charges(self) -> int:
        """How many payments have succeeded."""
        counts: dict[str, int] = self.received()["charges"]
        return sum(counts.values())
