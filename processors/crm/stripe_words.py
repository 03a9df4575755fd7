"""What Stripe says, in our words: payments, customers, and errors as what a job should do about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from jobs.errors import Discard, RateLimited, Retry

if TYPE_CHECKING:
    import stripe

ACTION_URLS: Final = ("url", "hosted_verification_url", "hosted_voucher_url", "hosted_instructions_url")


@dataclass(frozen=True)
class Refusal:
    """Why there is no money."""

    code: str = ""
    decline_code: str = ""
    advice_code: str = ""  # of the card's issuer: try_again_later, confirm_card_data or do_not_try_again
    message: str = ""


@dataclass(frozen=True)
class Intent:
    """A PaymentIntent, as far as we use it."""

    id: str
    status: str
    at: datetime  # when Stripe said so, to the second: as events have it
    amount: int
    currency: str
    customer: str
    metadata: Mapping[str, str]
    refusal: Refusal | None = None  # of the last try
    action_url: str = ""  # where the customer confirms


@dataclass(frozen=True)
class Account:
    """A customer at Stripe, as far as we use it."""

    id: str
    name: str
    email: str
    phone: str
    payment_method: str
    metadata: Mapping[str, str]
    deleted: bool = False


class Refused(Discard):
    """Stripe will not do this, and has not done it; an intent that was made all the same could still be paid."""

    def __init__(
        self, refusal: Refusal, status: int | None = None, code: str = "", intent: Intent | None = None
    ) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.status = status
        self.code = code
        self.intent = intent


class LockedOut(Refused):
    """Stripe refuses our key (STRIPE_API_KEY)."""


class KeySpent(Retry):
    """The answer that Stripe keeps for this idempotency key is of no use."""


def verdict(error: stripe.StripeError, asked: datetime) -> Discard | Retry:
    """What an error of the SDK means for the job. `asked`: when the call was made."""
    import stripe

    headers = {name.lower(): value for name, value in dict(error.headers or {}).items()}
    told = f"{error.http_status or 'no answer'}: {' '.join(str(error.user_message or error).split())[:500]}"
    said: Mapping[str, Any] = error.json_body.get("error", {}) if isinstance(error.json_body, dict) else {}
    if isinstance(error, stripe.CardError):
        return Refused(_refusal(said), error.http_status, str(said.get("code") or ""), _intent_in(said, asked))
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return LockedOut(Refusal(message=f"Stripe refuses our key (STRIPE_API_KEY): {told}"))
    if isinstance(error, stripe.RateLimitError):
        return RateLimited(told)
    if isinstance(error, stripe.IdempotencyError) and error.http_status == HTTPStatus.BAD_REQUEST:
        return KeySpent(told)
    if isinstance(error, stripe.APIError) and headers.get("idempotent-replayed") == "true":
        return KeySpent(told)  # the first answer to a key is kept, a failure too
    again = headers.get("stripe-should-retry")
    if again == "true" or (again is None and not isinstance(error, stripe.InvalidRequestError)):
        return Retry(told)
    # Of an error of Stripe's own nobody knows what it has done.
    if isinstance(error, stripe.InvalidRequestError):
        code = str(said.get("code") or "")
        return Refused(Refusal(message=told), error.http_status, code, _intent_in(said, asked))
    return Discard(told)


def intent_of(body: Mapping[str, Any], at: datetime) -> Intent:
    """Out of Stripe's JSON, of an answer or of an event."""
    refused = body.get("last_payment_error")
    return Intent(
        id=body["id"],
        status=body["status"],
        at=at,
        amount=body["amount"],
        currency=body["currency"],
        customer=body.get("customer") or "",
        metadata=body.get("metadata") or {},
        refusal=_refusal(refused) if refused else None,
        action_url=_action_url(body.get("next_action") or {}),
    )


def _action_url(action: Mapping[str, Any]) -> str:
    """The page where the customer goes on, if there is one: each kind of action has a name of its own for it."""
    details = action.get(action.get("type") or "")
    if not isinstance(details, Mapping):
        return ""
    return next((str(details[name]) for name in ACTION_URLS if details.get(name)), "")


def _intent_in(said: Mapping[str, Any], asked: datetime) -> Intent | None:
    return intent_of(said["payment_intent"], asked) if said.get("payment_intent") else None


def account_of(body: Mapping[str, Any]) -> Account:
    return Account(
        id=body["id"],
        name=body.get("name") or "",
        email=body.get("email") or "",
        phone=body.get("phone") or "",
        payment_method=(body.get("invoice_settings") or {}).get("default_payment_method") or "",
        metadata=body.get("metadata") or {},
        deleted=bool(body.get("deleted")),
    )


def _refusal(said: Mapping[str, Any]) -> Refusal:
    names = ("code", "decline_code", "advice_code", "message")
    return Refusal(**{name: str(said.get(name) or "") for name in names})
