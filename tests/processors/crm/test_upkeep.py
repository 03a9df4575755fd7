"""Old rows go, days are counted."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone
from pytest_django import Settings

from jobs.models import Job
from jobs.processor import enqueue
from jobs.testing import perform
from processors.crm.cleaning import STRIPE_REPEATS
from processors.crm.models import (
    Customer,
    CustomerChange,
    DailyAnalytics,
    Invoice,
    Notification,
    Opportunity,
    Payment,
    Report,
    ReportFile,
    Review,
    SentMail,
    StripeEvent,
    Suppression,
    Visit,
)
from tests.processors.crm.rows import customer, opportunity, promotion, result_of, visit

pytestmark = pytest.mark.django_db

OLD = timezone.now() - timedelta(days=40)
DAY = date(2026, 3, 14)
NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


def mail(key: str, **fields: Any) -> SentMail:
    usual = {
        "kind": "reminder",
        "status": "sent",
        "address": "a@b.example",
        "message_id": key,
        "job": uuid4(),
        "run": 1,
    }
    return SentMail.objects.create(key=key, updated_at=OLD, **usual | fields)


@pytest.fixture
def old(settings: Settings, tmp_path: Path) -> None:
    """One row of each kind that is old, and one that is not."""
    settings.MEDIA_ROOT = tmp_path
    mail("old")
    SentMail.objects.filter(pk=mail("new").pk).update(updated_at=timezone.now())
    for at in (OLD, timezone.now()):
        note = Notification.objects.create(job=uuid4(), channel="in-app", recipient="ada", subject="Hello")
        Notification.objects.filter(pk=note.pk).update(created_at=at)
        owner = Customer.objects.first() or customer()
        CustomerChange.objects.create(customer=owner, job=uuid4(), before={}, after={"name": "x"}, at=at)
        event = StripeEvent.objects.create(id=f"evt_{at:%j}", type="x", created_at=at, payload={}, handled_at=at)
        StripeEvent.objects.filter(pk=event.pk).update(received_at=at)
        report = Report.objects.create(kind="revenue", starts_on=DAY, ends_on=DAY, job=uuid4())
        Report.objects.filter(pk=report.pk).update(created_at=at)
        ReportFile.objects.create(report=report, format="pdf", file=ContentFile(b"x", f"{at:%j}.pdf"), size=1)
        job = perform(enqueue("smoke"))
        Job.objects.filter(id=job.id).update(finished_at=at)


COUNTS = {"mails": 1, "notifications": 1, "customer changes": 1, "stripe events": 1, "reports": 1, "jobs": 1}


def test_what_is_old_goes(old: None, tmp_path: Path) -> None:
    assert perform(enqueue("cleanup_old_data", {"days": 30})).result == {
        "deleted": COUNTS,
        "unconfirmed": 0,
        "dryRun": False,
    }
    assert [model.objects.count() for model in (SentMail, Notification, CustomerChange, StripeEvent, Report)] == [1] * 5
    assert len(list(tmp_path.rglob("*.pdf"))) == 1
    assert result_of(perform(enqueue("cleanup_old_data")))["deleted"] == {}


def test_a_dry_run_counts_only(old: None) -> None:
    result = perform(enqueue("cleanup_old_data", {"dryRun": True})).result
    assert result == {"deleted": COUNTS, "unconfirmed": 0, "dryRun": True}
    assert SentMail.objects.count() == 2


def test_what_keeps_mails_from_being_sent_twice_stays() -> None:
    owner = customer()
    done = visit(status=Visit.Status.DONE)
    mail("running", kind="promotion", promotion=promotion("running"))
    mail("over", kind="promotion", promotion=promotion("over", ends_at=OLD))
    mail("review", kind="review-request", visit=done, customer=owner)
    mail("a kind of which nobody has said when it is over", kind="welcome")
    perform(enqueue("cleanup_old_data"))
    assert set(SentMail.objects.values_list("kind", flat=True)) == {"promotion", "review-request", "welcome"}
    assert not SentMail.objects.filter(key="over").exists()


def test_events_that_stripe_may_send_again_stay() -> None:
    at = timezone.now() - STRIPE_REPEATS + timedelta(hours=1)
    StripeEvent.objects.create(id="evt_1", type="x", created_at=at, payload={}, handled_at=at)
    StripeEvent.objects.update(received_at=at)
    perform(enqueue("cleanup_old_data", {"days": 1}))
    assert StripeEvent.objects.exists()


def test_mails_of_lost_jobs_become_unconfirmed() -> None:
    mail("lost", status="sending")
    assert result_of(perform(enqueue("cleanup_old_data", {"days": 365})))["unconfirmed"] == 1
    assert SentMail.objects.get().status == "unconfirmed"


def test_payloads_are_checked() -> None:
    with pytest.raises(ValueError, match="days"):
        enqueue("cleanup_old_data", {"days": 0})


@pytest.fixture
def day() -> None:
    """What happened on the day, and the same on the day after."""
    for at in (NOON, NOON + timedelta(days=1)):
        key = f"{at:%d}"
        owner = customer(key)
        Customer.objects.filter(pk=key).update(created_at=at)
        for number, (amount, currency) in enumerate([(1000, "usd"), (250, "usd"), (700, "eur")]):
            name = f"{key}-{number}"
            Invoice.objects.create(
                id=name, number=name, customer=owner, amount=amount, currency=currency, status="paid", paid_at=at
            )
        Payment.objects.create(invoice_id=f"{key}-0", key=key, amount=1, currency="usd", status="failed", updated_at=at)
        opportunity(f"won-{key}", owner, status="won", offer=Decimal("90.50"), offered_at=at, closed_at=at)
        opportunity(f"lost-{key}", owner, status="lost", closed_at=at)
        Opportunity.objects.filter(customer=owner).update(created_at=at)
        done = visit(f"visit-{key}", owner, status=Visit.Status.DONE, starts_at=at)
        Review.objects.create(visit=done, rating=4)
        Review.objects.filter(visit=done).update(created_at=at)
        SentMail.objects.filter(pk=mail(f"sent-{key}").pk).update(updated_at=at)
        SentMail.objects.filter(pk=mail(f"refused-{key}", status="refused").pk).update(updated_at=at)
        Suppression.objects.create(address=f"{key}@example.com", reason="unsubscribed")
        Suppression.objects.filter(pk=f"{key}@example.com").update(at=at)


def test_a_day_is_counted_and_counted_again(day: None) -> None:
    for _ in range(2):
        job = perform(enqueue("update_analytics", {"day": DAY.isoformat()}))
        assert job.result == {"day": "2026-03-14", "invoicesPaid": 3, "offers": 1, "mailsSent": 1}
        row = DailyAnalytics.objects.get()
        figures = {name: getattr(row, name) for name in (f.name for f in DailyAnalytics._meta.fields)}
        del figures["updated_at"]
        assert figures == {
            "day": DAY,
            "revenue": {"usd": 1250, "eur": 700},
            "invoices_paid": 3,
            "payments_failed": 1,
            "new_customers": 1,
            "new_opportunities": 2,
            "offers": 1,
            "offered_value": Decimal("90.50"),
            "won": 1,
            "won_value": Decimal("90.50"),
            "lost": 1,
            "visits_done": 1,
            "reviews": 1,
            "average_rating": 4.0,
            "mails_sent": {"reminder": 1},
            "mails_refused": 1,
            "unsubscribed": 1,
        }


def test_what_was_cleaned_away_stays_counted(day: None) -> None:
    perform(enqueue("update_analytics", {"day": DAY.isoformat()}))
    perform(enqueue("cleanup_old_data"))
    assert not SentMail.objects.filter(updated_at__date=DAY).exists()
    Invoice.objects.filter(pk="14-0").update(status="void", paid_at=None)  # what is still there is counted again
    perform(enqueue("update_analytics", {"day": DAY.isoformat()}))
    row = DailyAnalytics.objects.get()
    assert (row.mails_sent, row.mails_refused, row.invoices_paid) == ({"reminder": 1}, 1, 2)


def test_without_a_day_it_is_yesterday() -> None:
    job = perform(enqueue("update_analytics"))
    assert result_of(job)["day"] == (timezone.now().date() - timedelta(days=1)).isoformat()
    assert DailyAnalytics.objects.get().revenue == {}
