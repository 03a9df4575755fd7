"""Opportunities: which of them wait for an offer and how urgently, and what we offer."""

from collections.abc import Collection
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce, Lower, Now

from jobs.processor import enqueue_many

from .addresses import NO_MAIL
from .models import Opportunity, Suppression
from .models.customers import Tier
from .priority import calculate_priority, determine_urgency

MOST: Final = 500  # jobs that one look enqueues
DISCOUNT: Final = {Tier.STANDARD: Decimal(0), Tier.PREMIUM: Decimal("0.05"), Tier.VIP: Decimal("0.10")}
CENT: Final = Decimal("0.01")


def queue_offers(limit: int = MOST) -> dict[str, int]:
    """Enqueue a job for each opportunity that waits for an offer, the most valuable first: how many were `queued`.

    One that has an active job gets no second one. Rows are locked, and those that are locked passed over: an offer that
    is being made while we look would be made twice, as far as we see.
    """
    with transaction.atomic():
        jobs = enqueue_many(
            (
                "process_opportunity_offer",
                {"opportunityId": opportunity.pk},
                {"priority": priority_of(opportunity), "unique_key": opportunity.pk, "tags": ["opportunities"]},
            )
            for opportunity in waiting(limit).select_for_update(of=("self",), skip_locked=True)
        )
    return {"queued": sum(job.created for job in jobs)}


def waiting(limit: int) -> QuerySet[Opportunity]:
    """Those that wait for an offer, the most valuable first, with what is needed to tell how urgent they are."""
    unreachable = Suppression.objects.filter(NO_MAIL, address=Lower(OuterRef("customer__email")))
    return (
        Opportunity.objects.filter(
            status__in=Opportunity.OPEN, estimated_value__gt=0, customer__deleted_at=None
        )  # else those whom no offer can be made would be the first every hour
        .exclude(customer__email="")
        .exclude(Exists(unreachable))
        .select_related("customer")
        .only("due_at", "estimated_value", "customer__tier")
        .order_by("-estimated_value", "id")[:limit]
    )


def priority_of(opportunity: Opportunity) -> int:
    """By what it is worth, to whom, and how soon the customer wants to know."""
    return calculate_priority(determine_urgency(opportunity), opportunity.customer.tier, opportunity.estimated_value)


def offer_for(opportunity: Opportunity) -> Decimal:
    """The estimate, less what the customer's tier gets off."""
    price = opportunity.estimated_value * (1 - DISCOUNT[Tier(opportunity.customer.tier)])
    return price.quantize(CENT, ROUND_HALF_UP)


def set_status(ids: Collection[str], status: Opportunity.Status) -> int:
    """Move these opportunities on, in one UPDATE; returns how many had another status."""
    closed = status in Opportunity.CLOSED
    others = Opportunity.objects.filter(pk__in=ids).exclude(status=status)
    return others.update(status=status, closed_at=Coalesce("closed_at", Now()) if closed else None)
