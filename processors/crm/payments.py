"""Each invoice is charged once: a row is written before Stripe is asked, and ends by the answer, an event or a look.

What is paid or cancelled at Stripe stays so, whatever comes late; of anything else the later word counts, by Stripe's
own time. How Stripe is called is `stripe_client`'s business, who is told of it `telling`'s.
"""

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobs.errors import Discard
from jobs.processor import JobContext, Snooze, wake

from . import stripe_client, telling
from .models import Invoice, Payment
from .stripe_words import Intent, KeySpent, Refusal, Refused

log = logging.getLogger(__name__)

Status = Payment.Status
STATUSES: Final = {  # Stripe's → ours; any other one says nothing yet, unless a try has failed
    "succeeded": Status.SUCCEEDED,
    "processing": Status.PROCESSING,
    "requires_capture": Status.PROCESSING,
    "requires_action": Status.REQUIRES_ACTION,
    "canceled": Status.CANCELED,
}
FOLLOWS: Final = {  # of two words of the same second, the one that follows the other
    Status.STARTED: 0,
    Status.REQUIRES_ACTION: 1,
    Status.PROCESSING: 2,
    Status.FAILED: 3,
}
CLOCKS: Final = timedelta(hours=1)  # that Stripe's clock and ours may be apart


def begin(invoice_id: str, job: JobContext) -> Payment | None:
    """The payment whose outcome is this job's: the one under way, its own of an earlier run, or a new one.

    None when the invoice is paid. A new one is made only when nobody can pay an earlier one any more.
    """
    for earlier in Payment.objects.filter(Payment.OPEN, invoice=invoice_id):
        close(earlier)
    with transaction.atomic():
        invoice = _locked(invoice_id)
        payments = Payment.objects.filter(invoice=invoice)
        under_way = payments.filter(status__in=Payment.UNDER_WAY).first()
        if (found := under_way or payments.filter(waiting__contains=[job.id]).first()) is not None:
            return _join(found, job)
        if invoice.status == Invoice.Status.PAID:
            return None
        if invoice.status == Invoice.Status.VOID:
            raise Discard(f"the invoice {invoice.number} is void")
        paid = payments.filter(status__in=Payment.PAID).first()
        if paid is not None:
            return paid
        if payments.filter(Payment.OPEN).exists():
            raise Snooze(f"a payment of invoice {invoice.number} has only just failed", after=1)
        return _new(invoice, payments.count() + 1, job)


def _join(payment: Payment, job: JobContext) -> Payment:
    if job.id not in payment.waiting:
        payment.waiting.append(job.id)
        payment.save(update_fields=["waiting"])
    return payment


def _new(invoice: Invoice, number: int, job: JobContext) -> Payment:
    customer = invoice.customer
    if not invoice.amount:
        raise Discard(f"the invoice {invoice.number} is about nothing")
    if not (customer.stripe_id and customer.payment_method):
        raise Discard(f"the customer {customer.name} has no payment method at Stripe")
    return Payment.objects.create(
        invoice=invoice,
        key=f"invoice-{invoice.pk}-{number}",
        provider_customer=customer.stripe_id,
        payment_method=customer.payment_method,
        amount=invoice.amount,
        currency=invoice.currency,
        job=job.id,
        waiting=[job.id],
    )


def advance(payment: Payment, job: JobContext) -> Payment:
    """Charge it, or ask what became of it: as it then is."""
    client = stripe_client.client()
    if payment.provider_id:
        return settle(payment, client.intent(payment.provider_id))
    resumed = payment.job != job.id or job.run > 1
    about = {"invoice": payment.invoice_id, "payment": str(payment.pk)}
    if resumed:  # an earlier run may have charged it, and perhaps under a key whose answer is of no use
        since = int((payment.created_at - CLOCKS).timestamp())
        made = [settle(payment, intent) for intent in client.find_intents(payment.provider_customer, since, **about)]
        if made:
            return next((row for row in made if row.status in Payment.LIVE), made[0])
    if not is_wanted(payment):
        return _fail(payment, Refusal(message="The invoice was paid or made void before it was charged."))
    try:
        intent = client.charge(
            payment.key, payment.amount, payment.currency, payment.provider_customer, payment.payment_method, about
        )
    except KeySpent:
        if resumed:  # there is no intent of it, so no money has moved
            _take_next_key(payment)
        raise
    except Refused as refused:
        if refused.intent is None:
            return _fail(payment, refused.refusal)
        return settle(payment, replace(refused.intent, refusal=refused.refusal))
    return settle(payment, intent)


def is_wanted(payment: Payment) -> bool:
    """Whether the invoice is still to be paid."""
    return Invoice.objects.filter(pk=payment.invoice_id, status=Invoice.Status.OPEN).exists()


def close(payment: Payment) -> Payment:
    """See to it that nobody can pay it any more: as it then is, which may be paid or under way in spite of that."""
    if payment.provider_id is None or payment.closed_at is not None:
        return payment
    try:
        return settle(payment, stripe_client.client().cancel(payment.provider_id))
    except Refused as refused:
        if refused.status != HTTPStatus.NOT_FOUND or payment.status != Status.FAILED:
            raise
    log.warning("payment %s: this account of Stripe has no %s to cancel", payment.pk, payment.provider_id)
    with transaction.atomic():
        _locked(payment.invoice_id)
        row = Payment.objects.get(pk=payment.pk)
        row.closed_at = timezone.now()
        row.save(update_fields=["closed_at"])
    return row


