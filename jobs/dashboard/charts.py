"""The history of a range: its numbers, charts of its course, and on demand a table of what the charts show."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.http import HttpRequest
from django.utils import timezone

from jobs import statistics
from jobs.statistics import Point, Summary

USUAL: Final = "24h"
RANGES: Final = {"15m": "15 min", "1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 d", "30d": "30 d"}
LABELS: Final = {"7d": "%a %H:%M", "30d": "%d %b"}
BAD_FAILURE_RATE: Final = 5.0  # percent


class Series(NamedTuple):
    name: str  # also its colour: `series-…` in the stylesheet
    values: list[float]


class Chart(NamedTuple):
    """`kind` is `bar` or `line`, `unit` is `jobs`, `percent` or `ms`."""

    key: str
    title: str
    kind: str
    unit: str
    series: list[Series]


def span(request: HttpRequest) -> str:
    """The range that the address asks for, one of RANGES."""
    asked = request.GET.get("range", USUAL)
    return asked if asked in RANGES else USUAL


def history(request: HttpRequest, queue: str | None = None) -> dict[str, Any]:
    """Context of `jobs/history.html`: of all jobs, or of a queue's."""
    asked = span(request)
    points = statistics.series(asked, queue=queue)
    labels = [f"{timezone.localtime(point.at):{LABELS.get(asked, '%H:%M')}}" for point in points]
    drawn = charts(points)
    return {
        "span": asked,
        "span_words": RANGES[asked],
        "since": f"<{asked}",
        "ranges": RANGES,
        "of_queue": queue or "",
        "summary": statistics.summary(asked, queue=queue),
        "bad_failure_rate": BAD_FAILURE_RATE,
        "charts": drawn,
        "chart_data": [{**chart._asdict(), "labels": labels, "series": _plain(chart)} for chart in drawn],
        "table": [(point, rate(point)) for point in reversed(points)] if "table" in request.GET else None,
    }


def charts(points: list[Point]) -> list[Chart]:
    ended = [
        Series(outcome, [getattr(point, outcome) for point in points])
        for outcome in ("completed", "failed", "cancelled", "enqueued")
    ]
    return [
        Chart("throughput", "Jobs", "bar", "jobs", ended),
        Chart("failures", "Failure rate", "line", "percent", [Series("failed", [rate(point) for point in points])]),
        Chart("run", "Run time", "line", "ms", _percentiles(points, "run")),
        Chart("wait", "Wait", "line", "ms", _percentiles(points, "wait")),
    ]


def rate(point: Point) -> float:
    """Percent of the jobs that failed."""
    return statistics.percent(point.failed, point.completed + point.failed, empty=0)


def _percentiles(points: list[Point], what: str) -> list[Series]:
    return [
        Series(name, [round(getattr(getattr(point, what), name) or 0, 1) for point in points])
        for name in ("p50", "p95", "p99")
    ]


def _plain(chart: Chart) -> list[dict[str, Any]]:
    return [series._asdict() for series in chart.series]


def usual_seconds(types: Mapping[str, Summary] | None = None) -> dict[str, float | None]:
    """How long a run of each type took on average, of late."""
    types = statistics.by_type(USUAL) if types is None else types
    return {name: one.avg_run_ms and one.avg_run_ms / 1000 for name, one in types.items()}
