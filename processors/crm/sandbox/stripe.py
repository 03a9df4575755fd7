"""Stripe's API with a memory: customers, PaymentIntents, idempotency as the real one keeps it, and signed events.

The payment method decides what a charge comes to, `fault` goes wrong for the next requests: see `stripe_answers`. An
event is kept for whoever asks (`/_received`), and sent when there is somewhere to send it to. This knows no HTTP:
`service` hands requests in, and loses the connection where an answer is `LOST`.
"""

import json
import secrets
import threading
import time
import urllib.request
from collections import deque
from typing import Any, Final
from urllib.parse import parse_qsl

import stripe

from .stripe_answers import ENDED, EVENTS, FAULTS, IN_APP, KEPT, METHODS, NOT_KEPT, TROUBLE, Answer, error, missing

KEY: Final = "sk_test_sandbox"
WEBHOOK_SECRET: Final = "whsec_sandbox"  # noqa: S105 (anybody may know it)
LOST: Final = 0  # in the place of a status: the connection ends without an answer
PAGE: Final = 10  # Stripe's own, where no limit is asked for
PACE: Final = 25  # requests a second that Stripe takes in test mode


class Stripe:
    """The state, and the requests on it. Called from one thread at a time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """An account without a past."""
        self.customers: dict[str, dict[str, Any]] = {}
        self.intents: dict[str, dict[str, Any]] = {}
        self.kept: dict[str, tuple[str, Answer]] = {}  # idempotency key → what was asked, and the first answer
        self.in_use: set[str] = set()
        self.events: list[dict[str, Any]] = []
        self.requests: deque[dict[str, Any]] = deque(maxlen=10_000)
        self.fault: str | None = None
        self.count = self.after = 0
        self.latency = 0.0
        self.webhook = ""  # where events go
        self.allowed, self.asked_at = float(PACE), time.monotonic()  # requests that may come at once

    def begin(self, method: str, path: str, query: str, headers: dict[str, str]) -> Answer | None:
        """What is answered at once: a wrong key, a kept answer, a key in use. None: go on with `end`."""
        key = headers.get("idempotency-key", "")
        self.requests.append({"method": method, "path": path, "query": query, "key": key})
        if headers.get("authorization") != f"Bearer {KEY}":
            return error(401, message="Invalid API Key provided.")
        if not self._is_slow_enough():
            return FAULTS["429"]
        if method != "POST" or not key:
            return None
        if key in self.in_use:
            status, body, _ = FAULTS["409"] or TROUBLE
            return status, body, {"stripe-should-retry": "true"}
        if key not in self.kept:
            self.in_use.add(key)
            return None
        asked, (status, body, more) = self.kept[key]
        if asked != f"{path} {query}":
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
            )
            return error(400, type="idempotency_error", message=message)
        return status, body, more | {"idempotent-replayed": "true"}

    def end(self, method: str, path: str, query: str, headers: dict[str, str]) -> Answer:
        """Do it, or go wrong. Only what had begun is kept for its key."""
        key = headers.get("idempotency-key", "")
        name = self._next_fault()
        refused = FAULTS[name] if name else None
        answer = refused or ((LOST, {}, {}) if name == "reset" else self._do(method, path, dict(parse_qsl(query))))
        if name == "500-after":
            answer = TROUBLE
        if method == "POST" and key:
            self.in_use.discard(key)
            if name in KEPT or not (refused or name == "reset" or answer[0] in NOT_KEPT):
                self.kept[key] = (f"{path} {query}", answer)
        return (LOST, {}, {}) if name == "reset-after" else answer

    def _is_slow_enough(self) -> bool:
        now = time.monotonic()
        self.allowed = min(PACE, self.allowed + (now - self.asked_at) * PACE)
        self.asked_at = now
        if self.allowed < 1:
            return False
        self.allowed -= 1
        return True

    def _next_fault(self) -> str | None:
        if not (self.fault and self.count):
            return None
        if self.after:
            self.after -= 1
            return None
        self.count -= 1
        return self.fault

    def _do(self, method: str, path: str, query: dict[str, str]) -> Answer:
        match method, path.removeprefix("/v1/").split("/"):
            case "POST", ["payment_intents"]:
                return self._charge(query)
            case "GET", ["payment_intents"]:
                return _listed(self.intents, path, query, customer=query.get("customer"))
            case _, ["payment_intents", found, *_] if found not in self.intents:
                return missing("payment_intent", found, "intent")
            case "GET", ["payment_intents", found]:
                return 200, self.intents[found], {}
            case "POST", ["payment_intents", found, "cancel"]:
                return self._cancel(self.intents[found])
            case "GET", ["customers"]:
                present = {key: row for key, row in self.customers.items() if not row.get("deleted")}
                return _listed(present, path, query)
            case "GET", ["customers", found] if found in self.customers:
                return 200, self.customers[found], {}
            case "GET", ["customers", found]:
                return missing("customer", found, "id")
            case _:
                return error(404, message=f"Unrecognized request URL ({method}: {path}).")

    def _charge(self, query: dict[str, str]) -> Answer:
        for param in ("amount", "currency"):
            if not query.get(param):
                return error(400, code="parameter_missing", param=param, message=f"Missing required param: {param}.")
        if not (query["amount"].isdecimal() and int(query["amount"])):
            return error(400, code="parameter_invalid_integer", param="amount", message="Invalid positive integer")
        customer, method = query.get("customer"), query.get("payment_method", "")
        if customer and (customer not in self.customers or self.customers[customer].get("deleted")):
            return missing("customer", customer, "customer", status=400)
        if method not in METHODS:
            return missing("PaymentMethod", method, "payment_method", status=400)
        intent = {
            "id": f"pi_{secrets.token_hex(12)}",
            "object": "payment_intent",
            "amount": int(query["amount"]),
            "amount_received": 0,
            "canceled_at": None,
            "capture_method": "automatic_async",
            "created": int(time.time()),
            "currency": query["currency"].lower(),
            "customer": customer,
            "last_payment_error": None,
            "livemode": False,
            "metadata": {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[")},
            "next_action": None,
            "payment_method": method,
            "status": "requires_confirmation",
        }
        self.intents[str(intent["id"])] = intent
        self._tell("payment_intent.created", intent)
        status, refusal = METHODS[method]
        intent = self.settle(str(intent["id"]), status, refusal)
        if refusal:
            return 402, {"error": refusal | {"payment_intent": intent}}, {"stripe-should-retry": "false"}
        return 200, intent, {}

    def _cancel(self, intent: dict[str, Any]) -> Answer:
        status = str(intent["status"])
        if status in ENDED or status == "processing":
            message = f"You cannot cancel this PaymentIntent because it has a status of {status}."
            refused = error(400, code="payment_intent_unexpected_state", message=message)
            return refused[0], {"error": refused[1]["error"] | {"payment_intent": intent}}, refused[2]
        return 200, self.settle(str(intent["id"]), "canceled"), {}

    def settle(self, intent_id: str, status: str, refusal: dict[str, str] | None = None) -> dict[str, Any]:
        """Bring an intent to this status, with its event. The intent as it then is. Raises ValueError when it ended."""
        before = self.intents[intent_id]
        if before["status"] in ENDED:
            raise ValueError(f"{intent_id} is {before['status']} for good")
        url = f"https://bank.example/confirm/{intent_id}"
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": None}}
        if before["payment_method"] == "pm_sandbox_confirm_in_app":
            action = IN_APP
        if status == "requires_payment_method" and not refusal:
            refusal = METHODS["pm_card_chargeDeclined"][1]
        if status == "canceled":
            refusal = before["last_payment_error"]
        now = before | {
            "status": status,
            "amount_received": before["amount"] if status == "succeeded" else 0,
            "next_action": action if status == "requires_action" else None,
            "last_payment_error": refusal or None,
            "canceled_at": int(time.time()) if status == "canceled" else None,
        }
        self.intents[intent_id] = now
        self._tell(EVENTS[status], now)
        return now

    def control(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Faults, latency, where events go; customers to have, intents to end. The state as it then is.

        Raises KeyError, TypeError or ValueError when that is not possible.
        """
        fault = wanted.get("fault")
        if fault is not None and fault not in FAULTS:
            raise ValueError(f"no fault {fault!r}, but {', '.join(FAULTS)}")
        self.fault, self.count, self.after = fault, int(wanted.get("count", 1)), int(wanted.get("after", 0))
        self.latency = max(0.0, float(wanted.get("latency_ms", self.latency * 1000)) / 1000)
        self.webhook = str(wanted.get("webhook", self.webhook))
        self.add_customers(wanted.get("customers", []))
        for intent_id, status in wanted.get("settle", {}).items():
            self.settle(intent_id, status)
        return {"fault": self.fault, "count": self.count, "after": self.after, "latency_ms": self.latency * 1000}

    def received(self) -> dict[str, Any]:
        """What came in, what was charged, and the events of it."""
        return {
            "requests": list(self.requests),
            "charges": self.charges(),
            "intents": list(self.intents.values()),
            "events": self.events,
        }

    def add_customers(self, rows: list[dict[str, Any]]) -> None:
        """Customers by id, in place of those that were there."""
        for row in rows:
            usual = {"object": "customer", "created": int(time.time()), "metadata": {}, "livemode": False}
            self.customers[row["id"]] = usual | row

    def charges(self) -> dict[str, int]:
        """How often each customer has paid."""
        paid = [str(intent["customer"]) for intent in self.intents.values() if intent["status"] == "succeeded"]
        return {customer: paid.count(customer) for customer in paid}

    def _tell(self, kind: str, about: dict[str, Any]) -> None:
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "api_version": stripe.api_version,
            "created": int(time.time()),
            "data": {"object": about},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        body = json.dumps(event)
        signature = stripe.WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET)
        self.events.append({"body": body, "signature": signature})
        if self.webhook:
            threading.Thread(target=_deliver, args=(self.webhook, body, signature), daemon=True).start()


def _deliver(url: str, body: str, signature: str) -> None:
    """As Stripe does, but without hurry to try again for days: three times."""
    headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
    for pause in (0.5, 5.0, 30.0):
        time.sleep(pause)
        try:
            request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310 (our own setting)
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
            return
        except OSError:
            continue


def _listed(rows: dict[str, dict[str, Any]], path: str, query: dict[str, str], customer: str | None = None) -> Answer:
    """The newest first, a page of them."""
    newest = [row for row in reversed(rows.values()) if customer is None or row.get("customer") == customer]
    since, after, limit = query.get("created[gte]"), query.get("starting_after"), int(query.get("limit", PAGE))
    found = [row for row in newest if since is None or row["created"] >= int(since)]
    if not 1 <= limit <= 100:
        return error(400, param="limit", message="This value must be between 1 and 100.")
    if after is not None:
        ids = [row["id"] for row in found]
        if after not in ids:
            return error(400, code="resource_missing", param="starting_after", message=f"No such object: {after!r}")
        found = found[ids.index(after) + 1 :]
    body = {"object": "list", "url": path, "data": found[:limit], "has_more": len(found) > limit}
    return 200, body, {}