def settle(payment: Payment, intent: Intent) -> Payment:
    """Write down what Stripe says of a payment, and that its invoice is paid: as it then is.

    An intent that is not the payment's own, although it names it, gets a row beside it: there may be money of it.
    """
    with transaction.atomic():
        invoice = _locked(payment.invoice_id)
        row = _row_of(Payment.objects.get(pk=payment.pk), intent)
        status = _next_status(row, intent)
        if status is None:
            return row
        others = Payment.objects.filter(invoice=invoice, status__in=Payment.LIVE).exclude(pk=row.pk)
        if status in Payment.LIVE and others.exists():
            if status != Status.SUCCEEDED:  # it can be closed, and of its being paid we are told
                row.provider_id = intent.id
                row.save(update_fields=["provider_id"])
                return row
            status = Status.PAID_BESIDE
        before, row.status = row.status, status
        row.provider_id, row.said_at = intent.id, intent.at
        row.action_url = intent.action_url if status == Status.REQUIRES_ACTION else ""
        if status == Status.CANCELED and before == Status.FAILED:  # why it failed is what people want to know
            row.status, row.closed_at = Status.FAILED, timezone.now()
            row.save()
            return row
        _note(row, intent.refusal if status == Status.FAILED and intent.refusal else Refusal())
        if status != before:
            _pass_on(invoice, row)
    return row


def _row_of(payment: Payment, intent: Intent) -> Payment:
    if payment.provider_id in (None, intent.id):
        return payment
    row, _ = Payment.objects.get_or_create(
        provider_id=intent.id,
        defaults={
            "invoice_id": payment.invoice_id,
            "key": intent.id,
            "provider_customer": intent.customer,
            "payment_method": payment.payment_method,
            "amount": intent.amount,
            "currency": intent.currency,
            "status": Status.FAILED,
            "message": f"Stripe made it beside payment {payment.pk}.",
        },
    )
    return row


def _next_status(row: Payment, intent: Intent) -> Payment.Status | None:
    """What the payment becomes by this word of Stripe's; None when we know better."""
    status = STATUSES.get(intent.status, Status.FAILED if intent.refusal else Status.STARTED)
    if row.status in Payment.PAID:
        return None
    if status == Status.SUCCEEDED:
        return status
    if row.status == Status.CANCELED or row.closed_at is not None:
        return None
    if status == Status.CANCELED:
        return status
    now = Status(row.status)
    if row.said_at is not None and (intent.at, FOLLOWS[status]) < (row.said_at, FOLLOWS[now]):
        return None
    if status == Status.STARTED and now != Status.STARTED:
        return None
    return status


def _pass_on(invoice: Invoice, row: Payment) -> None:
    """What follows from a new status, for the invoice, for people, and for the jobs whose outcome it is."""
    if row.status in Payment.PAID:
        if row.status == Status.PAID_BESIDE or invoice.status != Invoice.Status.OPEN:
            telling.paid_too_much(invoice, row)
        Invoice.objects.filter(pk=invoice.pk, status=Invoice.Status.OPEN).update(
            status=Invoice.Status.PAID, paid_at=Now()
        )
    if row.status == Status.REQUIRES_ACTION:
        telling.please_confirm(invoice, row)
    else:
        wake(row.waiting)


def _fail(payment: Payment, refusal: Refusal) -> Payment:
    """Nothing was made of it at Stripe."""
    with transaction.atomic():
        invoice = _locked(payment.invoice_id)
        row = Payment.objects.get(pk=payment.pk)
        if row.status == Status.STARTED and row.provider_id is None:
            row.status = Status.FAILED
            _note(row, refusal)
            _pass_on(invoice, row)
    return row


def void(invoice_ids: Collection[str]) -> int:
    """Nobody owes these any more, but for those that are paid. Jobs that wait for their payments cancel them at once.

    Returns how many there were.
    """
    with transaction.atomic():
        held = Invoice.objects.select_for_update().filter(pk__in=invoice_ids, status=Invoice.Status.OPEN)
        ids = list(held.order_by("pk").values_list("pk", flat=True))
        Invoice.objects.filter(pk__in=ids).update(status=Invoice.Status.VOID)
        for payment in Payment.objects.filter(invoice__in=ids, status__in=Payment.UNDER_WAY):
            wake(payment.waiting)
    return len(ids)


def told(payment: Payment, job: JobContext) -> None:
    """The job ends with the failure of this payment. If it is run once more, it may make another one."""
    with transaction.atomic():
        _locked(payment.invoice_id)
        for row in Payment.objects.filter(invoice=payment.invoice_id, waiting__contains=[job.id]):
            row.waiting.remove(job.id)
            row.save(update_fields=["waiting"])


def _note(row: Payment, refusal: Refusal) -> None:
    row.error_code, row.decline_code = refusal.code[:100], refusal.decline_code[:100]
    row.advice_code, row.message = refusal.advice_code[:100], refusal.message
    row.updated_at = timezone.now()
    row.save()


def _locked(invoice_id: str) -> Invoice:
    """The invoice, held: whoever changes it or its payments holds it first."""
    rows = Invoice.objects.select_related("customer").select_for_update(of=("self",))
    if (invoice := rows.filter(pk=invoice_id).first()) is None:
        raise Discard(f"no invoice {invoice_id}")
    return invoice


def _take_next_key(payment: Payment) -> None:
    """`invoice-7-1` → `invoice-7-1.2` → `invoice-7-1.3`, unless another job was faster."""
    start, _, number = payment.key.rpartition("-")
    first, _, later = number.partition(".")
    with transaction.atomic():
        _locked(payment.invoice_id)
        row = Payment.objects.filter(pk=payment.pk, key=payment.key)
        row.update(key=f"{start}-{first}.{int(later or 1) + 1}", updated_at=Now())
