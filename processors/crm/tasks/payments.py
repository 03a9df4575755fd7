"""Money: an invoice charged, customers taken over from Stripe."""

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from pydantic import Field

from jobs.processor import Discard, JobContext, Payload, Snooze

from .. import payments, syncing
from ..declaring import Key, Told, crm_processor
from ..models import Payment

SOONEST: Final = timedelta(minutes=1)  # between two looks at a payment that Stripe has not ended
LATEST: Final = timedelta(hours=6)
GIVE_UP: Final = timedelta(days=14)  # a customer who has not confirmed by then will not

Status = Payment.Status


class ProcessPayment(Payload):
    invoice_id: Key


class Paid(Told):
    status: str  # succeeded, paid-beside, or already: the invoice was paid before
    payment: int | None = None
    provider_id: str = ""


@crm_processor(priority="high")
def process_payment(payload: ProcessPayment, job: JobContext) -> Paid:
    """Charge an invoice, once. The job ends when it is known whether there is money: until then it looks again."""
    payment = payments.begin(payload.invoice_id, job)
    if payment is None:
        return Paid(status="already")
    if payment.status in Payment.UNDER_WAY:
        payment = payments.advance(payment, job)
    age = timezone.now() - payment.created_at
    waits_in_vain = payment.status != Status.PROCESSING and age > GIVE_UP
    if payment.status in Payment.UNDER_WAY and (waits_in_vain or not payments.is_wanted(payment)):
        payment = payments.close(payment)
    if payment.status == Status.FAILED:
        payment = payments.close(payment)
    match payment.status:
        case Status.SUCCEEDED | Status.PAID_BESIDE:
            return Paid(status=payment.status, payment=payment.pk, provider_id=payment.provider_id or "")
        case Status.FAILED if payment.closed_at or not payment.provider_id:
            payments.told(payment, job)
            raise Discard(payment.reason)
        case Status.CANCELED:
            payments.told(payment, job)
            raise Discard("The payment was cancelled.")
    what = "the customer has to confirm" if payment.status == Status.REQUIRES_ACTION else "Stripe is at it"
    raise Snooze(f"payment {payment.pk}: {what}", after=min(max(age, SOONEST), LATEST))


class SyncCustomerData(Payload):
    since: datetime | None = Field(
        None, description="Customers made at Stripe since then. None: all, and which of ours are gone there."
    )


class Synced(Told):
    seen: int
    created: int
    changed: int
    deleted: int


@crm_processor(priority="low", timeout=timedelta(hours=1))
def sync_customer_data(payload: SyncCustomerData, job: JobContext) -> Synced:
    """Take customers over from Stripe, page by page, and record what changed."""
    counts = syncing.take_over(payload.since, job)
    return Synced(**{name: counts[name] for name in Synced.model_fields})
