"""How important a job about a customer is: from 1 to 10, where 10 runs first."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from django.utils import timezone

BASE: Final = 5
URGENCIES: Final[Mapping[str, int]] = {"critical": 5, "high": 3, "medium": 0, "low": -2}
TIERS: Final[Mapping[str, int]] = {"vip": 3, "premium": 2, "standard": 0}
VALUES: Final = ((10_000, 3), (5_000, 2), (1_000, 1))  # a value above this adds so much
DUE: Final = ((timedelta(days=1), "critical"), (timedelta(days=3), "high"), (timedelta(days=14), "medium"))


class Dated(Protocol):
    """What may have to be answered by a time."""

    due_at: datetime | None


def calculate_priority(
    urgency: str | None = None, customer_tier: str | None = None, value: Decimal | float | None = None
) -> int:
    """1 to 10. What is not given counts nothing; a word that is not known is a ValueError."""
    points = BASE + _points("urgency", urgency, URGENCIES) + _points("customer_tier", customer_tier, TIERS)
    points += next((more for above, more in VALUES if value is not None and value > above), 0)
    return max(1, min(10, points))


def determine_urgency(what: Dated) -> str:
    """By how much time is left until it is due; what is due at no time is not urgent."""
    if what.due_at is None:
        return "low"
    left = what.due_at - timezone.now()
    return next((urgency for within, urgency in DUE if left <= within), "low")


def _points(name: str, word: str | None, table: Mapping[str, int]) -> int:
    if word is None:
        return 0
    if word not in table:
        raise ValueError(f"{name}: expected one of {', '.join(table)}, got {word!r}")
    return table[word]
