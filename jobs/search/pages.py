"""Pages of the jobs that a search finds, newest first, or in the order in which they will run.

No page costs more than a bounded look. A search that an index answers with few jobs is exact. Of any other, a page
looks at so many jobs in order, and says so when they were not enough to fill it: the next page goes on from there.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from psycopg.errors import QueryCanceled

from jobs import metrics
from jobs.metrics import Count
from jobs.models import ACTIVE, TERMINAL, Job, JobQuerySet, Queue, Status
from jobs.search.language import InvalidQuery
from jobs.search.terms import Condition, Search, all_of

FEW = 5_000  # jobs that are found by index and sorted
WINDOW = 10_000  # jobs that a page looks at where no index helps
PATIENCE = 2_000  # ms for the statements of a page

Order = tuple[str, ...]
Key = Sequence[Any]

NEWEST: Order = ("-created_at", "-id")
ENDED: Order = ("-finished_at", "-id")
ORDERS: dict[Status, Order] = {
    Status.SCHEDULED: ("scheduled_at", "id"),
    Status.PENDING: ("-priority", "scheduled_at", "id"),  # as they will run
    Status.PROCESSING: ("-started_at", "-id"),
    **dict.fromkeys(TERMINAL, ENDED),
}
# What a list does not show and may be long.
LONG = ("payload", "result", "canvas")


@dataclass(frozen=True)
class Page:
    """Some of the jobs that were found."""

    jobs: list[Job]
    next: str = ""  # where the next page begins; empty: this is the last one
    looked_at: int = 0  # jobs, when they were not enough to fill the page and there are more


def find(search: Search, after: str = "", limit: int = 50, *, whole: bool = False) -> Page:
    """A page of jobs, from where `after` (a `Page.next`) says; `whole` with payload and result.

    Raises InvalidQuery when it would take too long.
    """
    with patience():
        return _Finder(search, () if whole else LONG).page(after, limit)


def find_and_count(search: Search, after: str = "", limit: int = 50) -> tuple[Page, dict[Status, Count] | None]:
    """A page, and how many jobs of each status there are; None where only looking at each job would tell.

    What the search says of the status is left out of the numbers.
    """
    with patience():
        rest = _Finder(search.without_status())
        finder = _Finder(search, are_few=rest.are_few) if len(search.statuses) < len(Status) else rest
        return finder.page(after, limit), rest.counts()


@contextmanager
def patience() -> Iterator[None]:
    """Statements that may not take long: InvalidQuery instead."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE)])
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise InvalidQuery("", "a narrower search: it took too long; add status:, type: or created:") from None
        raise


