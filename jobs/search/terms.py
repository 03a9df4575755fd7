"""What each term means: conditions on jobs, and whether Postgres finds their few rows by an index."""

import json
import math
import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from pydantic.alias_generators import to_camel

from jobs.models import ACTIVE, TERMINAL, Failure, Priority, Status
from jobs.search.language import Term, duration, moment, split, uuid, whole, words

SIGNS = {"": "exact", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
WORDS = {"waiting": Status.PENDING, "active": Status.PROCESSING, "delayed": Status.SCHEDULED}  # of the API
AGES = {"created": "created_at", "started": "started_at", "finished": "finished_at"}
NUMBERS = {"attempt": 32_767, "losses": 32_767}

Moment = datetime | Now  # when the query is asked
Path = Sequence[str]  # of a field within a payload


def _nothing(path: Path) -> bool:
    return False


_is_secret: Callable[[Path], bool] = _nothing


def hide(is_secret: Callable[[Path], bool]) -> None:
    """Refuse to look for the values of these fields. Told by who knows the job types."""
    global _is_secret
    _is_secret = is_secret


@dataclass(frozen=True)
class Condition:
    """A term, understood."""

    term: Term
    q: Q
    indexed: bool = False  # among finished jobs an index finds it
    statuses: frozenset[Status] | None = None  # it is about the status alone
    time: str = ""  # the field, if it is a range of times
    of_one_type: bool = False


@dataclass(frozen=True)
class Search:
    """A query, understood: the conditions that all hold."""

    conditions: tuple[Condition, ...]

    @property
    def q(self) -> Q:
        return all_of(self.conditions)

    @property
    def statuses(self) -> list[Status]:
        """Those that the query leaves, in the order of a job's life."""
        given = [condition.statuses for condition in self.conditions if condition.statuses is not None]
        return [status for status in Status if all(status in some for some in given)]

    def without_status(self) -> "Search":
        return Search(tuple(condition for condition in self.conditions if condition.statuses is None))

    def __str__(self) -> str:
        return " ".join(condition.term.source for condition in self.conditions)


def all_of(conditions: Iterable[Condition]) -> Q:
    q = Q()
    for condition in conditions:
        q &= condition.q
    return q


def understand(query: str, at: datetime | None = None) -> Search:
    """The meaning of a query, relative times counted from `at` (now). Raises InvalidQuery."""
    return Search(tuple(_condition(term, at or Now()) for term in split(query)))


def _condition(term: Term, at: Moment) -> Condition:
    meant = _meaning(term, at)
    if not term.negated:
        return meant
    if meant.statuses is not None:
        rest = frozenset(Status) - meant.statuses
        return Condition(term, Q(status__in=_ordered(rest)), statuses=rest)
    # By CASE, since NOT of a comparison with NULL is not true.
    return Condition(term, Q(Case(When(meant.q, then=Value(False)), default=Value(True))))


def _meaning(term: Term, at: Moment) -> Condition:
    if not term.field:
        return _bare(term)
    if term.field.startswith("payload."):
        return _exactly(term, Condition(term, _payload(term), indexed=True))
    if term.field in AGES:
        return _age(term, AGES[term.field], at)
    if term.field in NUMBERS:
        number = whole(term, 0, NUMBERS[term.field])
        return Condition(term, Q(**{f"{term.field}__{SIGNS[term.sign]}": number}))
    if (compared := COMPARED.get(term.field)) is not None:
        return Condition(term, compared(term, at))
    if (read := READ.get(term.field)) is not None:
        return _exactly(term, read(term))
    raise term.expected(f"one of {', '.join(sorted(FIELDS))}, payload.PATH, or a job's id or type")


def _exactly(term: Term, condition: Condition) -> Condition:
    if term.sign:
        raise term.expected(f"{term.field}:VALUE; only numbers and times are compared")
    return condition


def _bare(term: Term) -> Condition:
    """A job's id, its beginning, or a type."""
    digits = term.value.replace("-", "").lower()
    if 8 <= len(digits) <= 32 and set(digits) <= set(string.hexdigits):
        return _id(term)
    if "*" in term.value or " " in term.value:
        raise term.expected("a job's id or type; other fields are named, as in error:timeout or payload.gameId:13")
    return _type(term)


def _status(term: Term) -> Condition:
    chosen = set()
    for word in words(term):
        try:
            chosen.add(WORDS.get(word.lower()) or Status(word.lower()))
        except ValueError:
            raise term.expected(f"one of {', '.join(Status)}") from None
    return Condition(term, Q(status__in=_ordered(chosen)), statuses=frozenset(chosen))


def _ordered(statuses: "set[Status] | frozenset[Status]") -> list[str]:
    return [status.value for status in Status if status in statuses]


def _type(term: Term) -> Condition:
    names = {name for word in words(term) for name in (word, word.replace("-", "_"))}
    return Condition(term, Q(type__in=sorted(names)), indexed=True, of_one_type=len(names) == 1)


def _queue(term: Term) -> Condition:
    return Condition(term, Q(queue__in=sorted({n for word in words(term) for n in (word, word.replace("-", "_"))})))


def _id(term: Term) -> Condition:
    digits = term.value.replace("-", "").lower()
    if not 8 <= len(digits) <= 32 or not set(digits) <= set(string.hexdigits):
        raise term.expected("a job's id, or 8 of its digits or more")
    return Condition(term, Q(id__range=(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))), indexed=True)


