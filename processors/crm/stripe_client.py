"""Stripe by its own SDK: one call, one answer in our words, or an error that says what a job should do about it.

What becomes of a payment and when a charge may be repeated is `payments`' business. The SDK's retries are off: the job
queue owns them.
"""

import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.conf import settings

from jobs.errors import Discard, RateLimited, Retry
from jobs.processor import Upstream

if TYPE_CHECKING:  # slow to import: each function that needs the SDK does it
    import stripe

log = logging.getLogger(__name__)

INTERVAL: Final = 0.04  # seconds between two requests: Stripe takes 25 a second in test mode, 100 with a live key
TIMEOUT: Final = (5.0, 40.0)  # seconds to connect, and to answer
LOCKED_OUT: Final = 300.0  # seconds that all calls wait after Stripe has refused our key
PAGE: Final = 100  # customers or payments in one answer: the most
TOLERANCE: Final = 300  # seconds that an event's signature is good for

T = TypeVar("T")


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


class Declined(Discard):
    """The card was declined."""

    def __init__(self, refusal: Refusal, intent: Intent | None) -> None:
        codes = ", ".join(filter(None, dict.fromkeys((refusal.code, refusal.decline_code))))
        advice = f"; the issuer advises: {refusal.advice_code}" if refusal.advice_code else ""
        super().__init__(f"{refusal.message} ({codes}{advice})" if codes else refusal.message + advice)
        self.refusal = refusal
        self.intent = intent


class KeySpent(Retry):
    """The answer that Stripe keeps for this idempotency key is of no use."""


class LockedOut(Discard):
    """Stripe refuses our key (STRIPE_API_KEY)."""


class Client:
    """The calls we use."""

    def __init__(self, url: str, key: str, *, timeout: tuple[float, float] = TIMEOUT) -> None:
        import stripe

        self._upstream = Upstream("stripe", interval=INTERVAL)
        self._http = stripe.RequestsClient(timeout=timeout)
        self._api = stripe.StripeClient(
            key or "unset", base_addresses={"api": url}, max_network_retries=0, http_client=self._http
        ).v1
        self._has_key = bool(key)

    def charge(
        self, key: str, amount: int, currency: str, customer: str, payment_method: str, metadata: dict[str, str]
    ) -> Intent:
        """Charge a customer who is not there. The same `key` never charges twice.

        Raises Declined, and KeySpent when the key has to be another one.
        """
        answer = self._call(
            lambda: self._api.payment_intents.create(
                {
                    "amount": amount,
                    "currency": currency,
                    "customer": customer,
                    "payment_method": payment_method,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "confirm": True,
                    "off_session": True,
                    "metadata": metadata,
                },
                {"idempotency_key": key},
            )
        )
        return intent_of(answer.to_dict())

    def intent(self, intent_id: str) -> Intent:
        """What it is like now."""
        return intent_of(self._call(lambda: self._api.payment_intents.retrieve(intent_id)).to_dict())

    def cancel(self, intent_id: str) -> Intent:
        """Give up waiting for the customer."""
        return intent_of(self._call(lambda: self._api.payment_intents.cancel(intent_id)).to_dict())

    def find_intent(self, customer: str, since: int, **metadata: str) -> Intent | None:
        """The customer's intent with this metadata, made since then (a Unix time)."""
        for page in self._pages(self._api.payment_intents.list, customer=customer, created={"gte": since}):
            for intent in map(intent_of, page):
                if metadata.items() <= intent.metadata.items():
                    return intent
        return None

    def accounts(self, since: int | None) -> Iterator[list[Account]]:
        """All customers, or those made since then (a Unix time), page by page."""
        query = {} if since is None else {"created": {"gte": since}}
        for page in self._pages(self._api.customers.list, **query):
            yield [account_of(found) for found in page]

    def account(self, stripe_id: str) -> Account | None:
        """One customer; None when this Stripe account never had it."""
        import stripe

        try:
            return account_of(self._call(lambda: self._api.customers.retrieve(stripe_id)).to_dict())
        except Discard as refused:
            cause = refused.__cause__
            if isinstance(cause, stripe.InvalidRequestError) and cause.http_status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def close(self) -> None:
        self._http.close()  # type: ignore[no-untyped-call]

    def _pages(self, call: Callable[[Any], Any], **query: Any) -> Iterator[list[dict[str, Any]]]:
        more = True
        while more:
            page = self._call(functools.partial(call, {"limit": PAGE, **query}))
            yield [found.to_dict() for found in page.data]
            more = page.has_more
            query["starting_after"] = page.data[-1].id if more else ""

    def _call(self, call: Callable[[], T]) -> T:
        import stripe

        if not self._has_key:
            raise LockedOut("There is no key for Stripe (STRIPE_API_KEY).")
        self._upstream.acquire()
        try:
            answer = call()
        except stripe.StripeError as error:
            meant = verdict(error)
            if isinstance(meant, LockedOut):
                log.error("%s", meant)
                self._upstream.slow_down(LOCKED_OUT)
            elif isinstance(meant, Retry) and not isinstance(meant, KeySpent):
                self._upstream.failed()
            else:
                self._upstream.succeeded()
            raise meant from error
        self._upstream.succeeded()
        return answer


def verdict(error: "stripe.StripeError") -> Discard | Retry:
    """What an error of the SDK means for the job."""
    import stripe

    headers = {name.lower(): value for name, value in dict(error.headers or {}).items()}
    told = f"{error.http_status or 'no answer'}: {' '.join(str(error.user_message or error).split())[:500]}"
    if isinstance(error, stripe.CardError):
        said: Mapping[str, Any] = dict(error.json_body or {}).get("error", {})  # type: ignore[call-overload]
        body = said.get("payment_intent")
        return Declined(_refusal(said), intent_of(body) if body else None)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return LockedOut(f"Stripe refuses our key (STRIPE_API_KEY): {told}")
    if isinstance(error, stripe.RateLimitError):
        return RateLimited(told)
    if isinstance(error, stripe.IdempotencyError) and error.http_status == HTTPStatus.BAD_REQUEST:
        return KeySpent(told)
    if isinstance(error, stripe.APIError) and headers.get("idempotent-replayed") == "true":
        return KeySpent(told)  # the first answer to a key is kept, a failure too
    again = headers.get("stripe-should-retry")
    if again == "true" or (again is None and not isinstance(error, stripe.InvalidRequestError)):
        return Retry(told)
    return Discard(told)


def intent_of(body: Mapping[str, Any]) -> Intent:
    """Out of Stripe's JSON, of an answer or of an event."""
    action = body.get("next_action") or {}
    refused = body.get("last_payment_error")
    return Intent(
        id=body["id"],
        status=body["status"],
        metadata=body.get("metadata") or {},
        refusal=_refusal(refused) if refused else None,
        action_url=(action.get("redirect_to_url") or {}).get("url") or "",
    )


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


def is_signed(body: bytes, signature: str) -> bool:
    """Whether Stripe sent this event, and lately (STRIPE_WEBHOOK_SECRET)."""
    import stripe

    try:
        stripe.WebhookSignature.verify_header(body, signature, settings.STRIPE_WEBHOOK_SECRET, TOLERANCE)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True


@functools.cache
def client() -> Client:
    """The client of this process, built when it is first needed: connections do not survive a fork."""
    return Client(settings.STRIPE_URL, settings.STRIPE_API_KEY)


os.register_at_fork(after_in_child=client.cache_clear)
