"""The mails to customers: a promotion to one or to many, a request for a review, a reminder."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from pydantic import Field

from jobs.processor import Discard, JobContext, Payload, batch_process

from .. import letters
from ..declaring import Key, Told, crm_processor
from ..mailer import Mailer
from ..mailing import DEFERRED_FOR, deliver, deliver_or_raise
from ..models import Customer, Promotion, Segment, SentMail, Visit
from ..priority import calculate_priority

LISTED: Final = 1000  # customers that a result names
CHUNK: Final = 2000  # ids that are read at a time


class SendPromotion(Payload):
    customer_id: Key
    promotion_id: Key


class Mailed(Told):
    status: str  # sent, or why not: already, elsewhere, suppressed, over
    detail: str = ""


def _by_tier(payload: Mapping[str, Any]) -> int:
    tiers = Customer.objects.filter(pk=payload["customerId"]).values_list("tier", flat=True)
    return calculate_priority(customer_tier=tiers.first())


@crm_processor(priority=_by_tier)
def send_promotion(payload: SendPromotion, job: JobContext) -> Mailed:
    """Mail a promotion to a customer, who never gets it twice."""
    promotion = _promotion(payload.promotion_id)
    customer = _customer(payload.customer_id)
    if _is_over(promotion.ends_at):
        return Mailed(status="over")
    delivery = deliver_or_raise(letters.promotion(customer, promotion), job)
    return Mailed(status=delivery.status, detail=delivery.detail)


class SendPromotions(Payload):
    promotion_id: Key
    segment: Key | None = Field(None, description="The name of a segment. None: all customers.")
    batch_size: int = Field(50, ge=1, le=500, description="Mails under way at once.")


class PromotionsSent(Told):
    customers: int
    counts: dict[str, int]  # status of a mail → how many
    unconfirmed: list[str]  # customers whose mail may have arrived, or not
    refused: list[str]
    failed: dict[str, str]  # customer → error


@crm_processor(priority="batch", timeout=timedelta(hours=6))
def send_promotions(payload: SendPromotions, job: JobContext) -> PromotionsSent:
    """Mail a promotion to all customers of a segment. What a server puts off becomes a job of its own."""
    promotion = _promotion(payload.promotion_id)
    members = _members(payload.segment)
    if _is_over(promotion.ends_at):
        raise Discard(f"the promotion {promotion.name} is over")
    letters.unsubscribe_url("")  # fails here rather than at each customer

    def send(customer_id: str) -> str:
        customer = Customer.objects.get(pk=customer_id)  # as it is now: many may have been before it
        delivery = deliver(letters.promotion(customer, promotion), mailer, job)
        if delivery.status == SentMail.Status.DEFERRED:
            again = {"customer_id": customer.pk, "promotion_id": promotion.pk}
            job.enqueue_child("send_promotion", again, delay=DEFERRED_FOR, unique_key=f"{promotion.pk}:{customer.pk}")
        return delivery.status

    with Mailer() as mailer:
        outcome = batch_process(members, send, job=job, size=payload.batch_size)
    return PromotionsSent(
        customers=len(outcome.succeeded) + len(outcome.failed),
        counts=dict(Counter(outcome.succeeded.values())) | ({"failed": len(outcome.failed)} if outcome.failed else {}),
        unconfirmed=_with("unconfirmed", outcome.succeeded),
        refused=_with("refused", outcome.succeeded),
        failed=dict(list(outcome.failed.items())[:LISTED]),
    )


class AboutVisit(Payload):
    customer_id: Key
    visit_id: Key


@crm_processor(priority="normal")
def send_review_request(payload: AboutVisit, job: JobContext) -> Mailed:
    """Ask a customer what a visit was like, once."""
    visit = _visit(payload)
    if visit.status != Visit.Status.DONE:
        raise Discard(f"the visit {visit.pk} is {visit.status}, not done")
    if hasattr(visit, "review"):
        return Mailed(status="already", detail="there is a review")
    delivery = deliver_or_raise(letters.review_request(visit.customer, visit), job)
    return Mailed(status=delivery.status, detail=delivery.detail)


@crm_processor(priority="high")
def send_reminder(payload: AboutVisit, job: JobContext) -> Mailed:
    """Remind a customer of an appointment."""
    visit = _visit(payload)
    if visit.status != Visit.Status.BOOKED or _is_over(visit.starts_at):
        return Mailed(status="over", detail=visit.status)
    delivery = deliver_or_raise(letters.reminder(visit.customer, visit), job)
    return Mailed(status=delivery.status, detail=delivery.detail)


def _promotion(promotion_id: str) -> Promotion:
    if (promotion := Promotion.objects.filter(pk=promotion_id).first()) is None:
        raise Discard(f"no promotion {promotion_id}")
    return promotion


def _customer(customer_id: str) -> Customer:
    if (customer := Customer.objects.filter(pk=customer_id).first()) is None:
        raise Discard(f"no customer {customer_id}")
    return customer


def _members(name: str | None) -> Iterator[str]:
    """Their ids: a segment may be everybody."""
    segment = Segment() if name is None else Segment.objects.filter(pk=name).first()
    if segment is None:
        raise Discard(f"no segment {name}")
    return segment.customers().order_by("pk").values_list("pk", flat=True).iterator(CHUNK)


def _visit(payload: AboutVisit) -> Visit:
    visit = Visit.objects.select_related("customer", "review").filter(pk=payload.visit_id).first()
    if visit is None or visit.customer_id != payload.customer_id:
        raise Discard(f"customer {payload.customer_id} has no visit {payload.visit_id}")
    return visit


def _is_over(at: datetime | None) -> bool:
    return at is not None and at <= timezone.now()


def _with(status: str, found: dict[str, str]) -> list[str]:
    return [customer for customer, what in found.items() if what == status][:LISTED]
