"""What was paid: by time, by tier, by the best customers; and why charges failed. Currencies are never added up."""

from collections import Counter
from decimal import Decimal
from typing import Final

from django.db.models import Count, QuerySet, Sum

from ..models import Customer, Invoice, Payment
from ..models.customers import Tier
from .shapes import Chart, Column, Content, Figure, Period, Table, Unit, Value

BEST: Final = 10  # customers of each currency

# Digits behind the point, where they are not two: amounts are in minor units (docs.stripe.com/currencies).
DIGITS: Final = dict.fromkeys("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(), 0) | dict.fromkeys(
    "bhd jod kwd omr tnd".split(), 3
)


def digits(currency: str) -> int:
    return DIGITS.get(currency.lower(), 2)


def whole_units(amount: int, currency: str) -> Decimal:
    """1250 cents are 12.50 dollars."""
    return Decimal(amount).scaleb(-digits(currency))


def revenue(period: Period) -> Content:
    paid = Invoice.objects.filter(status=Invoice.Status.PAID, **period.within("paid_at")).order_by()
    by_time: Counter[tuple[object, str]] = Counter()  # (bucket, currency) → minor units
    by_tier: Counter[tuple[object, str]] = Counter()
    invoices: Counter[object] = Counter()  # bucket, tier or currency → how many
    totals: Counter[str] = Counter()
    groups = paid.values_list(period.bucket("paid_at"), "customer__tier", "currency")
    for bucket, tier, currency, count, amount in groups.annotate(Count("pk"), Sum("amount")):
        by_time[bucket, currency] += amount
        by_tier[tier, currency] += amount
        totals[currency] += amount
        for group in (bucket, tier, currency):
            invoices[group] += count
    currencies = sorted(totals)
    money = tuple(Column(f"Revenue {c.upper()}", Unit.MONEY, digits(c)) for c in currencies)
    bars = Chart("bars", tuple(range(2, 2 + len(money)))) if money else None

    def row(label: Value, group: object, amounts: Counter[tuple[object, str]]) -> tuple[Value, ...]:
        return label, invoices[group], *(whole_units(amounts[group, c], c) for c in currencies)

    figures = [Figure("Invoices paid", sum(invoices[c] for c in currencies))]
    for c in currencies:
        whole = whole_units(totals[c], c)
        figures.append(Figure(f"Revenue {c.upper()}", whole, Unit.MONEY, digits(c)))
        figures.append(Figure(f"Average invoice {c.upper()}", whole / invoices[c], Unit.MONEY, digits(c)))
    return Content(
        "Revenue",
        period,
        figures,
        [
            Table(
                f"By {period.column.title.lower()}",
                (period.column, Column("Invoices"), *money),
                [row(bucket, bucket, by_time) for bucket in period.buckets()],
                bars,
            ),
            Table(
                "By tier",
                (Column("Tier", Unit.TEXT), Column("Invoices"), *money),
                [row(str(tier.label), tier.value, by_tier) for tier in Tier],
                bars,
            ),
            *(_best(paid, currency) for currency in currencies),
            _failures(period),
        ],
    )


def _best(paid: QuerySet[Invoice], currency: str) -> Table:
    customers = (
        Customer.objects.filter(invoices__in=paid.filter(currency=currency))
        .annotate(count=Count("invoices"), amount=Sum("invoices__amount"))
        .order_by("-amount", "name", "id")
    )
    return Table(
        f"Best customers {currency.upper()}",
        (
            Column("Customer", Unit.TEXT),
            Column("Tier", Unit.TEXT),
            Column("Invoices"),
            Column("Revenue", Unit.MONEY, digits(currency)),
        ),
        [(c.name, c.get_tier_display(), c.count, whole_units(c.amount, currency)) for c in customers[:BEST]],
        Chart("bars", (3,)),
        total=False,
    )


def _failures(period: Period) -> Table:
    failed = Payment.objects.filter(status=Payment.Status.FAILED, **period.within("updated_at")).order_by()
    reasons = failed.values_list("error_code", "decline_code").annotate(count=Count("pk"))
    rows: list[tuple[Value, ...]] = [
        (": ".join(filter(None, (code, decline))) or "unknown", count) for code, decline, count in reasons
    ]
    return Table(
        "Failed payments",
        (Column("Reason", Unit.TEXT), Column("Payments")),
        sorted(rows, key=lambda row: (-int(str(row[1])), str(row[0]))),
    )
