"""The sweep that keeps the history of jobs in numbers: minutes from rows, then hours, days and months from minutes.

`roll_up` derives each minute once it is over, and anew for LATE after that, for what was committed late; the hours,
days and months around it are derived with it and so have what has passed of the current ones. It catches up after
downtime, and does nothing twice: a row is replaced only by one that has counted more, so that neither pruning nor a
retry by hand takes anything out of history. Everything is UTC. Reading is `jobs.statistics`' business.

Each period has rows by type and queue, by type, by queue, and of all: what is left open is the empty string.
"""

import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from operator import add
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from jobs.histograms import BOUNDS, added
from jobs.models import ErrorGroup, ErrorRollup, Event, Period, RolledUp, Rollup
from jobs.sessions import fetch

LATE: Final = timedelta(minutes=2)  # how much later than it says a row may be committed
CHUNK: Final = timedelta(minutes=15)  # derived in one transaction at most
LIVE: Final = timedelta(minutes=5)  # read from jobs at most, where roll-ups are behind
KEPT: Final = {Period.MINUTE: timedelta(hours=48), Period.HOUR: timedelta(days=35), Period.DAY: timedelta(days=730)}
BUSY: Final = 10_000  # jobs; to read more than these for each look would take too long
KEEP: Final = 5.0  # seconds


class Tallied(NamedTuple):
    """A row of numbers, as `Rollup`."""

    at: int  # the begin of its minute, hour, day or month, in seconds since 1970
    type: str
    queue: str
    outcome: str
    number: int
    wait_ms: int
    run_ms: int
    waits: list[int]
    runs: list[int]


_kept: tuple[datetime | None, float, list[Tallied]] = (None, 0.0, [])  # since when, until when it is good, and it

# By type and queue. Date_part counts in UTC, whatever the session's time zone.
_TALLIED = """
SELECT at, type, queue, outcome, count, wait_ms, run_ms, {waits} AS waits, {runs} AS runs FROM (
    SELECT floor(date_part('epoch', at) / 60)::bigint * 60 AS at, type, queue, outcome, count(*) AS count,
        coalesce(sum(wait), 0)::bigint AS wait_ms, coalesce(sum(run), 0)::bigint AS run_ms,
        array_agg(width_bucket(wait, {bounds})) FILTER (WHERE wait IS NOT NULL) AS waits,
        array_agg(width_bucket(run, {bounds})) FILTER (WHERE run IS NOT NULL) AS runs
    FROM (
        SELECT created_at AS at, type, queue, 'enqueued' AS outcome, NULL::float8 AS wait, NULL::float8 AS run
        FROM jobs_job WHERE created_at >= %(since)s AND created_at < %(until)s
        UNION ALL
        SELECT finished_at, type, queue, status,
            CASE WHEN ran THEN greatest(date_part('epoch', started_at - scheduled_at), 0) * 1000 END,
            CASE WHEN ran THEN greatest(date_part('epoch', finished_at - started_at), 0) * 1000 END
        FROM jobs_job CROSS JOIN LATERAL (SELECT status <> 'cancelled' AND started_at IS NOT NULL AS ran) AS its
        WHERE status IN ('completed', 'failed', 'cancelled')
            AND finished_at >= %(since)s AND finished_at < %(until)s) AS job
    GROUP BY 1, 2, 3, 4) AS tallied
"""
_COUNTS = """ARRAY(SELECT count(seen) FROM generate_series(0, (SELECT max(place) FROM unnest({0}) AS place)) AS place
    LEFT JOIN unnest({0}) AS seen ON seen = place GROUP BY place ORDER BY place)"""
_TALLY = _TALLIED.format(
    bounds=f"'{{{','.join(map(repr, BOUNDS))}}}'::float8[]", waits=_COUNTS.format("waits"), runs=_COUNTS.format("runs")
)