class _Finder:
    """A search on its way to a page."""

    def __init__(self, search: Search, left_out: Sequence[str] = LONG, *, are_few: bool = False) -> None:
        self.search = search
        self.left_out = left_out
        self.statuses = search.statuses
        alone = self.statuses[0] if len(self.statuses) == 1 else None
        self.order = ORDERS[alone] if alone else NEWEST
        rest = search.without_status().conditions
        self.indexed = [condition for condition in rest if condition.indexed]
        self.are_few = are_few or (bool(self.indexed) and sum(self._numbers(self.indexed).values()) <= FEW)
        # Read off the index of the order itself; there is one of types, too, in the order of their ends.
        ordered = [c for c in rest if c.time == self.order[0].lstrip("-")]
        if self.order == ENDED:
            ordered += [condition for condition in rest if condition.of_one_type]
        self.ordered = ordered
        self.others = [condition for condition in rest if condition not in ordered]

    def _numbers(self, conditions: Iterable[Condition]) -> Counter[str]:
        """How many jobs of each status have these conditions, up to a few. Without ids an index alone may tell."""
        return Counter(self._arms(conditions, "status").values_list("status", flat=True)[: FEW + 1])

    def counts(self) -> dict[Status, Count] | None:
        if self.are_few:
            numbers = self._numbers(self.search.conditions)
            return {status: Count(numbers[status], approximate=False) for status in Status}
        return None if self.search.conditions else metrics.totals()

    def _arms(self, conditions: Iterable[Condition], what: str = "id") -> QuerySet[Any, Any]:
        """The first few jobs with these conditions: finished ones by their indexes, and the others."""
        q = all_of(conditions)
        ended = [status for status in self.statuses if status in TERMINAL]
        arms = [Job.objects.filter(q, status__in=ended)] if ended else []
        arms += [Job.objects.filter(q, status=status) for status in self.statuses if status in ACTIVE]
        if not arms:
            return Job.objects.none().values("id")
        first: QuerySet[Any, Any]
        first, *more = [arm.order_by().values(what)[: FEW + 1] for arm in arms]
        return first.union(*more, all=True) if more else first

    def few(self) -> JobQuerySet:
        """All that is found. Only where these are few: the ids are looked up before anything is sorted."""
        return Job.objects.filter(id__in=self._arms(self.search.without_status().conditions))

    def page(self, after: str, limit: int) -> Page:
        if not self.statuses:
            return Page([])
        key = _read(after, self.order)
        start = _beyond(self.order, key) if key else Q()
        if self.are_few:
            return self._page(self.few().filter(start), limit)
        if self.statuses == [Status.PENDING]:
            return self._page(self._as_they_will_run(start, limit), limit)
        statuses = Q() if len(self.statuses) == len(Status) else Q(status__in=self.statuses)
        jobs = Job.objects.filter(statuses & all_of(self.ordered) & start)
        if not self.others or self.order not in (NEWEST, ENDED):
            return self._page(jobs.filter(all_of(self.others)), limit)
        edge = jobs.order_by(*self.order).values_list(*_fields(self.order))[WINDOW - 1 : WINDOW].first()
        near = jobs.filter(_as_far_as(self.order, edge)) if edge else jobs
        page = self._page(near.filter(all_of(self.others)), limit)
        return page if page.next or not edge else Page(page.jobs, _write(edge), looked_at=WINDOW)

    def _as_they_will_run(self, start: Q, limit: int) -> JobQuerySet:
        """Waiting jobs, the first of each queue by its index."""
        waiting = Job.objects.filter(self.search.q & start).defer(*self.left_out).order_by(*self.order)
        names = Queue.objects.values_list("name", flat=True)
        if len(names) < 2 or any(c.term.field == "queue" and not c.term.negated for c in self.others):
            return waiting
        first, *more = [waiting.filter(queue=name)[: limit + 1] for name in names]
        return first.union(*more, all=True)

    def _page(self, jobs: JobQuerySet, limit: int) -> Page:
        if not jobs.query.combinator:
            jobs = jobs.defer(*self.left_out)
        found = list(jobs.order_by(*self.order)[: limit + 1])
        more = len(found) > limit
        last = found[:limit][-1] if more else None
        return Page(found[:limit], _write([getattr(last, name) for name in _fields(self.order)]) if last else "")


def _fields(order: Order) -> list[str]:
    return [name.lstrip("-") for name in order]


def _beyond(order: Order, key: Key) -> Q:
    """After this key in this order."""
    q, same = Q(), Q()
    for name, value in zip(order, key, strict=True):
        field = name.lstrip("-")
        q |= same & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        same &= Q(**{field: value})
    # The same for the first field alone, by which an index finds the place.
    return Q(**{f"{order[0].lstrip('-')}__{'lte' if order[0].startswith('-') else 'gte'}": key[0]}) & q


def _as_far_as(order: Order, key: Key) -> Q:
    """Up to this key in this order, and it."""
    return Q(**{f"{order[0].lstrip('-')}__{'gte' if order[0].startswith('-') else 'lte'}": key[0]}) & ~_beyond(
        order, key
    )


def _write(key: Sequence[Any]) -> str:
    return "~".join(value.isoformat() if isinstance(value, datetime) else str(value) for value in key)


def _read(text: str, order: Order) -> Key | None:
    """The key in a page's address; None when there is none, or one of another order."""
    try:
        return tuple(_READ[name](part) for name, part in zip(_fields(order), text.split("~"), strict=True))
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None


_READ: dict[str, Any] = {
    "id": UUID,
    "priority": int,
    **dict.fromkeys(("created_at", "finished_at", "scheduled_at", "started_at"), _moment),
}
