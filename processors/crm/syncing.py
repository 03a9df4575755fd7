"""Our customers as Stripe has them: new ones, what changed of known ones, and who is gone there.

Each page is one transaction; whoever runs it again finds nothing changed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from jobs.processor import JobContext

from . import stripe_client
from .models import Customer, CustomerChange
from .models.customers import Tier
from .stripe_words import Account

FIELDS: Final = ("stripe_id", "name", "email", "phone", "payment_method", "tier")
CHUNK: Final = 100  # customers that are looked at together


def take_over(since: datetime | None, job: JobContext) -> Counter[str]:
    """How many were seen, created, changed and deleted."""
    client, started = stripe_client.client(), timezone.now()
    counts: Counter[str] = Counter()
    for page in client.accounts(int(since.timestamp()) if since else None):
        counts += _store(page, job)
        job.progress(counts["seen"], note="customers")
    if since is None:
        for missing in _missing(started):
            counts["deleted"] += _leave(client, missing, started, job)
    return counts


def _store(page: list[Account], job: JobContext) -> Counter[str]:
    with transaction.atomic():
        known = _known(page)
        now = timezone.now()
        kept: list[str] = []
        new: list[Customer] = []
        old: list[Customer] = []
        changes: list[CustomerChange] = []
        for account in page:
            row = known.pop(account.id, None) or known.pop(account.metadata.get("customer", ""), None)
            is_new = row is None
            row = row or Customer(id=account.id, name=account.email or account.id)
            before = {} if is_new else {name: getattr(row, name) for name in FIELDS}
            after = _fields(account, row)
            different = {name: value for name, value in after.items() if before.get(name) != value}
            for name, value in after.items():
                setattr(row, name, value)
            row.synced_at = now
            if is_new:
                new.append(row)
            elif different:
                old.append(row)
            else:
                kept.append(row.pk)
            if different:
                changed = {name: before[name] for name in different} if before else {}
                changes.append(CustomerChange(customer=row, job=job.id, before=changed, after=different))
        Customer.objects.bulk_create(new)
        Customer.objects.bulk_update(old, [*FIELDS, "synced_at"])
        Customer.objects.filter(pk__in=kept).update(synced_at=now)
        CustomerChange.objects.bulk_create(changes)
    return Counter(seen=len(page), created=len(new), changed=sum(bool(change.before) for change in changes))


def _known(page: Iterable[Account]) -> dict[str, Customer]:
    """Our rows by Stripe's id, and by ours where Stripe's row names it and ours has no other there."""
    ids = [account.id for account in page]
    held = Customer.objects.select_for_update().order_by("pk")
    rows = {str(row.stripe_id): row for row in held.filter(stripe_id__in=ids)}
    names = [name for a in page if a.id not in rows for name in (a.id, a.metadata.get("customer"))]
    ours = held.filter(pk__in=filter(None, names), stripe_id__isnull=True)
    return rows | {row.pk: row for row in ours}


def _fields(account: Account, row: Customer) -> dict[str, Any]:
    """What our row should say. Stripe's silence about a name, address or tier is no news."""
    tier = account.metadata.get("tier", "")
    return {
        "stripe_id": account.id,
        "name": account.name[:200] or row.name[:200],
        "email": account.email[:320] or row.email,
        "phone": account.phone[:50] or row.phone,
        "payment_method": account.payment_method or row.payment_method,
        "tier": tier if tier in Tier.values else row.tier,
    }


def _missing(started: datetime) -> Iterator[list[Customer]]:
    """Those of Stripe's whom none of its pages had, in chunks: whoever was there has been marked since we started."""
    not_seen = Q(synced_at__lt=started) | Q(synced_at__isnull=True)
    rows = Customer.objects.filter(not_seen, stripe_id__isnull=False, deleted_at__isnull=True, created_at__lt=started)
    last = ""
    while chunk := list(rows.filter(pk__gt=last).order_by("pk").only("stripe_id")[:CHUNK]):
        yield chunk
        last = chunk[-1].pk


def _leave(client: stripe_client.Client, missing: list[Customer], started: datetime, job: JobContext) -> int:
    """Those that Stripe says are deleted. One that it does not know at all may be another account's: it stays."""
    deleted = []
    for row in missing:
        job.check()
        account = client.account(str(row.stripe_id))
        if account is not None and account.deleted:
            deleted.append(row.pk)
    with transaction.atomic():
        gone = Customer.objects.select_for_update().filter(pk__in=deleted, deleted_at__isnull=True)
        ids = list(gone.order_by("pk").values_list("pk", flat=True))
        Customer.objects.filter(pk__in=ids).update(deleted_at=started)
        change = {"before": {"deleted_at": None}, "after": {"deleted_at": started.isoformat()}}
        CustomerChange.objects.bulk_create(CustomerChange(customer_id=pk, job=job.id, **change) for pk in ids)
    return len(ids)
