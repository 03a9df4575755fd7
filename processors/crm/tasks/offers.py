"""From an opportunity to an offer: the look for those that wait, and the offer itself."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from pydantic import Field

from jobs.processor import Discard, JobContext, Payload

from .. import addresses, opportunities
from ..declaring import Key, Told, crm_processor
from ..models import Opportunity
from ..priority import BASE

VALID_FOR: Final = timedelta(days=30)


class ProcessOpportunities(Payload):
    limit: int = Field(opportunities.MOST, ge=1, le=10_000, description="Jobs to enqueue at most.")


class OpportunitiesQueued(Told):
    queued: int


@crm_processor(priority="normal")
def process_opportunities(payload: ProcessOpportunities, job: JobContext) -> OpportunitiesQueued:
    """Enqueue an offer for each opportunity that waits for one, the most valuable first."""
    return OpportunitiesQueued(**opportunities.queue_offers(payload.limit))


class ProcessOpportunityOffer(Payload):
    opportunity_id: Key


class OfferMade(Told):
    status: str
    offer: Decimal | None = None
    mail: UUID | None = None  # the job that tells the customer
    skipped: str = ""  # why there is no new offer


def _by_what_it_is_worth(payload: Mapping[str, Any]) -> int:
    found = Opportunity.objects.select_related("customer").filter(pk=payload["opportunityId"]).first()
    return opportunities.priority_of(found) if found else BASE


@crm_processor(priority=_by_what_it_is_worth)
def process_opportunity_offer(payload: ProcessOpportunityOffer, job: JobContext) -> OfferMade:
    """Make a customer an offer: compute it, move the opportunity on and enqueue the mail, all or nothing."""
    with transaction.atomic():
        rows = Opportunity.objects.select_related("customer").select_for_update(of=("self",))
        opportunity = rows.filter(pk=payload.opportunity_id).first()
        if opportunity is None:
            raise Discard(f"no opportunity {payload.opportunity_id}")
        if opportunity.status not in Opportunity.OPEN:
            return OfferMade(status=opportunity.status, offer=opportunity.offer, skipped=f"is {opportunity.status}")
        if opportunity.estimated_value <= 0:
            raise Discard("nothing can be offered: the opportunity has no estimated value")
        if opportunity.customer.deleted_at or not addresses.takes_mail(opportunity.customer.email):
            return OfferMade(status=opportunity.status, skipped="the customer cannot be written to")
        offer = opportunities.offer_for(opportunity)
        Opportunity.objects.filter(pk=opportunity.pk).update(
            status=Opportunity.Status.OFFERED, offer=offer, offered_at=Now(), offer_ends_at=Now() + VALID_FOR
        )
        mail = job.enqueue_child(
            "send_notification", _mail(opportunity, offer), priority=opportunities.priority_of(opportunity)
        )
    return OfferMade(status=Opportunity.Status.OFFERED, offer=offer, mail=mail.id)


def _mail(opportunity: Opportunity, offer: Decimal) -> dict[str, str]:
    name, title = opportunity.customer.name, opportunity.title
    return {
        "recipient": opportunity.customer.email,
        "channel": "email",
        "subject": f"Our offer: {title}",
        "body": f"Hello {name},\n\nwe offer you {title} for {offer:,.2f}. "
        f"The offer is good for {VALID_FOR.days} days; answer this mail to accept it.\n",
    }
