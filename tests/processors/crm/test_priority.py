from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.processor import enqueue
from processors.crm.models import Opportunity
from processors.crm.priority import calculate_priority, determine_urgency
from processors.crm.tasks.offers import process_opportunity_offer
from tests.processors.crm.rows import customer, opportunity


def test_what_matters_most_comes_first() -> None:
    assert calculate_priority(urgency="high", customer_tier="vip", value=15_000) == 10


def test_nothing_known_is_the_middle() -> None:
    assert calculate_priority() == 5


@pytest.mark.parametrize(("urgency", "priority"), [("critical", 10), ("high", 8), ("medium", 5), ("low", 3)])
def test_urgency(urgency: str, priority: int) -> None:
    assert calculate_priority(urgency=urgency) == priority


@pytest.mark.parametrize(("tier", "priority"), [("vip", 8), ("premium", 7), ("standard", 5)])
def test_tier(tier: str, priority: int) -> None:
    assert calculate_priority(customer_tier=tier) == priority


@pytest.mark.parametrize(
    ("value", "priority"),
    [(0, 5), (1000, 5), (1000.01, 6), (5000, 6), (Decimal("5000.01"), 7), (10_000, 7), (10_001, 8), (-5, 5)],
)
def test_value(value: float | Decimal, priority: int) -> None:
    assert calculate_priority(value=value) == priority


def test_it_stays_within_one_and_ten() -> None:
    assert calculate_priority(urgency="critical", customer_tier="vip", value=50_000) == 10
    assert calculate_priority(urgency="low", customer_tier="standard", value=1) == 3


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="urgency: expected one of critical, high, medium, low, got 'urgent'"):
        calculate_priority(urgency="urgent")
    with pytest.raises(ValueError, match="customer_tier: expected one of vip, premium, standard, got 'gold'"):
        calculate_priority(customer_tier="gold")


@pytest.mark.django_db
class TestJobs:
    """Who enqueues one without a priority gets the one that it deserves."""

    def test_about_a_customer(self) -> None:
        customer("vip", tier="vip")
        for key, priority in (("vip", 8), ("nobody", 5)):
            job = enqueue("send_promotion", {"customerId": key, "promotionId": "spring"})
            assert Job.objects.get(id=job.id).priority == priority
        asked = enqueue("send_promotion", {"customerId": "vip", "promotionId": "spring"}, priority=3)
        assert Job.objects.get(id=asked.id).priority == 3

    def test_about_an_opportunity(self) -> None:
        opportunity("7", customer(tier="premium"), value=6000, due_at=timezone.now())
        for key, priority in (("7", 10), ("none", 5)):
            job = process_opportunity_offer.delay(opportunity_id=key)
            assert Job.objects.get(id=job.id).priority == priority


@pytest.mark.parametrize(
    ("days", "urgency"),
    [(-2, "critical"), (0.9, "critical"), (1.1, "high"), (2.9, "high"), (3.1, "medium"), (13.9, "medium"), (15, "low")],
)
def test_urgency_by_the_days_left(days: float, urgency: str) -> None:
    assert determine_urgency(Opportunity(due_at=timezone.now() + timedelta(days=days))) == urgency


def test_what_is_due_at_no_time_is_not_urgent() -> None:
    assert determine_urgency(Opportunity(due_at=None)) == "low"
