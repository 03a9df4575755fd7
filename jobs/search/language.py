"""The query language as text: terms, quoting, negation, and the small values in them. What a term means is `terms`'."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from jobs.encoding import storable

LONGEST = 1000  # characters of a query
MOST = 50  # terms
LONGEST_AGE = timedelta(days=3650)

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TERM = re.compile(
    rf'(?P<no>-)?(?:(?P<field>[^\s":<>]+):(?P<op>>=|<=|>|<|)(?P<value>{_QUOTED}|[^\s"]*)|(?P<word>{_QUOTED}|[^\s"]+))'
    r"(?=\s|$)"
)
_PART = re.compile(r"(\d+)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class InvalidQuery(ValueError):
    """A query that cannot be understood: `term` is the part, the message says what was expected."""

    def __init__(self, term: str, expected: str) -> None:
        super().__init__(f"{term}: expected {expected}" if term else f"expected {expected}")
        self.term = term
        self.expected = expected


@dataclass(frozen=True)
class Term:
    """One condition as it was written: `-attempt:>=2` is negated, its field is attempt, its sign >=, its value 2."""

    source: str
    value: str
    field: str = ""  # none: a bare word
    sign: str = ""  # "", or a comparison
    negated: bool = False

    def expected(self, what: str) -> InvalidQuery:
        return InvalidQuery(self.source, what)


def split(query: str) -> list[Term]:
    """The terms of a query. Raises InvalidQuery."""
    if len(query) > LONGEST or storable(query) != query:
        raise InvalidQuery("", f"at most {LONGEST} characters, none of them unprintable")
    terms: list[Term] = []
    rest = query.strip()
    while rest:
        if (found := _TERM.match(rest)) is None:
            raise InvalidQuery(rest.split(maxsplit=1)[0], 'a term like status:failed, and a closing " for each opening')
        terms.append(_term(found))
        rest = rest[found.end() :].lstrip()
    if len(terms) > MOST:
        raise InvalidQuery("", f"at most {MOST} terms")
    return terms


def _term(found: re.Match[str]) -> Term:
    text = found["value"] if found["field"] else found["word"]
    value = re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
    term = Term(found[0], value, found["field"] or "", found["op"] or "", found["no"] is not None)
    if not value:
        raise term.expected("a value")
    return term


def quoted(value: str) -> str:
    """The value as a query has it: in quotes where it needs them."""
    if re.fullmatch(r'[^\s"\\<>=,][^\s"\\,]*', value):
        return value
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'"{escaped}"'


def duration(term: Term) -> timedelta:
    """`90s`, `5m`, `1h30m`, `2d`, `1w`."""
    parts = _PART.findall(term.value)
    if not parts or _PART.sub("", term.value).strip():
        raise term.expected("a time such as 30s, 5m, 2h, 1h30m, 3d or 1w")
    try:
        total = sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        total = timedelta.max
    if total > LONGEST_AGE:
        raise term.expected(f"at most {LONGEST_AGE.days}d")
    return total


def moment(term: Term) -> tuple[datetime, datetime] | None:
    """A date or a time in UTC as its begin and end; None when the value is neither."""
    try:
        if len(term.value) == len("2026-01-01"):
            begin = datetime.combine(date.fromisoformat(term.value), time(), UTC)
            return begin, begin + timedelta(days=1)
        at = datetime.fromisoformat(term.value)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        return at, at + timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None


def whole(term: Term, least: int, most: int) -> int:
    if not re.fullmatch(r"\d{1,9}", term.value) or not least <= int(term.value) <= most:
        raise term.expected(f"a whole number from {least} to {most}")
    return int(term.value)


def uuid(term: Term) -> UUID:
    try:
        return UUID(term.value)
    except ValueError:
        raise term.expected("a job's id") from None


def words(term: Term) -> Sequence[str]:
    """The values between commas."""
    values = [word for word in term.value.split(",") if word]
    if not values:
        raise term.expected("a value")
    return values
