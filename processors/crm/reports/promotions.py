"""What became of the mails of promotions, by time and by promotion, and who wants no more of them."""

from collections import Counter
from datetime import date

from django.db.models import Count

from ..models import Promotion, SentMail, Suppression
from .shapes import Chart, Column, Content, Figure, Period, Table, Unit, share

Status = SentMail.Status
SHOWN = {  # the columns, and what they count
    "Sent": (Status.SENT,),
    "Refused": (Status.REFUSED,),
    "Unconfirmed": (Status.UNCONFIRMED,),
    "Waiting": (Status.SENDING, Status.DEFERRED),
}


def promotions(period: Period) -> Content:
    mails = SentMail.objects.filter(kind=SentMail.Kind.PROMOTION, **period.within("updated_at")).order_by()
    counts: Counter[tuple[object, str]] = Counter()  # (bucket, or promotion, or "" for all; status) → mails
    groups = mails.values_list(period.bucket("updated_at"), "promotion", "status").annotate(Count("pk"))
    for bucket, promotion, status, count in groups:
        for group in (bucket, promotion, ""):
            counts[group, status] += count
    stopped = _stopped(period)

    def numbers(group: object) -> list[int]:
        return [sum(counts[group, status] for status in statuses) for statuses in SHOWN.values()]

    sums = numbers("")
    return Content(
        "Promotions",
        period,
        [
            *(Figure(title, value) for title, value in zip(SHOWN, sums, strict=True)),
            Figure("Refused of all", share(counts["", Status.REFUSED], sum(sums)), Unit.PERCENT),
            Figure("Unsubscribed", stopped.total()),
        ],
        [
            Table(
                f"By {period.column.title.lower()}",
                (period.column, *map(Column, SHOWN), Column("Unsubscribed")),
                [(bucket, *numbers(bucket), stopped[bucket]) for bucket in period.buckets()],
                Chart("lines", (1, 2, 5)),
            ),
            Table(
                "By promotion",
                (Column("Promotion", Unit.TEXT), *map(Column, SHOWN)),
                [(name, *numbers(key)) for key, name in _names({group for group, _ in counts})],
                Chart("bars", (1, 2)),
            ),
        ],
    )


def _stopped(period: Period) -> Counter[date]:
    unsubscribed = Suppression.objects.filter(reason=Suppression.Reason.UNSUBSCRIBED, **period.within("at"))
    return Counter(dict(unsubscribed.order_by().values_list(period.bucket("at")).annotate(Count("pk"))))


def _names(groups: set[object]) -> list[tuple[str | None, str]]:
    """Those promotions of which there were mails, by name; last the mails of promotions that are gone."""
    keys = [group for group in groups if isinstance(group, str) and group]
    names = list(Promotion.objects.filter(pk__in=keys).order_by("name", "pk").values_list("pk", "name"))
    return [*names, (None, "(deleted)")] if None in groups else [*names]
