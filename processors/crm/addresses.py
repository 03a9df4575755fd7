"""Addresses of mail: whether they can be written to, whether they must not, and the way out of marketing.

A token for unsubscribing holds the address, signed: whoever has one can stop mail to this address and do nothing else.
It never expires, since mails are kept for years.
"""

from typing import Final

import idna
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q

from .models import Suppression

SALT: Final = "crm.unsubscribe"
ABOUT_MARKETING: Final = (Suppression.Reason.UNSUBSCRIBED, Suppression.Reason.COMPLAINED)
NO_MAIL: Final = ~Q(reason__in=ABOUT_MARKETING)  # not even about what was ordered


class Unreachable(Exception):
    """No mail can be sent to this address; says why."""


def normalised(address: str) -> str:
    """As it is compared: without case, the domain as the DNS has it."""
    local, _, domain = address.strip().rpartition("@")
    return f"{local.casefold()}@{_ascii(domain)}"


def checked(address: str) -> str:
    """The address as it is sent to. Raises Unreachable when nobody can have it."""
    local, _, domain = address.strip().rpartition("@")
    if not local.isascii():
        raise Unreachable(f"a mailbox beyond ASCII needs SMTPUTF8, which our mail does not speak: {address}")
    found = f"{local}@{_ascii(domain)}"
    try:
        if not found.isascii():  # which Django would take, by the rules of 2003
            raise ValidationError("no name in the DNS")
        validate_email(found)
    except ValidationError:
        raise Unreachable(f"not an e-mail address: {address!r}") from None
    return found


def _ascii(domain: str) -> str:
    """As IDNA 2008 has it: Python's own codec is of 2003, and takes straße.example for strasse.example."""
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:
        return domain.casefold()


def is_suppressed(address: str, *, marketing: bool) -> bool:
    """Whether this address gets no mail, or no marketing."""
    suppressed = Suppression.objects.filter(address=normalised(address))
    return suppressed.filter(Q() if marketing else NO_MAIL).exists()


def takes_mail(address: str) -> bool:
    """Whether a mail about what was ordered can be sent to it."""
    try:
        checked(address)
    except Unreachable:
        return False
    return not is_suppressed(address, marketing=False)


def suppress(address: str, reason: Suppression.Reason, detail: str = "") -> None:
    """Put it on the list. Somebody who has unsubscribed stays there as such, unless the mailbox is gone."""
    row, created = Suppression.objects.get_or_create(
        address=normalised(address), defaults={"reason": reason, "detail": detail}
    )
    if not created and reason == Suppression.Reason.BOUNCED and row.reason in ABOUT_MARKETING:
        Suppression.objects.filter(pk=row.pk).update(reason=reason, detail=detail)


def token(address: str) -> str:
    """What a link to unsubscribe this address carries."""
    return signing.Signer(salt=SALT).sign_object(normalised(address))


def address_of(token: str) -> str | None:
    """The address of a token that we made; None for any other text."""
    try:
        return str(signing.Signer(salt=SALT).unsign_object(token))
    except (signing.BadSignature, ValueError):
        return None