_KNOWN = """
SELECT extract(epoch FROM at)::bigint, type, queue, outcome, count, wait_ms, run_ms, waits, runs
FROM jobs_rollup WHERE period = %(finer)s AND at >= %(since)s AND at < %(until)s AND type <> '' AND queue <> ''
"""
_WRITE = """
INSERT INTO jobs_rollup (period, at, type, queue, outcome, count, wait_ms, run_ms, waits, runs)
SELECT %(period)s::int, to_timestamp(at), type, queue, outcome, number, wait_ms, run_ms, waits, runs
FROM jsonb_to_recordset(%(rows)s::text::jsonb) AS r(at bigint, type text, queue text, outcome text, number bigint,
    wait_ms bigint, run_ms bigint, waits bigint[], runs bigint[])
ON CONFLICT (period, at, type, queue, outcome) DO UPDATE SET count = excluded.count, wait_ms = excluded.wait_ms,
    run_ms = excluded.run_ms, waits = excluded.waits, runs = excluded.runs
WHERE excluded.count > jobs_rollup.count
"""

# How much more there is than was known, before it is written down: one statement sees one state of the table.
_ERRORS = """
WITH seen AS (
    SELECT date_trunc('minute', f.failed_at, 'UTC') AS at, f.fingerprint, j.type, f.error, f.classification,
        count(*) AS count, min(f.failed_at) AS first_at, max(f.failed_at) AS last_at, max(f.id) AS last_id
    FROM jobs_failure f JOIN jobs_job j ON j.id = f.job_id
    WHERE f.failed_at >= %(since)s AND f.failed_at < %(until)s GROUP BY 1, 2, 3, 4, 5),
written AS (
    INSERT INTO jobs_errorrollup (period, at, fingerprint, type, error, classification, count)
    SELECT 60, at, fingerprint, type, error, classification, count FROM seen
    ON CONFLICT (period, at, fingerprint, type, error, classification) DO UPDATE SET count = excluded.count
    WHERE excluded.count > jobs_errorrollup.count),
kind AS (
    SELECT fingerprint, sum(greatest(seen.count - coalesce(known.count, 0), 0))::bigint AS count,
        min(first_at) AS first_at, max(last_at) AS last_at, max(last_id) AS last_id
    FROM seen LEFT JOIN (SELECT * FROM jobs_errorrollup WHERE period = 60) AS known
        USING (at, fingerprint, type, error, classification)
    GROUP BY fingerprint)
INSERT INTO jobs_errorgroup (fingerprint, type, error, message, sample, count, first_seen_at, last_seen_at)
SELECT kind.fingerprint, j.type, f.error, f.message, f.job_id, kind.count, first_at, last_at
FROM kind JOIN jobs_failure f ON f.id = last_id JOIN jobs_job j ON j.id = f.job_id
ON CONFLICT (fingerprint) DO UPDATE SET count = jobs_errorgroup.count + excluded.count, type = excluded.type,
    error = excluded.error, message = excluded.message, sample = excluded.sample,
    first_seen_at = least(jobs_errorgroup.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(jobs_errorgroup.last_seen_at, excluded.last_seen_at)
"""
_ERRORS_COARSER = """
INSERT INTO jobs_errorrollup (period, at, fingerprint, type, error, classification, count)
SELECT %(period)s::int, date_bin(%(period)s::int * interval '1 second', at, '1970-01-01 00:00:00+00') AS bin,
    fingerprint, type, error, classification, sum(count)::bigint
FROM jobs_errorrollup WHERE period = %(finer)s AND at >= %(since)s AND at < %(until)s
GROUP BY bin, fingerprint, type, error, classification
ON CONFLICT (period, at, fingerprint, type, error, classification) DO UPDATE SET count = excluded.count
WHERE excluded.count > jobs_errorrollup.count
"""

# From the oldest job on, where nothing was ever rolled up.
_BEGIN = """
INSERT INTO jobs_rolledup (id, until) SELECT 1, date_trunc('minute', greatest(now() - %(most)s, least(now(),
    (SELECT min(created_at) FROM jobs_job))), 'UTC')
ON CONFLICT DO NOTHING
"""
_LOCK = """
SELECT until, date_trunc('minute', now(), 'UTC') FROM jobs_rolledup WHERE id = 1 FOR NO KEY UPDATE SKIP LOCKED
"""


def roll_up(chunk: timedelta = CHUNK) -> bool:
    """Derive minutes that are over, no more than a chunk of them. False: there is none, or another session is at it."""
    with transaction.atomic():
        if (locked := _lock()) is None or locked[0] >= locked[1]:
            return False
        until, now = locked
        since, until = until - LATE, min(now, until + chunk)
        _write(Period.MINUTE, map(Tallied._make, fetch(_TALLY, {"since": since, "until": until})))
        derive_sums(since, until)
        _write_errors(since, until)
        RolledUp.objects.update(until=until)
    return True


