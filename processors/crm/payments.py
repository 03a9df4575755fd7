"""Each invoice is charged once: a row is written before Stripe is asked, and ends by the answer, an event or a look.

Money moves forward only: an answer or event that comes late never takes a payment back to where it was, and success
wins over all. How Stripe is called is `stripe_client`'s business.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobs.errors import Discard
from jobs.processor import JobContext, enqueue

from . import stripe_client
from .models import Invoice, Payment, StripeEvent
from .stripe_client import Declined, Intent, KeySpent, LockedOut, Refusal

log = logging.getLogger(__name__)

Status = Payment.Status
STATUSES: Final = {  # Stripe's → ours; any other one says nothing yet, unless a try has failed
    "succeeded": Status.SUCCEEDED,
    "processing": Status.PROCESSING,
    "requires_capture": Status.PROCESSING,
    "requires_action": Status.REQUIRES_ACTION,
    "canceled": Status.CANCELED,
}
RANK: Final = {  # a payment goes to the same or a higher one
    Status.STARTED: 0,
    Status.REQUIRES_ACTION: 1,
    Status.PROCESSING: 1,
    Status.FAILED: 2,
    Status.CANCELED: 3,
    Status.SUCCEEDED: 4,
}
CLOCKS: Final = timedelta(hours=1)  # that Stripe's clock and ours may be apart


def begin(invoice_id: str, job: JobContext) -> Payment | None:
    """The payment that is under way for this invoice, or a new one; None when the invoice is paid.

    One that failed while the job slept is its outcome: a new one is made only after a job has told of it.
    """
    with transaction.atomic():
        invoice = _locked(invoice_id)
        if invoice.status == Invoice.Status.PAID:
            return None
        if invoice.status == Invoice.Status.VOID:
            raise Discard(f"the invoice {invoice.number} is void")
        payments = Payment.objects.filter(invoice=invoice)
        live = payments.filter(status__in=Payment.LIVE).first()
        if live is not None:
            return live
        ended = payments.filter(told_at=None).order_by("-pk").first()
        if ended is not None:
            return ended
        if not invoice.amount:
            raise Discard(f"the invoice {invoice.number} is about nothing")
        if not (invoice.customer.stripe_id and invoice.customer.payment_method):
            raise Discard(f"the customer {invoice.customer.name} has no payment method at Stripe")
        return Payment.objects.create(
            invoice=invoice,
            key=f"invoice-{invoice.pk}-{payments.count() + 1}",
            amount=invoice.amount,
            currency=invoice.currency,
            job=job.id,
        )


def advance(payment: Payment, job: JobContext) -> Payment:
    """Charge it, or ask what became of it: as it then is. Raises what the job should do when it failed."""
    client = stripe_client.client()
    if payment.provider_id:
        return settle(payment, client.intent(payment.provider_id))
    customer = payment.invoice.customer
    resumed = payment.job != job.id or job.run > 1
    about = {"invoice": payment.invoice_id, "payment": str(payment.pk)}
    if resumed:  # an earlier run may have charged it, and perhaps under a key whose answer is of no use
        since = int((payment.created_at - CLOCKS).timestamp())
        if (found := client.find_intent(str(customer.stripe_id), since, **about)) is not None:
            return settle(payment, found)
    try:
        intent = client.charge(
            payment.key,
            payment.amount,
            payment.currency,
            str(customer.stripe_id),
            customer.payment_method,
            about,
        )
    except KeySpent:
        if resumed:  # there is no intent of it, so no money has moved
            Payment.objects.filter(pk=payment.pk, key=payment.key).update(key=_next_key(payment), updated_at=Now())
        raise
    except Declined as declined:
        _fail(payment, declined.refusal, declined.intent.id if declined.intent else None)
        raise
    except Discard as refused:
        import stripe  # slow to import

        # Of an error of Stripe's own nobody knows whether it charged: the next run looks.
        if isinstance(refused, LockedOut) or isinstance(refused.__cause__, stripe.InvalidRequestError):
            _fail(payment, Refusal(message=str(refused)), None)
        raise
    return settle(payment, intent)


def settle(payment: Payment, intent: Intent) -> Payment:
    """Write down what Stripe says of a payment, and that its invoice is paid: as it then is."""
    status = STATUSES.get(intent.status, Status.FAILED if intent.refusal else Status.STARTED)
    with transaction.atomic():
        invoice = _locked(payment.invoice_id)
        row = Payment.objects.get(pk=payment.pk)
        if RANK[status] < RANK[Status(row.status)]:
            return row
        others = Payment.objects.filter(invoice=invoice, status__in=Payment.LIVE).exclude(pk=row.pk)
        if status in Payment.LIVE and others.exists():
            log.error("payment %s of invoice %s is %s beside another one: refund one", row.pk, invoice.number, status)
            return row
        asked = row.status == Status.REQUIRES_ACTION
        row.status, row.provider_id = status, intent.id
        row.action_url = intent.action_url if status == Status.REQUIRES_ACTION else ""
        _note(row, intent.refusal if status == Status.FAILED and intent.refusal else Refusal())
        if row.action_url and not asked and invoice.customer.email:
            enqueue("send_notification", _please_confirm(invoice, row.action_url))
        if status == Status.SUCCEEDED:
            Invoice.objects.filter(pk=invoice.pk, status=Invoice.Status.OPEN).update(
                status=Invoice.Status.PAID, paid_at=Now()
            )
    return row


def receive(event: Mapping[str, Any]) -> bool:
    """Store an event of Stripe and act on it, in one transaction. False: it was here before."""
    about = event["data"]["object"]
    with transaction.atomic():
        row = StripeEvent(
            id=event["id"],
            type=event["type"],
            object_id=str(about.get("id") or ""),
            created_at=datetime.fromtimestamp(event["created"], UTC),
            payload=event,
        )
        StripeEvent.objects.bulk_create([row], ignore_conflicts=True)
        if StripeEvent.objects.select_for_update().get(pk=row.pk).handled_at is not None:
            return False
        if about.get("object") == "payment_intent" and (payment := _payment_of(about)) is not None:
            settle(payment, stripe_client.intent_of(about))
        StripeEvent.objects.filter(pk=row.pk).update(handled_at=Now())
    return True


def _payment_of(about: Mapping[str, Any]) -> Payment | None:
    """An event may come before our call has been answered: the intent names our row."""
    if (known := Payment.objects.filter(provider_id=about["id"]).first()) is not None:
        return known
    metadata = about.get("metadata") or {}
    ours = str(metadata.get("payment") or "")
    if not (ours.isascii() and ours.isdecimal() and len(ours) < 19):
        return None
    return Payment.objects.filter(
        pk=int(ours), invoice=str(metadata.get("invoice") or ""), provider_id__isnull=True
    ).first()


def _please_confirm(invoice: Invoice, url: str) -> dict[str, str]:
    return {
        "recipient": invoice.customer.email,
        "channel": "email",
        "subject": f"Please confirm your payment of invoice {invoice.number}",
        "body": f"Hello {invoice.customer.name},\n\nyour bank wants you to confirm this payment:\n{url}\n",
    }


def _fail(payment: Payment, refusal: Refusal, intent_id: str | None) -> None:
    with transaction.atomic():
        _locked(payment.invoice_id)
        row = Payment.objects.get(pk=payment.pk)
        if RANK[Status(row.status)] > RANK[Status.FAILED]:
            return
        row.status, row.provider_id, row.action_url = Status.FAILED, intent_id or row.provider_id, ""
        _note(row, refusal)


def told(payment: Payment) -> None:
    """A job ends with the failure of this payment: another one may be made."""
    Payment.objects.filter(pk=payment.pk, status__in=(Status.FAILED, Status.CANCELED)).update(told_at=Now())


def _note(row: Payment, refusal: Refusal) -> None:
    row.error_code, row.decline_code = refusal.code[:100], refusal.decline_code[:100]
    row.advice_code, row.message = refusal.advice_code[:100], refusal.message
    row.checked_at = row.updated_at = timezone.now()
    row.save()


def _locked(invoice_id: str) -> Invoice:
    """The invoice, held: whoever changes its payments holds it first."""
    rows = Invoice.objects.select_related("customer").select_for_update(of=("self",))
    if (invoice := rows.filter(pk=invoice_id).first()) is None:
        raise Discard(f"no invoice {invoice_id}")
    return invoice


def _next_key(payment: Payment) -> str:
    """`invoice-7-1` → `invoice-7-1.2` → `invoice-7-1.3`"""
    start, _, number = payment.key.rpartition("-")
    first, _, later = number.partition(".")
    return f"{start}-{first}.{int(later or 1) + 1}"
