"""Payments that nobody waits for any more: they are closed, and when they are paid all the same nothing is lost."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from jobs import lifecycle
from jobs.models import Failure, Job
from jobs.processor import enqueue
from jobs.sessions import without_side_session
from jobs.testing import assert_enqueued, perform
from processors.crm import payments
from processors.crm.models import Customer, Invoice, Payment
from processors.crm.stripe_client import client
from tests.processors.crm.conftest import SandboxControl
from tests.processors.crm.rows import invoice
from tests.processors.crm.stripe import StripeControl, send

pytestmark = pytest.mark.django_db

WAITS = "pm_usBankAccount_success"
CONFIRMS = "pm_sandbox_confirm"
DECLINED = "pm_card_chargeDeclined"


def pay() -> Job:
    return perform(enqueue("process_payment", {"invoiceId": "invoice-1"}))


def left_open(stripe: StripeControl) -> Payment:
    """A payment that was declined and could not be closed: its job has been cancelled."""
    invoice(method=DECLINED)
    stripe.fail("503", after=1)
    lifecycle.cancel([pay().id], actor="ada")
    payment = Payment.objects.get()
    assert (payment.status, payment.closed_at) == ("failed", None)
    Customer.objects.update(payment_method="pm_card_visa")
    Payment.objects.update(said_at=timezone.now() - timedelta(minutes=1))  # of the same second nobody knows the order
    return payment


def intents(stripe: StripeControl) -> list[str]:
    return [intent["status"] for intent in stripe.received()["intents"]]


def statuses() -> list[str]:
    return [*Payment.objects.order_by("pk").values_list("status", flat=True), Invoice.objects.get().status]


def told() -> Job:
    """What admins were told in the app: once."""
    (job,) = assert_enqueued("send_notification", {"channel": "in-app", "recipient": "admins"}, count=1)
    return job


def test_what_was_declined_cannot_be_paid_later(stripe: StripeControl) -> None:
    invoice(method=DECLINED)
    pay()
    payment = Payment.objects.get()
    assert (intents(stripe), payment.status, payment.decline_code) == (["canceled"], "failed", "generic_decline")
    assert payment.closed_at is not None


def test_a_failure_is_told_when_nobody_can_pay_any_more(stripe: StripeControl) -> None:
    invoice(method=DECLINED)
    stripe.fail("503", after=1)
    job = pay()
    assert (job.status, intents(stripe)) == ("scheduled", ["requires_payment_method"])
    assert (perform(job).status, intents(stripe)) == ("failed", ["canceled"])
    assert Failure.objects.filter(job=job).latest("id").message.startswith("Your card was declined.")


def test_a_failure_is_not_told_of_a_payment_that_goes_on(stripe: StripeControl) -> None:
    invoice(method=DECLINED)
    stripe.fail("503", after=1)
    job = pay()
    stripe.settle(str(Payment.objects.get().provider_id), "processing")
    Payment.objects.update(said_at=timezone.now() + timedelta(minutes=1))  # as when clocks are apart
    assert (perform(job).status, statuses()) == ("scheduled", ["failed", "open"])
    Payment.objects.update(said_at=timezone.now() - timedelta(minutes=1))
    assert (perform(job).status, statuses()) == ("scheduled", ["processing", "open"])


def test_an_earlier_one_is_closed_before_another_is_made(stripe: StripeControl) -> None:
    left_open(stripe)
    assert pay().status == "completed"
    assert (intents(stripe), statuses()) == (["canceled", "succeeded"], ["failed", "succeeded", "paid"])


def test_an_earlier_one_that_has_been_paid_is_taken(stripe: StripeControl) -> None:
    stripe.settle(str(left_open(stripe).provider_id), "succeeded")
    assert pay().status == "completed"
    assert (intents(stripe), statuses()) == (["succeeded"], ["succeeded", "paid"])


def test_an_earlier_one_that_is_under_way_is_waited_for(stripe: StripeControl) -> None:
    stripe.settle(str(left_open(stripe).provider_id), "processing")
    assert pay().status == "scheduled"
    assert (intents(stripe), statuses()) == (["processing"], ["processing", "open"])


def test_an_earlier_one_that_stripe_does_not_have_is_in_nobodys_way(stripe: StripeControl) -> None:
    left_open(stripe)
    Payment.objects.update(provider_id="pi_of_another_account")
    assert pay().status == "completed"
    assert statuses() == ["failed", "succeeded", "paid"]


def test_it_is_too_late_to_cancel_what_was_paid(stripe: StripeControl) -> None:
    invoice(method=CONFIRMS)
    pay()
    intent = str(Payment.objects.get().provider_id)
    stripe.settle(intent, "succeeded")
    with without_side_session():  # the limit's row is in this test's transaction
        assert client().cancel(intent).status == "succeeded"


def test_money_beside_a_payment_is_kept_and_told_once(
    stripe: StripeControl, sandbox: SandboxControl, settings: Settings
) -> None:
    settings.ALERT_EMAILS, settings.ALERT_WEBHOOK_URL = ["ada@crm.example"], f"{sandbox.url}/webhook"
    invoice()
    paid = pay()
    event = stripe.event(str(Payment.objects.get().provider_id), id="pi_other", amount=900)
    assert [send(event), send(event)] == [200, 200]
    assert statuses() == ["succeeded", "paid-beside", "paid"]
    beside = Payment.objects.get(provider_id="pi_other")
    assert (beside.amount, beside.provider_customer, beside.key) == (900, "cus_1", "pi_other")
    message = told().payload
    assert message["subject"] == "Invoice R-1: paid beside"
    assert "pi_other of 900 USD" in message["body"]
    told_to = {(job.payload["channel"], job.payload["recipient"]): job for job in Job.objects.exclude(pk=paid.pk)}
    assert set(told_to) == {("in-app", "admins"), ("email", "ada@crm.example"), ("webhook", "admins")}
    assert perform(told_to["webhook", "admins"]).status == "completed"
    assert "paid beside" in sandbox.received()["messages"][0]["text"]


def test_money_from_elsewhere_ends_what_waits_for_the_customer(stripe: StripeControl) -> None:
    invoice(method=CONFIRMS)
    job = pay()
    event = stripe.event(str(Payment.objects.get().provider_id), id="pi_other", status="succeeded")
    assert send(event) == 200
    assert statuses() == ["requires-action", "paid-beside", "paid"]
    assert (perform(job).status, intents(stripe)) == ("failed", ["canceled"])
    told()


def test_an_intent_beside_that_is_not_paid_is_closed_by_the_next_job(stripe: StripeControl) -> None:
    invoice()
    pay()
    refused = {"code": "card_declined", "message": "No."}
    intent = str(Payment.objects.get().provider_id)
    event = stripe.event(intent, id="pi_other", status="requires_payment_method", last_payment_error=refused)
    assert (send(event), statuses()) == (200, ["succeeded", "failed", "paid"])
    assert Payment.objects.filter(Payment.OPEN).exists()
    assert pay().status == "completed"
    assert not Payment.objects.filter(Payment.OPEN).exists()


@pytest.mark.parametrize(("method", "ends"), [(WAITS, "processing"), (CONFIRMS, "canceled")])
def test_what_an_invoice_that_became_void_waited_for_is_cancelled(
    stripe: StripeControl, method: str, ends: str
) -> None:
    invoice(method=method)
    job = pay()
    Invoice.objects.update(status="void")
    assert (perform(job).status, intents(stripe)) == ("scheduled" if ends == "processing" else "failed", [ends])


def test_making_it_void_wakes_the_job_that_waits(stripe: StripeControl) -> None:
    invoice(method=CONFIRMS)
    job = pay()
    assert (payments.void(["invoice-1"]), payments.void(["invoice-1"])) == (1, 0)
    assert Job.objects.get(id=job.id).status == "pending"
    assert (perform(job).status, intents(stripe), statuses()) == ("failed", ["canceled"], ["canceled", "void"])


def test_what_is_paid_cannot_be_made_void(stripe: StripeControl) -> None:
    invoice()
    pay()
    assert (payments.void(["invoice-1"]), statuses()) == (0, ["succeeded", "paid"])


def test_a_void_invoice_that_is_paid_is_told(stripe: StripeControl) -> None:
    invoice(method=WAITS)
    pay()
    Invoice.objects.update(status="void")
    intent = str(Payment.objects.get().provider_id)
    stripe.settle(intent, "succeeded")
    assert send(stripe.received()["events"][-1]["body"]) == 200
    assert statuses() == ["succeeded", "void"]
    assert "was void when its payment" in told().payload["body"]


def test_an_invoice_that_became_void_before_it_was_charged(stripe: StripeControl) -> None:
    invoice()
    stripe.fail("503")
    job = pay()
    Invoice.objects.update(status="void")
    assert (perform(job).status, intents(stripe), statuses()) == ("failed", [], ["failed", "void"])


@pytest.mark.parametrize(
    ("method", "address", "lacks"),
    [
        ("pm_sandbox_confirm_in_app", "grace@example.com", "no page for it"),
        (CONFIRMS, "", "no address that takes mail"),
    ],
)
def test_admins_know_of_a_customer_who_cannot_be_told(
    stripe: StripeControl, method: str, address: str, lacks: str
) -> None:
    owed = invoice(method=method)
    Customer.objects.filter(pk=owed.customer_id).update(email=address)
    perform(pay())
    assert lacks in told().payload["body"]
    assert_enqueued("send_notification", count=1)


def test_a_charge_is_looked_for_where_it_was_made(stripe: StripeControl) -> None:
    invoice()
    stripe.fail("reset-after")
    job = pay()
    stripe.customers({"id": "cus_2"})
    Customer.objects.update(stripe_id="cus_2", payment_method="pm_card_mastercard")
    assert perform(job).status == "completed"
    assert (stripe.charges(), len(stripe.asked("POST"))) == (1, 1)


def test_two_jobs_that_wait_for_a_payment_end_with_it(stripe: StripeControl) -> None:
    invoice(method=WAITS)
    jobs = [pay(), pay()]
    stripe.settle(str(Payment.objects.get().provider_id), "requires_payment_method")
    assert [perform(job).status for job in jobs] == ["failed", "failed"]
    assert (Payment.objects.count(), len(intents(stripe))) == (1, 1)


def test_a_payment_that_ends_wakes_its_jobs(stripe: StripeControl) -> None:
    invoice(method=WAITS)
    jobs = [pay(), pay()]
    stripe.settle(str(Payment.objects.get().provider_id), "succeeded")
    assert send(stripe.received()["events"][-1]["body"]) == 200
    woken = Job.objects.filter(pk__in=[job.pk for job in jobs], status="pending", scheduled_at__lte=timezone.now())
    assert woken.count() == 2
    assert perform(jobs[0]).status == "completed"


def test_a_payment_of_long_ago_that_failed_is_not_todays_outcome(stripe: StripeControl) -> None:
    left_open(stripe)
    Payment.objects.update(created_at=timezone.now() - timedelta(days=40))
    assert pay().status == "completed"
