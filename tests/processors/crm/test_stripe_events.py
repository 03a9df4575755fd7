"""Stripe's events: signed, each once, in any order."""

import json
from typing import Any

import pytest
import stripe as sdk
from django.test import Client
from pytest_django import Settings

from jobs import lifecycle
from jobs.models import Job
from jobs.processor import enqueue
from jobs.testing import perform
from processors.crm.models import Invoice, Payment, StripeEvent
from processors.crm.sandbox.stripe import WEBHOOK_SECRET
from tests.processors.crm.rows import invoice, result_of
from tests.processors.crm.stripe import PATH, StripeControl, send

pytestmark = pytest.mark.django_db


def deliver(event: dict[str, Any]) -> int:
    return send(event["body"], event["signature"])


def started(stripe: StripeControl, method: str = "pm_usBankAccount_success") -> str:
    """An invoice whose payment is not decided: the intent's id."""
    invoice(method=method)
    perform(enqueue("process_payment", {"invoiceId": "invoice-1"}))
    return str(Payment.objects.get().provider_id)


def status() -> tuple[str, str]:
    return Payment.objects.get().status, Invoice.objects.get().status


def test_an_event_ends_a_payment(stripe: StripeControl) -> None:
    intent = started(stripe)
    stripe.settle(intent, "succeeded")
    created, processing, succeeded = stripe.received()["events"]
    assert (deliver(created), status()) == (200, ("processing", "open"))
    assert (deliver(processing), status()) == (200, ("processing", "open"))
    assert (deliver(succeeded), status()) == (200, ("succeeded", "paid"))
    rows = StripeEvent.objects.order_by("type")
    assert [row.type.removeprefix("payment_intent.") for row in rows] == ["created", "processing", "succeeded"]
    assert {row.object_id for row in rows} == {intent}
    assert all(row.handled_at for row in rows)


def test_the_same_event_twice_is_stored_once(stripe: StripeControl) -> None:
    stripe.settle(started(stripe), "succeeded")
    event = stripe.received()["events"][-1]
    assert deliver(event) == 200
    paid_at = Invoice.objects.get().paid_at
    assert deliver(event) == 200
    assert (StripeEvent.objects.count(), Invoice.objects.get().paid_at) == (1, paid_at)


def test_events_that_come_late_take_nothing_back(stripe: StripeControl) -> None:
    intent = started(stripe, "pm_sandbox_confirm")
    for then in ("requires_payment_method", "processing", "succeeded"):
        stripe.settle(intent, then)
    for event in reversed(stripe.received()["events"]):
        assert (deliver(event), status()) == (200, ("succeeded", "paid"))
    assert StripeEvent.objects.count() == 5


@pytest.mark.parametrize(("then", "became"), [("requires_payment_method", "failed"), ("canceled", "canceled")])
def test_a_job_that_slept_ends_with_what_an_event_told(stripe: StripeControl, then: str, became: str) -> None:
    intent = started(stripe)
    stripe.settle(intent, then)
    assert deliver(stripe.received()["events"][-1]) == 200
    job = Job.objects.get(type="process_payment")
    assert job.status == "pending"  # the event has woken it
    assert (perform(job).status, Payment.objects.get().status) == ("failed", became)  # and no second charge
    lifecycle.retry([job.id], actor="ada")
    perform(job)
    assert Payment.objects.count() == 2  # by hand it is charged anew


def test_of_what_is_not_final_the_later_word_counts(stripe: StripeControl) -> None:
    intent = started(stripe)
    declined = {"code": "card_declined", "message": "No."}
    words: list[tuple[int, str, dict[str, Any] | None, str]] = [
        (100, "requires_action", None, "requires-action"),
        (90, "processing", None, "requires-action"),
        (110, "processing", None, "processing"),
        (110, "requires_action", None, "processing"),  # of the same second: it comes before
        (120, "requires_payment_method", declined, "failed"),
        (115, "processing", None, "failed"),
        (130, "processing", None, "processing"),  # the customer has tried again
        (140, "requires_confirmation", None, "processing"),
        (50, "succeeded", None, "succeeded"),
        (150, "requires_payment_method", declined, "succeeded"),
    ]
    for at, says, error, becomes in words:
        assert send(stripe.event(intent, at, status=says, last_payment_error=error)) == 200
        assert Payment.objects.get().status == becomes


