"""An invoice charged: once, whatever goes wrong, and known to be paid only when there is money."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from jobs import lifecycle
from jobs.models import Failure, Job, Limit
from jobs.processor import enqueue
from jobs.testing import assert_enqueued, perform
from processors.crm import stripe_client
from processors.crm.models import Invoice, Payment
from tests.processors.crm.rows import invoice
from tests.processors.crm.stripe import StripeControl

pytestmark = pytest.mark.django_db


def pay(key: str = "invoice-1") -> Job:
    return perform(enqueue("process_payment", {"invoiceId": key}))


def error(job: Job) -> str:
    return Failure.objects.filter(job=job).latest("id").message


def test_a_card_is_charged(stripe: StripeControl) -> None:
    invoice(amount=12_345)
    job = pay()
    payment = Payment.objects.get()
    assert (job.status, job.priority) == ("completed", 8)
    assert job.result == {"status": "succeeded", "payment": payment.pk, "providerId": payment.provider_id}
    (intent,) = stripe.received()["intents"]
    assert (intent["id"], intent["amount"], intent["currency"]) == (payment.provider_id, 12_345, "usd")
    assert intent["metadata"] == {"invoice": "invoice-1", "payment": str(payment.pk)}
    paid = Invoice.objects.get()
    assert (paid.status, paid.paid_at is not None) == ("paid", True)


def test_the_same_invoice_twice_is_one_charge(stripe: StripeControl) -> None:
    invoice()
    first, second = enqueue("process_payment", {"invoiceId": "invoice-1"}), pay()
    assert (second.status, perform(first).result) == (
        "completed",
        {"status": "already", "payment": None, "providerId": ""},
    )
    assert stripe.charges() == 1


@pytest.mark.parametrize(
    ("method", "told", "codes"),
    [
        (
            "pm_card_chargeDeclined",
            "Your card was declined. (card_declined, generic_decline; the issuer advises: try_again_later)",
            ("card_declined", "generic_decline", "try_again_later"),
        ),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            "Your card has insufficient funds. "
            "(card_declined, insufficient_funds; the issuer advises: try_again_later)",
            ("card_declined", "insufficient_funds", "try_again_later"),
        ),
        (
            "pm_card_chargeDeclinedExpiredCard",
            "Your card has expired. (expired_card; the issuer advises: do_not_try_again)",
            ("expired_card", "", "do_not_try_again"),
        ),
        (
            "pm_card_authenticationRequired",
            "Your card was declined. This transaction requires authentication. (authentication_required)",
            ("authentication_required", "authentication_required", ""),
        ),
    ],
)
def test_a_declined_card_is_final_and_says_why(
    stripe: StripeControl, method: str, told: str, codes: tuple[str, str, str]
) -> None:
    invoice(method=method)
    job = pay()
    payment = Payment.objects.get()
    assert (job.status, job.attempt, error(job), payment.status) == ("failed", 1, told, "failed")
    assert (payment.error_code, payment.decline_code, payment.advice_code) == codes
    assert payment.provider_id == stripe.received()["intents"][0]["id"]
    assert Invoice.objects.get().status == "open"


def test_after_a_decline_another_card_may_pay(stripe: StripeControl) -> None:
    owed = invoice(method="pm_card_chargeDeclined")
    pay()
    type(owed.customer).objects.update(payment_method="pm_card_visa")
    assert pay().status == "completed"
    assert [(p.key, p.status) for p in Payment.objects.order_by("id")] == [
        ("invoice-invoice-1-1", "failed"),
        ("invoice-invoice-1-2", "succeeded"),
    ]


@pytest.mark.parametrize("fault", ["409", "429", "lock-timeout", "503", "html", "reset"])
def test_trouble_that_passes_is_worth_another_attempt(stripe: StripeControl, fault: str) -> None:
    invoice()
    stripe.fail(fault)
    job = pay()
    assert (job.status, Payment.objects.get().status) == ("scheduled", "started")
    assert perform(job).status == "completed"
    assert stripe.charges() == 1


@pytest.mark.parametrize("fault", ["500-after", "reset-after"])
def test_a_charge_whose_answer_was_lost_is_found(stripe: StripeControl, fault: str) -> None:
    invoice()
    stripe.fail(fault)
    job = pay()
    assert (job.status, Payment.objects.get().status) == ("scheduled", "started")
    assert perform(job).status == "completed"
    assert (stripe.charges(), len(stripe.asked("POST"))) == (1, 1)


def test_a_failure_that_stripe_keeps_needs_another_key(stripe: StripeControl) -> None:
    invoice()
    stripe.fail("500")
    job = pay()
    assert [perform(job).status, perform(job).status] == ["scheduled", "completed"]
    assert [request["key"] for request in stripe.asked("POST")] == [
        "invoice-invoice-1-1",
        "invoice-invoice-1-1",
        "invoice-invoice-1-1.2",
    ]
    assert stripe.charges() == 1


def test_a_card_changed_between_two_attempts_needs_another_key(stripe: StripeControl) -> None:
    owed = invoice()
    stripe.fail("500")
    job = pay()
    type(owed.customer).objects.update(payment_method="pm_card_mastercard")
    assert [perform(job).status, perform(job).status] == ["scheduled", "completed"]
    assert stripe.charges() == 1


def test_what_stripe_says_about_repeating_decides(stripe: StripeControl) -> None:
    invoice()
    stripe.fail("do-not-retry")
    job = pay()
    assert (job.status, Payment.objects.get().status) == ("failed", "started")  # nobody knows whether it was charged
    lifecycle.retry([job.id], actor="ada")
    assert perform(job).status == "completed"
    assert stripe.charges() == 1


@pytest.mark.parametrize(
    ("fault", "told"), [("400", "400: Missing required param: currency."), ("403", "Stripe refuses our key")]
)
def test_a_request_that_is_wrong_is_final(stripe: StripeControl, fault: str, told: str) -> None:
    invoice()
    stripe.fail(fault)
    job = pay()
    assert (job.status, job.attempt, Payment.objects.get().status) == ("failed", 1, "failed")
    assert error(job).startswith(told)


def test_a_wrong_key_is_final_and_nobody_asks_for_a_while(stripe: StripeControl, settings: Settings) -> None:
    invoice()
    settings.STRIPE_API_KEY = "sk_test_wrong"
    stripe_client.client.cache_clear()
    job = pay()
    assert (job.status, "sk_test" in error(job)) == ("failed", False)
    assert "STRIPE_API_KEY" in error(job)
    assert Limit.objects.get(name="stripe").next_at > timezone.now() + timedelta(minutes=4)


def test_without_a_key_nothing_is_asked(stripe: StripeControl, settings: Settings) -> None:
    invoice()
    settings.STRIPE_API_KEY = ""
    stripe_client.client.cache_clear()
    assert error(pay()) == "There is no key for Stripe (STRIPE_API_KEY)."


def test_a_service_that_is_not_there_is_worth_another_attempt(stripe: StripeControl, settings: Settings) -> None:
    invoice()
    settings.STRIPE_URL = "http://127.0.0.1:9"
    stripe_client.client.cache_clear()
    assert pay().status == "scheduled"


@pytest.mark.parametrize(
    ("method", "status"), [("pm_usBankAccount_success", "processing"), ("pm_sandbox_confirm", "requires-action")]
)
def test_what_is_not_decided_is_not_paid(stripe: StripeControl, method: str, status: str) -> None:
    invoice(method=method)
    job = pay()
    payment = Payment.objects.get()
    assert (job.status, payment.status, Invoice.objects.get().status) == ("scheduled", status, "open")
    assert not Failure.objects.filter(job=job).exists()
    stripe.settle(str(payment.provider_id), "succeeded")
    assert perform(job).status == "completed"
    assert Invoice.objects.get().status == "paid"
    assert len(stripe.asked("POST")) == 1


def test_a_customer_who_has_to_confirm_is_told_once(stripe: StripeControl) -> None:
    invoice(method="pm_sandbox_confirm")
    perform(pay())
    (mail,) = assert_enqueued("send_notification", count=1)
    payment = Payment.objects.get()
    assert mail.payload["recipient"] == "customer-123@example.com"
    assert f"https://bank.example/confirm/{payment.provider_id}" in mail.payload["body"]
    assert payment.action_url in mail.payload["body"]


def test_a_customer_who_never_confirms_is_given_up(stripe: StripeControl) -> None:
    invoice(method="pm_sandbox_confirm")
    job = pay()
    Payment.objects.update(created_at=timezone.now() - timedelta(days=15))
    job = perform(job)
    assert (job.status, error(job)) == ("failed", "The payment was cancelled.")
    assert (Payment.objects.get().status, stripe.received()["intents"][0]["status"]) == ("canceled", "canceled")


def test_a_bank_that_refuses_later(stripe: StripeControl) -> None:
    invoice(method="pm_usBankAccount_success")
    job = pay()
    stripe.settle(str(Payment.objects.get().provider_id), "requires_payment_method")
    job = perform(job)
    assert (job.status, Payment.objects.get().status) == ("failed", "failed")
    assert error(job).startswith("Your card was declined. (card_declined, generic_decline")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"status": "void"}, "the invoice R-1 is void"),
        ({"amount": 0}, "the invoice R-1 is about nothing"),
        ({"method": ""}, "the customer Grace Moss has no payment method at Stripe"),
    ],
)
def test_an_invoice_that_cannot_be_charged(stripe: StripeControl, fields: dict[str, Any], told: str) -> None:
    invoice(**fields)
    job = pay()
    assert (job.status, job.attempt, error(job)) == ("failed", 1, told)
    assert (stripe.received()["requests"], Payment.objects.count()) == ([], 0)


def test_an_invoice_that_there_is_not() -> None:
    assert error(pay("nothing")) == "no invoice nothing"


def test_a_customer_that_stripe_does_not_know(stripe: StripeControl) -> None:
    owed = invoice()
    type(owed.customer).objects.update(stripe_id="cus_gone")
    job = pay()
    assert (job.status, error(job)) == ("failed", "400: No such customer: 'cus_gone'")