def _worker(term: Term) -> Condition:
    """A worker's name, or its node's: all its boots."""
    return Condition(term, Q(worker=term.value) | Q(worker__startswith=f"{term.value}:"))


def _error(term: Term) -> Condition:
    """Jobs with a failure of this fingerprint, class, or with this in its message."""
    fingerprint = re.fullmatch(r"[0-9a-f]{32}", term.value) is not None
    told = Q(fingerprint=term.value) if fingerprint else Q(error=term.value) | Q(message__icontains=term.value)
    return Condition(term, Q(id__in=Failure.objects.filter(told).order_by().values("job")), indexed=fingerprint)


def _payload(term: Term) -> Q:
    """Equality at a path, whatever the type of the value; of a list, any item."""
    path = term.field.removeprefix("payload.").split(".")
    if not all(path):
        raise term.expected("names between the dots, as in payload.customer.id:7")
    if _is_secret(path):
        raise term.expected("a field that is shown: this one is a secret")
    q = Q()
    for value in _values(term.value):
        for held in (value, [value]):
            for names in {tuple(path), tuple(to_camel(name) for name in path)}:
                document: Any = held
                for name in reversed(names):
                    document = {name: document}
                q |= Q(payload__contains=document)
    return q


def _values(text: str) -> Iterator[Any]:
    """What JSON value may be meant."""
    yield text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        yield value


def _age(term: Term, field: str, at: Moment) -> Condition:
    """`<2h` is newer than two hours; `>2026-01-01` is after the end of that day; a date alone is that day."""
    if (given := moment(term)) is not None:
        begin, end = given
        ranges = {"": (begin, end), "<": (None, begin), "<=": (None, end), ">": (end, None), ">=": (begin, None)}
        least, below = ranges[term.sign]
    elif term.sign:
        then: Any = at - duration(term)
        least, below = (then, None) if term.sign.startswith("<") else (None, then)
    else:
        raise term.expected(f"{term.field}:<2h (newer), {term.field}:>2h (older) or a date such as 2026-01-31")
    q = Q(**{f"{field}__gte": least}) if least is not None else Q()
    q &= Q(**{f"{field}__lt": below}) if below is not None else Q()
    return Condition(term, q, time=field)


def _run(term: Term, at: Moment) -> Q:
    """How long the latest run took, or has taken so far."""
    longer, time = _longer(term), duration(term)
    running = _compare("started_at", at - time, not longer)  # started earlier: runs for longer
    return Q(running, status=Status.PROCESSING) | Q(
        _compare("finished_at", F("started_at") + time, longer), started_at__isnull=False
    )


def _wait(term: Term, at: Moment) -> Q:
    """How long it was, or is, due before it started."""
    longer, time = _longer(term), duration(term)
    started = Q(_compare("started_at", F("scheduled_at") + time, longer), status__in=(Status.PROCESSING, *TERMINAL))
    return started | Q(_compare("scheduled_at", at - time, not longer), status=Status.PENDING)


def _longer(term: Term) -> bool:
    if not term.sign:
        raise term.expected(f"a comparison: {term.field}:>1m or {term.field}:<1m")
    return term.sign.startswith(">")


def _compare(field: str, with_: Any, greater: bool) -> Q:
    return Q(**{f"{field}__{'gt' if greater else 'lt'}": with_})


def _scheduled(term: Term, at: Moment) -> Q:
    """When a job is due: `<2h` within the next two hours."""
    if moment(term) is not None:
        return _age(term, "scheduled_at", at).q
    return _compare("scheduled_at", at + duration(term), _longer(term)) & Q(status__in=ACTIVE)


def _priority(term: Term, at: Moment) -> Q:
    named = Priority.__members__.get(term.value.upper())
    return Q(**{f"priority__{SIGNS[term.sign]}": whole(term, 1, 10) if named is None else named.value})


def _same(field: str, *, indexed: bool = False, read: Callable[[Term], Any] = lambda term: term.value) -> Any:
    return lambda term: Condition(term, Q(**{field: read(term)}), indexed=indexed)


COMPARED: dict[str, Callable[[Term, Moment], Q]] = {
    "priority": _priority,
    "run": _run,
    "scheduled": _scheduled,
    "wait": _wait,
}
READ: dict[str, Callable[[Term], Condition]] = {
    "by": _same("created_by"),
    "error": _error,
    "group": _same("group", indexed=True, read=uuid),
    "id": _id,
    "key": _same("unique_key", indexed=True),
    "parent": _same("parent", indexed=True, read=uuid),
    "queue": _queue,
    "request": _same("request_id"),
    "schedule": _same("schedule", indexed=True),
    "status": _status,
    "tag": _same("tags__contains", indexed=True, read=lambda term: [term.value]),
    "type": _type,
    "worker": _worker,
}
FIELDS = AGES.keys() | NUMBERS.keys() | COMPARED.keys() | READ.keys()
