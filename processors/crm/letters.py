"""What our mails say: a customer, a subject and a template make a message with a text and an HTML part.

Names and addresses come from outside: none of them can add a header, and HTML shows them as they are.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formataddr, parseaddr
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode

from jobs.errors import Discard

from . import addresses
from .models import Customer, Promotion, SentMail, Visit

MARKETING: Final = (SentMail.Kind.PROMOTION, SentMail.Kind.REVIEW_REQUEST)  # the rest is about what was ordered


@dataclass(frozen=True)
class Letter:
    """A mail to a customer. `key` names the effect: there is one mail for it, ever."""

    kind: SentMail.Kind  # also its template
    key: str
    customer: Customer
    subject: str
    context: Mapping[str, Any] = field(default_factory=dict)
    promotion: Promotion | None = None
    visit: Visit | None = None

    @property
    def marketing(self) -> bool:
        return self.kind in MARKETING

    @property
    def message_id(self) -> str:
        return message_id(hashlib.sha256(self.key.encode()).hexdigest()[:32])


def promotion(customer: Customer, offered: Promotion) -> Letter:
    return Letter(
        SentMail.Kind.PROMOTION,
        f"promotion:{offered.pk}:{customer.pk}",
        customer,
        offered.subject,
        {"promotion": offered},
        promotion=offered,
    )


def review_request(customer: Customer, visit: Visit) -> Letter:
    subject = f"How was your {visit.service}?"
    return Letter(SentMail.Kind.REVIEW_REQUEST, f"review:{visit.pk}", customer, subject, {"visit": visit}, visit=visit)


def reminder(customer: Customer, visit: Visit) -> Letter:
    """One for each time that a visit is booked for: who moves it is reminded again."""
    return Letter(
        SentMail.Kind.REMINDER,
        f"reminder:{visit.pk}:{visit.starts_at:%Y%m%dT%H%M%SZ}",
        customer,
        f"Your appointment: {visit.service}",
        {"visit": visit},
        visit=visit,
    )


def composed(letter: Letter, address: str) -> EmailMultiAlternatives:
    """The message for an address that `addresses.checked` has seen."""
    headers = {"Message-ID": letter.message_id}
    context = {
        **letter.context,
        "customer": letter.customer,
        "signature": settings.CRM_SIGNATURE,
        "zone": settings.CRM_TIME_ZONE,
    }
    if letter.marketing:
        context["unsubscribe"] = unsubscribe_url(address)
        headers["List-Unsubscribe"] = f"<{context['unsubscribe']}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
    message = EmailMultiAlternatives(
        one_line(letter.subject),
        render_to_string(f"crm/mail/{letter.kind}.txt", context),
        to=[formataddr((one_line(letter.customer.name), address))],
        headers=headers,
    )
    message.attach_alternative(render_to_string(f"crm/mail/{letter.kind}.html", context), "text/html")
    return message


def notice(job: UUID, address: str, subject: str, text: str) -> EmailMessage:
    """The mail of a job that has one, for an address that `addresses.checked` has seen: the same however often sent."""
    return EmailMessage(one_line(subject), text, to=[address], headers={"Message-ID": message_id(f"job.{job}")})


def message_id(key: str) -> str:
    """The same for the same key: what is delivered twice can be seen to be one."""
    _, sender = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return f"<{key}@{sender.rpartition('@')[2]}>"


def unsubscribe_url(address: str) -> str:
    """The page that takes this address out of marketing. Without the site's address there is none, and no marketing."""
    if not settings.SITE_URL:
        raise Discard("SITE_URL is not set: a mail that markets something needs an address to unsubscribe at")
    # In the query: paths are in logs, and the token has the address in it.
    query = urlencode({"token": addresses.token(address)})
    return f"{settings.SITE_URL.rstrip('/')}{reverse('crm:unsubscribe')}?{query}"


def one_line(text: str) -> str:
    """A line break in a name or a subject would be another header."""
    return " ".join(text.split())
