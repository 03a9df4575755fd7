"""What became of jobs over time: sums, series, by type and by queue."""
# ruff: noqa: A002 (range and type are the words of the API)

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from jobs.histograms import Percentiles, added, percentiles
from jobs.models import Period
from jobs.rollups import Tallied, floor, tallied_live
from jobs.sessions import fetch
from jobs.statistics.windows import Stretch, Window, parameters, rows, stretches, window

EACH: Final = "*"  # no type and no queue is called so


class Summary(NamedTuple):
    """Jobs of a range. Rates are percent of the jobs that were completed or failed in it; durations are theirs."""

    enqueued: int
    completed: int
    failed: int
    cancelled: int
    completion_rate: float
    failure_rate: float
    success_rate: float
    avg_run_ms: float | None  # of the last run; None where none has ended
    avg_wait_ms: float | None  # from when it was due to when it started
    per_hour: float  # completed and failed ones
    wait: Percentiles
    run: Percentiles


class Ended(NamedTuple):
    """Jobs that ran to an end."""

    completed: int
    failed: int
    avg_run_ms: float | None


class Point(NamedTuple):
    """One minute, hour or day of a series, by its begin."""

    at: datetime
    enqueued: int
    completed: int
    failed: int
    cancelled: int
    wait: Percentiles
    run: Percentiles


@dataclass(slots=True)
class Tally:
    """Roll-ups added up."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    wait_ms: int = 0
    run_ms: int = 0
    waits: list[int] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)

    def add(self, row: Tallied) -> None:
        self.counts[row.outcome] += row.number
        self.wait_ms += row.wait_ms
        self.run_ms += row.run_ms
        if row.waits:
            self.waits = added(self.waits, row.waits)
        if row.runs:
            self.runs = added(self.runs, row.runs)

    def summary(self, hours: float) -> Summary:
        completed, failed = self.counts["completed"], self.counts["failed"]
        waited, ran = sum(self.waits), sum(self.runs)
        return Summary(
            enqueued=self.counts["enqueued"],
            completed=completed,
            failed=failed,
            cancelled=self.counts["cancelled"],
            completion_rate=percent(completed, completed + failed, empty=100),
            failure_rate=percent(failed, completed + failed, empty=0),
            success_rate=percent(completed, completed + failed, empty=100),
            avg_run_ms=round(self.run_ms / ran, 2) if ran else None,
            avg_wait_ms=round(self.wait_ms / waited, 2) if waited else None,
            per_hour=round((completed + failed) / hours, 2) if hours else 0.0,
            wait=percentiles(self.waits),
            run=percentiles(self.runs),
        )

    def ended(self) -> Ended:
        ran = sum(self.runs)
        return Ended(self.counts["completed"], self.counts["failed"], self.run_ms / ran if ran else None)

    def point(self, at: datetime) -> Point:
        return Point(
            at=at,
            enqueued=self.counts["enqueued"],
            completed=self.counts["completed"],
            failed=self.counts["failed"],
            cancelled=self.counts["cancelled"],
            wait=percentiles(self.waits),
            run=percentiles(self.runs),
        )


def percent(part: int, total: int, *, empty: float) -> float:
    """Two decimals, as in the API."""
    return round(100 * part / total, 2) if total else empty


def summary(range: str | timedelta = "24h", type: str | None = None, queue: str | None = None) -> Summary:
    """The range in one: of all jobs, or of a type, a queue or both. `range` is one of RANGES, or any length."""
    seen = window(range)
    tally = Tally()
    for row in _rows(seen, _edges(seen), type or "", queue or ""):
        tally.add(row)
    return tally.summary(seen.hours)


def series(range: str | timedelta = "24h", type: str | None = None, queue: str | None = None) -> list[Point]:
    """The range in points, the current one last: by the minute up to 6 hours, by the hour up to 7 days, else by day.

    A point where nothing happened is there too, with zeros.
    """
    seen = window(range)
    points = [(at, Tally()) for at in seen.buckets()]
    tallies = {int(at.timestamp()): tally for at, tally in points}
    parts = [Stretch(seen.bucket, seen.begin, seen.now)]
    for row in _rows(seen, parts, type or "", queue or ""):
        tallies[row.at // seen.bucket * seen.bucket].add(row)
    return [tally.point(at) for at, tally in points]


def by_type(range: str | timedelta = "24h") -> dict[str, Summary]:
    """The summary of each type of which something happened."""
    seen = window(range)
    return _summaries(seen, ((row.type, row) for row in _rows(seen, _edges(seen), EACH, "")))


def by_queue(range: str | timedelta = "24h") -> dict[str, Summary]:
    """The summary of each queue in which something happened."""
    seen = window(range)
    return _summaries(seen, ((row.queue, row) for row in _rows(seen, _edges(seen), "", EACH)))


def slowest(range: str | timedelta = "24h", limit: int = 10) -> list[tuple[str, Summary]]:
    """The types whose p95 of running is highest, the slowest first."""
    ran = [(name, one) for name, one in by_type(range).items() if one.run.p95 is not None]
    return sorted(ran, key=lambda item: item[1].run.p95 or 0, reverse=True)[:limit]


def ended_by_queue(ages: Mapping[str, timedelta]) -> dict[str, Ended]:
    """What ended in each queue: each outcome, completed and failed, within its age."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for outcome, age in ages.items():
        seen = window(age)
        for row in _rows(seen, _edges(seen), "", EACH):
            if row.outcome == outcome:
                tallies[row.queue].add(row)
    return {queue: tally.ended() for queue, tally in tallies.items()}


def _summaries(seen: Window, named: Iterable[tuple[str, Tallied]]) -> dict[str, Summary]:
    tallies: dict[str, Tally] = defaultdict(Tally)
    for name, row in named:
        tallies[name].add(row)
    return {name: tallies[name].summary(seen.hours) for name in sorted(tallies)}


def _edges(seen: Window) -> list[Stretch]:
    # Hours and days include what has passed of the current ones, so that only the begin needs finer ones.
    return stretches(seen.begin, floor(seen.now, Period.DAY) + timedelta(days=1))


_WANTED = f"""CASE WHEN %(type)s = '{EACH}' THEN type <> '' ELSE type = %(type)s END
    AND CASE WHEN %(queue)s = '{EACH}' THEN queue <> '' ELSE queue = %(queue)s END"""
# With the roll-ups how far they go, as one statement sees both: a minute is in them or read from jobs, never in both.
_READ = f"""
SELECT known.until, r.* FROM (SELECT max(until) AS until FROM jobs_rolledup) AS known LEFT JOIN (
    SELECT extract(epoch FROM at)::bigint, type, queue, outcome, count, wait_ms, run_ms, waits, runs
    FROM {rows("jobs_rollup", _WANTED)}) AS r ON true
"""  # noqa: S608


def _rows(seen: Window, parts: list[Stretch], type: str, queue: str) -> Iterator[Tallied]:
    """Of a type and a queue: empty for all together, EACH for all one by one."""
    found = fetch(_READ, {**parameters(parts), "type": type, "queue": queue})
    yield from (Tallied(*row) for _, *row in found if row[0] is not None)
    for row in tallied_live(seen.live(found[0][0])):
        if _is(row.type, type) and _is(row.queue, queue):
            yield row


def _is(name: str, wanted: str) -> bool:
    return bool(name) if wanted == EACH else name == wanted
