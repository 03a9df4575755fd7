"""Stripe's events: each is stored once, and taken whatever the order they come in.

An event only says that something may have changed; what that means for a payment is `payments`' business.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from . import payments
from .models import Payment, StripeEvent
from .stripe_words import intent_of

log = logging.getLogger(__name__)

UNREAD: Final = "unread"  # the type of an event that says none


def receive(body: bytes) -> StripeEvent | None:
    """Store an event, and act on it, in one transaction. None: it was here before.

    One that we cannot read is stored as well: anything but a good answer makes Stripe send it again for days.
    """
    row = _row(body)
    with transaction.atomic():
        StripeEvent.objects.bulk_create([row], ignore_conflicts=True)
        if StripeEvent.objects.select_for_update().get(pk=row.pk).handled_at is not None:
            return None
        about = _object(row.payload)
        if about.get("object") == "payment_intent" and (payment := _payment_of(about)) is not None:
            payments.settle(payment, intent_of(about, row.created_at))
        StripeEvent.objects.filter(pk=row.pk).update(handled_at=Now())
    return row


def _row(body: bytes) -> StripeEvent:
    text = body.decode(errors="replace").replace("\0", "").replace("\\u0000", "")
    try:
        event = json.loads(text)
        json.dumps(event, ensure_ascii=False, allow_nan=False).encode()  # or Postgres has no place for it
    except ValueError:
        event = None
    if not (isinstance(event, dict) and isinstance(event.get("id"), str) and _object(event)):
        log.error("Stripe has sent an event that we cannot read: %s", text[:500])
    known: dict[str, Any] = event if isinstance(event, dict) else {}
    return StripeEvent(
        id=str(known.get("id") or f"{UNREAD}-{hashlib.sha256(body).hexdigest()}")[:255],
        type=str(known.get("type") or UNREAD)[:100],
        object_id=str(_object(known).get("id") or "")[:255],
        created_at=_time(known.get("created")),
        payload=text if event is None else event,
    )


def _object(event: Any) -> Mapping[str, Any]:
    """What it is about, as it was then. Empty where it does not say."""
    data = event.get("data") if isinstance(event, dict) else None
    about = data.get("object") if isinstance(data, dict) else None
    return about if isinstance(about, dict) else {}


def _time(created: Any) -> datetime:
    is_known = isinstance(created, int) and 0 < created < 2**34  # in five hundred years
    return datetime.fromtimestamp(created, UTC) if is_known else timezone.now()


def _payment_of(about: Mapping[str, Any]) -> Payment | None:
    """By its intent, or by what the intent says: an event may come before our call has been answered."""
    if not {"id", "status", "amount", "currency"} <= about.keys():
        return None
    if (known := Payment.objects.filter(provider_id=about["id"]).first()) is not None:
        return known
    metadata = about.get("metadata") or {}
    ours = str(metadata.get("payment") or "")
    if not (ours.isascii() and ours.isdecimal() and len(ours) < 19):
        return None
    return Payment.objects.filter(pk=int(ours), invoice=str(metadata.get("invoice") or "")).first()
