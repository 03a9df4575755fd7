"""What is old enough to go, and how much of it there is. Customers, invoices and payments are never among it."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now

from jobs.processor import count_old_jobs, prune_jobs

from .models import CustomerChange, Notification, Report, SentMail, StripeEvent

CHUNK: Final = 1000  # rows that one statement deletes
STRIPE_REPEATS: Final = timedelta(days=7)  # so long an event may come again, at least: Stripe tries for three days

Rows = QuerySet[Any]


def _mails(age: timedelta) -> Rows:
    """Mails that cannot be due again: the row is what keeps a mail from being sent twice. Other kinds stay."""
    before, kind = Now() - age, SentMail.Kind
    over = Q(promotion__isnull=True) | Q(promotion__ends_at__lt=before)
    finished = Q(visit__isnull=True) | Q(visit__review__isnull=False)
    past = Q(visit__isnull=True) | Q(visit__starts_at__lt=Now())
    due_no_more = Q(kind=kind.PROMOTION) & over | Q(kind=kind.REVIEW_REQUEST) & finished | Q(kind=kind.REMINDER) & past
    return SentMail.objects.filter(due_no_more, updated_at__lt=before).exclude(status=SentMail.Status.SENDING)


OLD: Final[Mapping[str, Callable[[timedelta], Rows]]] = {
    "mails": _mails,
    "notifications": lambda age: Notification.objects.filter(created_at__lt=Now() - age),
    "customer changes": lambda age: CustomerChange.objects.filter(at__lt=Now() - age),
    "stripe events": lambda age: StripeEvent.objects.filter(
        received_at__lt=Now() - max(age, STRIPE_REPEATS), handled_at__isnull=False
    ),
    "reports": lambda age: Report.objects.filter(created_at__lt=Now() - age),
}
JOBS: Final = "jobs"


def counted(age: timedelta) -> dict[str, int]:
    """How many rows of each kind are older."""
    return {name: rows(age).count() for name, rows in OLD.items()} | {JOBS: count_old_jobs(age)}


def cleaned(age: timedelta) -> Iterator[tuple[str, int]]:
    """Delete what is older, chunk by chunk: the kind, and how many rows each chunk had."""
    for name, rows in OLD.items():
        while count := _delete(rows(age)):
            yield name, count
    while count := prune_jobs(age, CHUNK):
        yield JOBS, count


def _delete(rows: Rows) -> int:
    model: type[Model] = rows.model
    chunk = list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK])
    if model is Report:
        for report in Report.objects.filter(pk__in=chunk).prefetch_related("files"):
            for file in report.files.all():
                file.file.delete(save=False)  # the row goes below
    model._default_manager.filter(pk__in=chunk).delete()
    return len(chunk)
