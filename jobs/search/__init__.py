"""Finding jobs: a small query language, and pages of what it finds that cost no scan of the table.

    status:failed type:bgg_sync payload.gameId:13 error:timeout -tag:test attempt:>1 run:>1m created:<2h

All terms must hold. What jobs are shown as, and what is done to them, is left to others.
"""

from jobs.models import Job, JobQuerySet
from jobs.search.language import InvalidQuery, quoted
from jobs.search.pages import Page, find, find_and_count, patience
from jobs.search.terms import Search, hide, understand

__all__ = [
    "InvalidQuery",
    "Page",
    "Search",
    "find",
    "find_and_count",
    "hide",
    "jobs_matching",
    "patience",
    "quoted",
    "understand",
]


def jobs_matching(query: str) -> JobQuerySet:
    """The jobs that a query means, in no order; all of them when it is empty. Raises InvalidQuery."""
    return Job.objects.filter(understand(query).q)