def roll_up_errors() -> None:
    """Derive the newest errors again, those of the current minute too: a new kind shows within seconds."""
    with transaction.atomic():
        if (locked := _lock()) is not None and locked[0] >= locked[1] - LATE:
            _write_errors(locked[1] - LATE, locked[1] + timedelta(minutes=1))


def prune() -> None:
    """Delete what is older than it is kept."""
    for period, age in KEPT.items():
        for rows in (Rollup.objects, ErrorRollup.objects):
            rows.filter(period=period, at__lt=Now() - age).delete()
    ErrorGroup.objects.filter(last_seen_at__lt=Now() - max(KEPT.values())).delete()


def tallied_live(since: datetime) -> list[Tallied]:
    """What `roll_up` will derive of the minutes from `since` on. Of more than BUSY jobs up to KEEP seconds old."""
    global _kept
    if since == _kept[0] and time.monotonic() < _kept[1]:
        return _kept[2]
    rows = fetch(_TALLY, {"since": since, "until": since + timedelta(days=1)})
    tallied = _summed(map(Tallied._make, rows), Period.MINUTE)
    if sum(row.number for row in tallied if not row.type and not row.queue) > BUSY:
        _kept = since, time.monotonic() + KEEP, tallied
    return tallied


def derive_sums(since: datetime, until: datetime) -> None:
    """From these minutes by type and queue the others, and the hours, days and months around them."""
    for stretch in ({"finer": 60, "period": 60, "since": since, "until": until}, *_coarser(since, until)):
        known = map(Tallied._make, fetch(_KNOWN, stretch))
        _write(stretch["period"], _summed(known, stretch["period"]))


def _lock() -> tuple[datetime, datetime] | None:
    """Up to when jobs are rolled up, and the begin of the current minute; None while another session is at it."""
    rows = fetch(_LOCK, {})
    if not rows:
        fetch(_BEGIN, {"most": KEPT[Period.HOUR]})
        rows = fetch(_LOCK, {})
    return (rows[0][0].astimezone(UTC), rows[0][1].astimezone(UTC)) if rows else None


def _write_errors(since: datetime, until: datetime) -> None:
    fetch(_ERRORS, {"since": since, "until": until})
    for stretch in _coarser(since, until):
        fetch(_ERRORS_COARSER, stretch)
    came_back = ErrorGroup.objects.filter(last_seen_at__gte=since, resolved_at__lt=F("last_seen_at"))
    for group in came_back.select_for_update():
        before = {"resolved_at": str(group.resolved_at), "resolved_by": group.resolved_by}
        ErrorGroup.objects.filter(pk=group.pk).update(resolved_at=None, resolved_by="")
        Event.objects.create(
            subject=f"error {group.pk}", kind="error came back", actor="upkeep", before=before, reason=str(group)
        )


def _summed(rows: Iterable[Tallied], period: int) -> list[Tallied]:
    """Rows by type and queue added up for each period: by both, by each, and all.

    In Python: Postgres would take histograms apart and sort the pieces, which takes five times as long.
    """
    sums: dict[tuple[int, str, str, str], list[Any]] = {}
    for row in rows:
        for kind, queue in product((row.type, ""), (row.queue, "")):
            known = sums.setdefault((row.at // period * period, kind, queue, row.outcome), [0, 0, 0, [], []])
            known[:3] = map(add, known[:3], row[4:7])
            known[3:] = added(known[3], row.waits), added(known[4], row.runs)
    return [Tallied(*key, *numbers) for key, numbers in sums.items()]


def _write(period: int, rows: Iterable[Tallied]) -> None:
    fetch(_WRITE, {"period": period, "rows": json.dumps([row._asdict() for row in rows])})


def _coarser(since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    """What to derive of what, finer periods first."""
    for finer, period in pairwise(Period):
        last = floor(until, period) + timedelta(seconds=period)
        yield {"finer": finer.value, "period": period.value, "since": floor(since, period), "until": last}


def floor(moment: datetime, period: int) -> datetime:
    """The begin of the period of so many seconds that a moment is in."""
    return datetime.fromtimestamp(moment.timestamp() // period * period, UTC)
