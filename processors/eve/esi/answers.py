"""What is kept of ESI's answers: a row for each path with its query, until `cache_cleanup` takes it away."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from jobs.errors import Snooze

from ..models import EsiAnswer
from .client import Answer
from .endpoints import Asked

MARGIN: Final = timedelta(seconds=1)  # HTTP's times are whole seconds
ASKING: Final = timedelta(seconds=30)  # longer than a call may take
SOON: Final = timedelta(seconds=2)
USED: Final = timedelta(minutes=1)  # how exactly the last use is known: a write each time would be too many
KEPT: Final = ("body", "etag", "modified", "pages", "expires_at")
FRESH: Final = ExpressionWrapper(Q(expires_at__gt=Now()), output_field=BooleanField())


@dataclass(frozen=True, slots=True)
class Page:
    """One answer, as it is kept now."""

    value: Any
    etag: str
    modified: str
    pages: int | None
    expires_at: datetime
    fresh: bool  # it must not be asked for again
    asked: bool  # it was, just now


def key(path: str, query: Mapping[str, str]) -> str:
    """`esi:characters:90000001:assets?page=2`"""
    named = f"esi:{path.strip('/').replace('/', ':')}"
    return f"{named}?{urlencode(sorted(query.items()))}" if query else named


def find(key: str) -> Page | None:
    """What is kept, which is thereby used."""
    rows = EsiAnswer.objects.filter(key=key)
    row: Sequence[Any] | None = rows.values_list(*KEPT, FRESH).first()
    if row is None:
        return None
    rows.filter(used_at__lt=Now() - USED).update(used_at=Now())
    return _page(row, asked=False)


@contextmanager
def asking(key: str, kept: Page) -> Iterator[None]:
    """While we ask for a newer answer nobody else does. Raises Snooze when somebody is at it, or has just been."""
    rows = EsiAnswer.objects.filter(key=key)
    free = rows.filter(Q(asked_until=None) | Q(asked_until__lt=Now()), expires_at=kept.expires_at)
    if not free.update(asked_until=Now() + ASKING):
        raise Snooze(f"{key}: another job is asking for it", after=SOON)
    try:
        yield
    except BaseException:
        rows.update(asked_until=None)
        raise


def keep(key: str, asked: Asked, answer: Answer, kept: Page | None) -> Page:
    """Keep an answer; one that has not changed is what was kept, for longer."""
    same = None if answer.changed else kept  # what a 304 leaves out is as it was
    lived = {
        "etag": answer.etag or (same.etag if same else ""),
        "modified": answer.modified or (same.modified if same else ""),
        "pages": answer.pages,
        "expires_at": Now() + answer.lifetime + MARGIN,
        "used_at": Now(),
        "asked_until": None,
    }
    if kept is None or answer.changed or not EsiAnswer.objects.filter(key=key).update(**lived):  # it may be gone
        whole = lived | {
            "character_id": asked.ids.get("character_id"),
            "endpoint": asked.endpoint.name,
            "body": same.value if same else answer.value,
            "size": answer.size,
            "fetched_at": Now(),
        }
        row = EsiAnswer(key=key, **whole)
        EsiAnswer.objects.bulk_create([row], update_conflicts=True, unique_fields=["key"], update_fields=list(whole))
    return _page(EsiAnswer.objects.values_list(*KEPT, FRESH).get(key=key), asked=True)


def _page(row: Sequence[Any], *, asked: bool) -> Page:
    value, etag, modified, pages, expires_at, fresh = row
    return Page(value, etag, modified, pages, expires_at, fresh=fresh, asked=asked)
