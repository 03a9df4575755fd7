"""What happened: numbers about jobs and errors over time, read from roll-ups.

The minutes that are not rolled up yet are added from the jobs themselves, five at most: while no worker leads, what was
before them is missing until the next one has caught up. Nothing here depends on which jobs are still kept; what there
is now is `jobs.metrics`' business.
"""

from jobs.statistics.errors import (
    ErrorStatistics,
    SeenError,
    error_groups,
    error_statistics,
    reopen,
    resolve,
)
from jobs.statistics.history import (
    Ended,
    Point,
    Summary,
    by_queue,
    by_type,
    ended_by_queue,
    percent,
    series,
    slowest,
    summary,
)
from jobs.statistics.windows import RANGES

__all__ = [
    "RANGES",
    "Ended",
    "ErrorStatistics",
    "Point",
    "SeenError",
    "Summary",
    "by_queue",
    "by_type",
    "ended_by_queue",
    "error_groups",
    "error_statistics",
    "percent",
    "reopen",
    "resolve",
    "series",
    "slowest",
    "summary",
]
