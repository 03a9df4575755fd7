"""What providers were asked, what it cost and how they failed, over a time, from the calls."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Max, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from .failures import Kind
from .models import Call


@dataclass(frozen=True)
class Failing:
    """How often a provider failed in one way."""

    provider: str
    kind: Kind
    count: int
    last: datetime


@dataclass(frozen=True)
class Usage:
    """What was asked of a provider. Calls whose cost is not known are left out of it."""

    provider: str
    calls: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost: Decimal  # USD


def failures(start: datetime, end: datetime, provider: str | None = None) -> list[Failing]:
    """Calls of a time (the end is not in it) that failed, by provider and class, the most frequent first."""
    found = _calls(start, end, provider).exclude(error_class="").values("provider", "error_class")
    rows = found.annotate(count=Count("pk"), last=Max("sent_at")).order_by("-count", "provider", "error_class")
    return [Failing(row["provider"], Kind(row["error_class"]), row["count"], row["last"]) for row in rows]


def usage(start: datetime, end: datetime, provider: str | None = None) -> list[Usage]:
    """Calls of a time (the end is not in it) by provider: how many, how many failed, tokens and cost."""
    rows = _calls(start, end, provider).values("provider").order_by("provider")
    return [
        Usage(**row)
        for row in rows.annotate(
            calls=Count("pk"),
            failed=Count("pk", filter=~Q(error_class="")),
            input_tokens=Sum("input_tokens"),
            output_tokens=Sum("output_tokens"),
            cost=Coalesce(Sum("cost"), Decimal(0)),
        )
    ]


def _calls(start: datetime, end: datetime, provider: str | None) -> QuerySet[Call]:
    calls = Call.objects.filter(sent_at__gte=start, sent_at__lt=end)
    return calls.filter(provider=provider) if provider else calls
