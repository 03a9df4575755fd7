"""What keeps the CRM in order: old rows go, days are counted."""

from collections import Counter
from datetime import date, timedelta
from typing import Final

from django.utils import timezone
from pydantic import Field

from jobs.processor import JobContext, Payload, enqueue

from .. import analytics, cleaning, mailing
from ..declaring import Told, crm_processor

DAYS: Final = 30


class CleanupOldData(Payload):
    days: int = Field(DAYS, ge=1, le=36_500, description="What is older goes.")
    dry_run: bool = Field(False, description="Count only.")


class CleanedUp(Told):
    deleted: dict[str, int]  # kind of row → how many; with `dryRun` how many would be
    unconfirmed: int = 0  # mails that a lost job had left open
    dry_run: bool


@crm_processor(priority=3, max_attempts=3)
def cleanup_old_data(payload: CleanupOldData, job: JobContext) -> CleanedUp:
    """Delete what is old: mails, notifications, changes, events, reports, and jobs that have ended."""
    age = timedelta(days=payload.days)
    if payload.dry_run:
        return CleanedUp(deleted=cleaning.counted(age), dry_run=True)
    unconfirmed = mailing.give_up_lost()
    deleted: Counter[str] = Counter()
    for name, count in cleaning.cleaned(age):
        deleted[name] += count
        job.progress(deleted.total(), note=name)
    return CleanedUp(deleted=dict(deleted), unconfirmed=unconfirmed, dry_run=False)


def queue_cleanup() -> dict[str, int]:
    """Enqueue the cleanup, and say how many rows are there to be `deleted`."""
    enqueue("cleanup_old_data", {"days": DAYS}, unique_key="cron")
    return {"deleted": sum(cleaning.counted(timedelta(days=DAYS)).values())}


class UpdateAnalytics(Payload):
    day: date | None = Field(None, description="None: yesterday.")


class DayCounted(Told):
    day: date
    invoices_paid: int
    offers: int
    mails_sent: int


@crm_processor(priority="low")
def update_analytics(payload: UpdateAnalytics, job: JobContext) -> DayCounted:
    """Count a day's figures, in the place of what was counted before."""
    day = payload.day or timezone.now().date() - timedelta(days=1)
    row = analytics.count_day(day)
    return DayCounted(
        day=day, invoices_paid=row.invoices_paid, offers=row.offers, mails_sent=sum(row.mails_sent.values())
    )
