"""What came in, was offered, was won and lost: by time, by tier, and where the new ones are now."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from ..models import Opportunity
from ..models.customers import Tier
from .shapes import Chart, Column, Content, Figure, Period, Table, Unit, Value, share


class Step(NamedTuple):
    """One thing that happens to an opportunity: how often, and what it was worth."""

    number: int = 0
    value: Decimal = Decimal(0)


Steps = dict[object, Step]  # by bucket and by tier, and in all under ""


def opportunities(period: Period) -> Content:
    estimated, agreed = Sum("estimated_value"), Sum(Coalesce("offer", "estimated_value"))
    new = _steps(period, "created_at", Q(), estimated)
    offered = _steps(period, "offered_at", Q(), Sum("offer"))
    won = _steps(period, "closed_at", Q(status=Opportunity.Status.WON), agreed)
    lost = _steps(period, "closed_at", Q(status=Opportunity.Status.LOST), agreed)

    def rows(groups: Iterable[tuple[Value, object]]) -> list[tuple[Value, ...]]:
        return [
            (
                label,
                new[g].number,
                offered[g].number,
                won[g].number,
                lost[g].number,
                won[g].value,
                _rate(won[g], lost[g]),
            )
            for label, g in groups
        ]

    columns = (
        Column("New"),
        Column("Offers"),
        Column("Won"),
        Column("Lost"),
        Column("Won value", Unit.MONEY),
        Column("Win rate", Unit.PERCENT),
    )
    return Content(
        "Opportunities",
        period,
        [
            Figure("New", new[""].number),
            Figure("Offers", offered[""].number),
            Figure("Offered value", offered[""].value, Unit.MONEY),
            Figure("Won", won[""].number),
            Figure("Won value", won[""].value, Unit.MONEY),
            Figure("Lost", lost[""].number),
            Figure("Win rate", _rate(won[""], lost[""]), Unit.PERCENT),
        ],
        [
            Table(
                f"By {period.column.title.lower()}",
                (period.column, *columns),
                rows((bucket, bucket) for bucket in period.buckets()),
                Chart("lines", (1, 2, 3, 4)),
            ),
            Table(
                "By tier",
                (Column("Tier", Unit.TEXT), *columns),
                rows((str(tier.label), tier.value) for tier in Tier),
                Chart("bars", (1, 2, 3, 4)),
            ),
            _where_they_are(period),
        ],
    )


def _steps(period: Period, at: str, which: Q, value: Sum) -> Steps:
    found: Steps = defaultdict(Step)
    rows = Opportunity.objects.filter(which, **period.within(at)).order_by()
    groups = rows.values_list(period.bucket(at), "customer__tier").annotate(Count("pk"), value=value)
    for bucket, tier, count, worth in groups:
        for group in (bucket, tier, ""):
            found[group] = Step(found[group].number + count, found[group].value + (worth or 0))
    return found


def _rate(won: Step, lost: Step) -> Decimal | None:
    return share(won.number, won.number + lost.number)


def _where_they_are(period: Period) -> Table:
    new = Opportunity.objects.filter(**period.within("created_at")).order_by()
    groups = new.values_list("status").annotate(Count("pk"), Sum("estimated_value"))
    now = {status: (count, value) for status, count, value in groups}
    return Table(
        "New ones by status now",
        (Column("Status", Unit.TEXT), Column("Opportunities"), Column("Estimated value", Unit.MONEY)),
        [(str(status.label), *now.get(status.value, (0, Decimal(0)))) for status in Opportunity.Status],
        Chart("bars", (1,)),
    )
