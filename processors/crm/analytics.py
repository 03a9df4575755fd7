"""The figures of a day (UTC), counted from the rows of that day: as often as wanted, always the same.

Rows of mails are deleted some weeks later (`cleaning`), and nothing else that is counted here: how many there were is
then known from the first count only, and no later one takes anything away from it.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Avg, Count, Sum
from django.db.models.functions import Coalesce, Now

from .models import (
    Customer,
    DailyAnalytics,
    Invoice,
    Opportunity,
    Payment,
    Review,
    SentMail,
    Suppression,
    Visit,
)


def bounds(day: date) -> tuple[datetime, datetime]:
    """When the day begins, and when the next one does."""
    start = datetime.combine(day, time.min, UTC)
    return start, start + timedelta(days=1)


def count_day(day: date) -> DailyAnalytics:
    """Count this day, and keep it in the place of what was counted before."""
    with transaction.atomic():
        before = DailyAnalytics.objects.select_for_update().filter(day=day).first()
        figures = _figures(day)
        if before is not None:
            figures["mails_sent"] = _most(before.mails_sent, figures["mails_sent"])
            figures["mails_refused"] = max(before.mails_refused, figures["mails_refused"])
        row, _ = DailyAnalytics.objects.update_or_create(day=day, defaults={**figures, "updated_at": Now()})
    return row


def _most(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    return {kind: max(before.get(kind, 0), now.get(kind, 0)) for kind in before | now}


def _figures(day: date) -> dict[str, Any]:
    start, end = bounds(day)

    def within(field: str) -> dict[str, datetime]:
        return {f"{field}__gte": start, f"{field}__lt": end}

    paid = Invoice.objects.filter(status=Invoice.Status.PAID, **within("paid_at"))
    offered = Opportunity.objects.filter(**within("offered_at"))
    won = Opportunity.objects.filter(status=Opportunity.Status.WON, **within("closed_at"))
    mails = SentMail.objects.filter(**within("updated_at"))
    reviews = Review.objects.filter(**within("created_at"))
    return {
        "revenue": dict(paid.order_by().values_list("currency").annotate(Sum("amount"))),
        "invoices_paid": paid.count(),
        "payments_failed": Payment.objects.filter(status=Payment.Status.FAILED, **within("updated_at")).count(),
        "new_customers": Customer.objects.filter(**within("created_at")).count(),
        "new_opportunities": Opportunity.objects.filter(**within("created_at")).count(),
        "offers": offered.count(),
        "offered_value": _total(offered, "offer"),
        "won": won.count(),
        "won_value": won.aggregate(total=Sum(Coalesce("offer", "estimated_value")))["total"] or 0,
        "lost": Opportunity.objects.filter(status=Opportunity.Status.LOST, **within("closed_at")).count(),
        "visits_done": Visit.objects.filter(status=Visit.Status.DONE, **within("starts_at")).count(),
        "reviews": reviews.count(),
        "average_rating": reviews.aggregate(average=Avg("rating"))["average"],
        "mails_sent": dict(
            mails.filter(status=SentMail.Status.SENT).order_by().values_list("kind").annotate(Count("pk"))
        ),
        "mails_refused": mails.filter(status=SentMail.Status.REFUSED).count(),
        "unsubscribed": Suppression.objects.filter(reason=Suppression.Reason.UNSUBSCRIBED, **within("at")).count(),
    }


def _total(rows: Any, field: str) -> Any:
    return rows.aggregate(total=Sum(field))["total"] or 0
