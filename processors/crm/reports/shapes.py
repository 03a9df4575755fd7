"""What a report is made of before it has a format: figures, and tables that may have a chart.

A kind of report fills these shapes, a format draws them; neither knows the other.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal

from django.db.models import DateField
from django.db.models.functions import Trunc

BY_DAY: Final = 62  # a longer period is shown month by month

Value = str | int | Decimal | date | None  # None: there is none, as a rate of nothing


class Unit(StrEnum):
    TEXT = "text"
    DAY = "day"
    MONTH = "month"
    COUNT = "count"
    MONEY = "money"  # in whole units of its currency
    PERCENT = "percent"  # 0 to 100

    @property
    def adds_up(self) -> bool:
        return self in (Unit.COUNT, Unit.MONEY)


@dataclass(frozen=True)
class Figure:
    """One number with its name."""

    title: str
    value: Value
    unit: Unit = Unit.COUNT
    digits: int = 2  # of money, behind the point


@dataclass(frozen=True)
class Column:
    title: str
    unit: Unit = Unit.COUNT
    digits: int = 2


@dataclass(frozen=True)
class Chart:
    """Columns of a table as bars or lines, over its first column."""

    kind: Literal["bars", "lines"]
    columns: tuple[int, ...]  # counted from 0


@dataclass(frozen=True)
class Table:
    title: str  # at most 31 characters: it is the name of a sheet, too
    columns: tuple[Column, ...]
    rows: list[tuple[Value, ...]]
    chart: Chart | None = None
    total: bool = True  # a last row with the sums of what can be summed

    def sums(self) -> list[Value]:
        """The total of each column; of those that cannot be added up None."""
        return [
            sum((row[place] or 0 for row in self.rows), start=0) if column.unit.adds_up else None
            for place, column in enumerate(self.columns)
        ]


@dataclass(frozen=True)
class Period:
    """The days from `starts_on` to `ends_on` (UTC), both counted."""

    starts_on: date
    ends_on: date

    def __str__(self) -> str:
        return f"{self.starts_on} to {self.ends_on}"

    @property
    def by_month(self) -> bool:
        return self.ends_on - self.starts_on >= timedelta(days=BY_DAY)

    @property
    def column(self) -> Column:
        return Column("Month", Unit.MONTH) if self.by_month else Column("Day", Unit.DAY)

    def within(self, name: str) -> dict[str, datetime]:
        """The filter for rows whose time `name` is in the period."""
        start, end = (datetime.combine(day, time.min, UTC) for day in (self.starts_on, self.ends_on))
        return {f"{name}__gte": start, f"{name}__lt": end + timedelta(days=1)}

    def bucket(self, name: str) -> Any:
        """The expression for the first day of the bucket that the time `name` is in."""
        return Trunc(name, "month" if self.by_month else "day", output_field=DateField(), tzinfo=UTC)

    def buckets(self) -> list[date]:
        """Every bucket, those without a row too."""
        days = [self.starts_on + timedelta(days=n) for n in range((self.ends_on - self.starts_on).days + 1)]
        return sorted({day.replace(day=1) for day in days}) if self.by_month else days


@dataclass(frozen=True)
class Content:
    title: str
    period: Period
    figures: list[Figure]
    tables: list[Table] = field(default_factory=list)


def share(part: int, whole: int) -> Decimal | None:
    """Percent; None: there is nothing to have a part of."""
    return Decimal(part * 100) / whole if whole else None
