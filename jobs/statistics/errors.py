"""What went wrong over time: kinds of errors by fingerprint, and what operators say of them."""
# ruff: noqa: A002 (range and type are the words of the API)

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models.functions import Now

from jobs.models import ErrorGroup, Event, Period
from jobs.rollups import floor
from jobs.sessions import fetch
from jobs.statistics.windows import Stretch, kept, parameters, rows, stretches


class SeenError(NamedTuple):
    """A kind of error, how many runs ended with it in the stretch of time that was asked for, and where a page ends."""

    group: ErrorGroup
    seen: int
    cursor: str


class ErrorStatistics(NamedTuple):
    """Failed runs, counted. Each failed attempt of a job is one."""

    total: int
    by_type: dict[str, int]
    by_class: dict[str, int]  # of the exception
    by_classification: dict[str, int]
    by_fingerprint: list[SeenError]  # the most frequent first


_SEEN = f"""
SELECT r.fingerprint, sum(r.count)::bigint AS seen
FROM {rows("jobs_errorrollup", "(%(type)s::text IS NULL OR type = %(type)s)")}
GROUP BY r.fingerprint
"""  # noqa: S608
_GROUPS = f"""
SELECT g.fingerprint, s.seen FROM jobs_errorgroup g JOIN ({_SEEN}) AS s USING (fingerprint)
WHERE (%(resolved)s::boolean IS NULL OR (g.resolved_at IS NOT NULL) = %(resolved)s)
    AND (%(last)s::timestamptz IS NULL OR (g.last_seen_at, g.fingerprint) < (%(last)s, %(fingerprint)s))
ORDER BY g.last_seen_at DESC, g.fingerprint DESC LIMIT %(limit)s
"""  # noqa: S608
_STATISTICS = f"""
SELECT r.type, r.error, r.classification, r.fingerprint, sum(r.count)::bigint
FROM {rows("jobs_errorrollup", "true")}
GROUP BY r.type, r.error, r.classification, r.fingerprint
"""  # noqa: S608


def error_groups(
    start: datetime | None = None,
    end: datetime | None = None,
    resolved: bool | None = None,
    type: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> list[SeenError]:
    """Kinds of errors that were seen in this time (None: ever, until now), the last seen first.

    The next page is asked for with the cursor of the last one. Raises ValueError for a cursor that is none.
    """
    last, _, fingerprint = (cursor or "").partition("/")
    found = fetch(
        _GROUPS,
        {
            **parameters(_between(start, end)),
            "type": type,
            "resolved": resolved,
            "last": datetime.fromisoformat(last) if cursor else None,
            "fingerprint": fingerprint,
            "limit": limit,
        },
    )
    return _seen(found)


def error_statistics(start: datetime | None = None, end: datetime | None = None, limit: int = 50) -> ErrorStatistics:
    """Failed runs of this time by type, by class and classification, and the most frequent kinds."""
    types: dict[str, int] = defaultdict(int)
    classes: dict[str, int] = defaultdict(int)
    classifications: dict[str, int] = defaultdict(int)
    kinds: dict[str, int] = defaultdict(int)
    for type_name, error, classification, fingerprint, count in fetch(_STATISTICS, parameters(_between(start, end))):
        for counts, name in ((types, type_name), (classes, error), (classifications, classification)):
            counts[name] += count
        kinds[fingerprint] += count
    frequent = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:limit]
    return ErrorStatistics(
        sum(kinds.values()), _falling(types), _falling(classes), _falling(classifications), _seen(frequent)
    )


def resolve(fingerprint: str, actor: str) -> bool:
    """Say that this kind of error is dealt with; it opens again when it is seen again. False: unknown or resolved."""
    open_ones = ErrorGroup.objects.filter(pk=fingerprint, resolved_at=None)
    with transaction.atomic():
        changed = open_ones.update(resolved_at=Now(), resolved_by=actor)
        if changed:
            Event.objects.create(subject=f"error {fingerprint}", kind="resolved", actor=actor)
    return bool(changed)


def reopen(fingerprint: str, actor: str) -> bool:
    """Undo `resolve`. False: unknown or open."""
    with transaction.atomic():
        resolved = ErrorGroup.objects.filter(pk=fingerprint, resolved_at__isnull=False)
        changed = resolved.update(resolved_at=None, resolved_by="")
        if changed:
            Event.objects.create(subject=f"error {fingerprint}", kind="reopened", actor=actor)
    return bool(changed)


def _between(start: datetime | None, end: datetime | None) -> list[Stretch]:
    ((now,),) = fetch("SELECT statement_timestamp()", {})
    last = floor(now, Period.MONTH) + timedelta(seconds=Period.MONTH)
    if start is None and end is None:
        return [Stretch(Period.MONTH, datetime.fromtimestamp(0, now.tzinfo), last)]
    begin = kept(start, now) if start else datetime.fromtimestamp(0, now.tzinfo)
    return stretches(begin, kept(end, now) if end and end < now else last)


def _seen(counts: Iterable[tuple[Any, ...]]) -> list[SeenError]:
    seen = dict(counts)
    groups = ErrorGroup.objects.in_bulk(list(seen))
    found = [(groups[fingerprint], number) for fingerprint, number in seen.items() if fingerprint in groups]
    return [SeenError(group, number, f"{group.last_seen_at.isoformat()}/{group.pk}") for group, number in found]


def _falling(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
