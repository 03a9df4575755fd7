"""Which kept answers of ESI's go, and their deletion. A refresh asks anew for what it then misses."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum

from .models import EsiAnswer

CHUNK: Final = 5000  # rows that one transaction deletes


class Mode(StrEnum):
    EXPIRED = "expired"
    PATTERN = "pattern"  # by key, whether expired or not
    LRU = "lru"  # all but those used last
    ALL = "all"


def chosen(mode: Mode, *, pattern: str = "", max_size: int = 0) -> QuerySet[EsiAnswer]:
    """The answers that go. In a pattern, * is any text and ? any character."""
    rows = EsiAnswer.objects.order_by("pk")
    match mode:
        case Mode.EXPIRED:
            return rows.expired()
        case Mode.PATTERN:
            return rows.filter(key__regex=f"^{''.join(map(_regex, pattern))}$")
        case Mode.LRU:
            first = EsiAnswer.objects.order_by("-used_at", "-pk")[max_size : max_size + 1].first()
            unused = first and Q(used_at__lt=first.used_at) | Q(used_at=first.used_at, pk__lte=first.pk)
            return rows.filter(unused) if unused else rows.none()
        case Mode.ALL:
            return rows


def _regex(letter: str) -> str:
    return {"*": ".*", "?": "."}.get(letter) or re.escape(letter)


def counted(rows: QuerySet[EsiAnswer]) -> tuple[int, int]:
    """How many these are, and how many bytes."""
    told = rows.aggregate(count=Count("pk"), size=Sum("size"))
    return told["count"], told["size"] or 0


def cleaned(rows: QuerySet[EsiAnswer]) -> Iterator[tuple[int, int]]:
    """Delete them, chunk by chunk: how many each had, and how many bytes. One in use elsewhere is passed over."""
    last = 0  # what was deleted before it still stands in the index, and need not be walked over
    while True:
        with transaction.atomic():
            following = rows.filter(pk__gt=last).select_for_update(skip_locked=True)
            chunk = dict(following.values_list("pk", "size")[:CHUNK])
            EsiAnswer.objects.filter(pk__in=chunk).delete()
        if not chunk:
            return
        last = max(chunk)
        yield len(chunk), sum(chunk.values())
