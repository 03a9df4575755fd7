"""What customers and admins are told of payments: by jobs of their own, enqueued together with what they tell.

Admins are those whom alerts go to (ALERT_EMAILS, ALERT_WEBHOOK_URL); a message to them is kept in the app as well.
"""

import logging
from typing import Final

from django.conf import settings

from jobs.processor import enqueue_many

from . import addresses
from .models import Invoice, Payment

log = logging.getLogger(__name__)

ADMINS: Final = "admins"  # as the recipient of a message in the app, and as the name of the webhook of alerts


def please_confirm(invoice: Invoice, payment: Payment) -> None:
    """Ask the customer to confirm a payment. Where that is not possible, admins have to."""
    customer = invoice.customer
    if not (payment.action_url and addresses.takes_mail(customer.email)):
        lacking = "address that takes mail" if payment.action_url else "page for it"
        tell_admins(
            f"Invoice {invoice.number}: the customer has to confirm",
            f"Payment {payment.provider_id} of invoice {invoice.number} has to be confirmed by {customer.name}, "
            f"who has not been told: there is no {lacking}.\n{payment.action_url}",
        )
        return
    body = f"Hello {customer.name},\n\nyour bank wants you to confirm this payment:\n{payment.action_url}\n"
    _enqueue(f"Please confirm your payment of invoice {invoice.number}", body, [("email", customer.email)])


def paid_too_much(invoice: Invoice, payment: Payment) -> None:
    """Admins have to look at money that nobody asked for any more."""
    others = Payment.objects.filter(invoice=invoice).exclude(pk=payment.pk)
    lines = [
        f"Invoice {invoice.number} was {invoice.status} when its payment {payment.provider_id} of {payment.amount} "
        f"{payment.currency.upper()} (minor units) succeeded. Refund what was not owed.",
        *(f"Beside it: {other.provider_id or other.key}, {other.status}" for other in others),
    ]
    tell_admins(f"Invoice {invoice.number}: paid beside", "\n".join(lines))


def tell_admins(subject: str, body: str) -> None:
    """In the app, and by what alerts go to."""
    log.error("%s", subject)
    webhook = [("webhook", ADMINS)] if settings.ALERT_WEBHOOK_URL else []
    _enqueue(subject, body, [("in-app", ADMINS), *(("email", to) for to in settings.ALERT_EMAILS), *webhook])


def _enqueue(subject: str, body: str, to: list[tuple[str, str]]) -> None:
    message = {"subject": subject, "body": body.strip()}
    enqueue_many(("send_notification", {"channel": channel, "recipient": name, **message}) for channel, name in to)