def test_a_late_event_does_not_outdo_what_stripe_has_answered(stripe: StripeControl) -> None:
    intent = started(stripe)
    declined = {"code": "card_declined", "message": "No."}
    event = stripe.event(intent, -5, status="requires_payment_method", last_payment_error=declined)
    assert send(event) == 200
    assert status() == ("processing", "open")


def test_a_payment_that_failed_says_why(stripe: StripeControl) -> None:
    intent = started(stripe)
    stripe.settle(intent, "requires_payment_method")
    assert deliver(stripe.received()["events"][-1]) == 200
    payment = Payment.objects.get()
    assert (payment.status, payment.message, payment.decline_code) == (
        "failed",
        "Your card was declined.",
        "generic_decline",
    )


def test_an_event_that_overtakes_our_answer_finds_its_payment(stripe: StripeControl) -> None:
    invoice()
    stripe.fail("reset-after")
    job = perform(enqueue("process_payment", {"invoiceId": "invoice-1"}))
    assert Payment.objects.get().provider_id is None
    assert deliver(stripe.received()["events"][-1]) == 200
    assert status() == ("succeeded", "paid")
    assert result_of(perform(job))["status"] == "succeeded"
    assert stripe.charges() == 1


def test_an_intent_that_nobody_has_tried_says_nothing(stripe: StripeControl) -> None:
    invoice()
    stripe.fail("reset-after")
    perform(enqueue("process_payment", {"invoiceId": "invoice-1"}))
    assert deliver(stripe.received()["events"][0]) == 200
    assert status() == ("started", "open")


def test_an_event_about_somebody_elses_payment_is_stored(stripe: StripeControl) -> None:
    stripe.settle(started(stripe), "succeeded")
    intent = str(Payment.objects.get().provider_id)
    assert send(stripe.event(intent, id="pi_other", metadata={"payment": "7", "invoice": "other"})) == 200
    assert (StripeEvent.objects.count(), status()) == (1, ("processing", "open"))


def test_an_event_in_a_form_we_do_not_know_is_stored(stripe: StripeControl) -> None:
    thin = {"id": "evt_thin", "object": "v2.core.event", "type": "v1.customer.created", "created": "2026-11-20T10:00Z"}
    about = {"object": "payment_intent", "id": "pi_1"}  # and nothing else
    odd = [
        thin,
        [],
        "text",
        {"data": None},
        {"id": "evt_short", "created": 1, "data": {"object": about}},
        {"id": "evt_nul", "created": 10**30, "data": {"object": {"object": "customer", "name": "a\0b"}}},
        {"id": "evt_half", "data": {"object": {"object": "customer", "name": "\ud800"}}},
    ]
    bodies = [json.dumps(event) for event in odd] + ["not JSON \0"]
    for body in bodies * 2:
        assert send(body) == 200
    assert StripeEvent.objects.filter(handled_at__isnull=False).count() == len(bodies)
    assert StripeEvent.objects.get(pk="evt_thin").payload == thin
    assert StripeEvent.objects.get(pk="evt_nul").payload["data"]["object"]["name"] == "ab"


def test_a_forged_event_is_refused(stripe: StripeControl) -> None:
    stripe.settle(started(stripe), "succeeded")
    event = stripe.received()["events"][-1]
    old = sdk.WebhookSignature.generate_signature_header(event["body"], WEBHOOK_SECRET, timestamp=1_700_000_000)
    other = sdk.WebhookSignature.generate_signature_header(event["body"], "whsec_other")
    for signature in ("", "t=1,v1=0", "nonsense", old, other):
        assert send(event["body"], signature) == 400
    assert send(event["body"].replace("succeeded", "processing"), event["signature"]) == 400
    assert (StripeEvent.objects.count(), status()) == (0, ("processing", "open"))


def test_without_a_secret_every_event_is_refused(stripe: StripeControl, settings: Settings) -> None:
    stripe.settle(started(stripe), "succeeded")
    settings.STRIPE_WEBHOOK_SECRET = ""
    event = stripe.received()["events"][-1]
    assert send(event["body"], sdk.WebhookSignature.generate_signature_header(event["body"], "")) == 400


def test_bytes_that_are_no_text_are_refused() -> None:
    answer = Client().post(PATH, b"\xff\xfe", content_type="application/json", headers={"Stripe-Signature": "t=1,v1=0"})
    assert answer.status_code == 400


def test_a_get_is_refused() -> None:
    assert Client().get(PATH).status_code == 405
