"""Stripe by its own SDK: one call, one answer in our words, or an error that says what a job should do about it.

The words are `stripe_words`'. What becomes of a payment and when a charge may be repeated is `payments`' business. The
SDK's retries are off: the job queue owns them. It takes a fifth of a second to import, so that only its users do.
"""

import functools
import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

from django.conf import settings

from jobs.errors import Retry
from jobs.processor import Upstream

from .stripe_words import Account, Intent, KeySpent, LockedOut, Refusal, Refused, account_of, intent_of, verdict

log = logging.getLogger(__name__)

INTERVAL: Final = 0.04  # seconds between two requests: Stripe takes 25 a second in test mode, 100 with a live key
TIMEOUT: Final = (5.0, 40.0)  # seconds to connect, and to answer
LOCKED_OUT: Final = 300.0  # seconds that all calls wait after Stripe has refused our key
PAGE: Final = 100  # customers or payments in one answer: the most
TOLERANCE: Final = 300  # seconds that an event's signature is good for
TOO_LATE: Final = "payment_intent_unexpected_state"  # to cancel it: it has been paid, or cancelled, or is under way

T = TypeVar("T")


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

        Raises Refused, and KeySpent when the key has to be another one.
        """
        return self._intent(
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

    def intent(self, intent_id: str) -> Intent:
        """What it is like now."""
        return self._intent(lambda: self._api.payment_intents.retrieve(intent_id))

    def cancel(self, intent_id: str) -> Intent:
        """Let nobody pay it any more: as it then is, and where it is too late for that, as it has become."""
        try:
            return self._intent(lambda: self._api.payment_intents.cancel(intent_id))
        except Refused as refused:
            if refused.code != TOO_LATE:
                raise
        return self.intent(intent_id)

    def find_intents(self, customer: str, since: int, **metadata: str) -> list[Intent]:
        """The customer's intents with this metadata, made since then (a Unix time), the oldest first."""
        found = []
        for at, page in self._pages(self._api.payment_intents.list, customer=customer, created={"gte": since}):
            intents = (intent_of(body, at) for body in page)
            found += [intent for intent in intents if metadata.items() <= intent.metadata.items()]
        return found[::-1]

    def accounts(self, since: int | None) -> Iterator[list[Account]]:
        """All customers, or those made since then (a Unix time), page by page."""
        query = {} if since is None else {"created": {"gte": since}}
        for _, page in self._pages(self._api.customers.list, **query):
            yield [account_of(found) for found in page]

    def account(self, stripe_id: str) -> Account | None:
        """One customer; None when this Stripe account never had it."""
        try:
            answer, _ = self._call(lambda: self._api.customers.retrieve(stripe_id))
        except Refused as refused:
            if refused.status != HTTPStatus.NOT_FOUND:
                raise
            return None
        return account_of(answer.to_dict())

    def close(self) -> None:
        self._http.close()  # type: ignore[no-untyped-call]

    def _intent(self, call: Callable[[], Any]) -> Intent:
        answer, asked = self._call(call)
        return intent_of(answer.to_dict(), asked)

    def _pages(self, call: Callable[[Any], Any], **query: Any) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
        """Each page, and when it was asked for."""
        more = True
        while more:
            page, asked = self._call(functools.partial(call, {"limit": PAGE, **query}))
            yield asked, [found.to_dict() for found in page.data]
            more = page.has_more
            query["starting_after"] = page.data[-1].id if more else ""

    def _call(self, call: Callable[[], T]) -> tuple[T, datetime]:
        """The answer, and when it was asked for, to the second as events have their time."""
        import stripe

        if not self._has_key:
            raise LockedOut(Refusal(message="There is no key for Stripe (STRIPE_API_KEY)."))
        self._upstream.acquire()
        asked = datetime.now(UTC).replace(microsecond=0)
        try:
            answer = call()
        except stripe.StripeError as error:
            meant = verdict(error, asked)
            if isinstance(meant, LockedOut):
                log.error("%s", meant)
                self._upstream.slow_down(LOCKED_OUT)
            elif isinstance(meant, Retry) and not isinstance(meant, KeySpent):
                self._upstream.failed()
            else:
                self._upstream.succeeded()
            raise meant from error
        self._upstream.succeeded()
        return answer, asked


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
