"""The histories that are kept of characters: what of ESI's lists belongs to each, and rows that are there once.

A history is read whole and then stored. Each page that was read is kept for a while (`esi.reading`), so a collection
that was cut short goes on where it stopped, and what is stored has no gap.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from .models import DataType, IndustryJob, JournalEntry, MarketOrder, SkillTraining, WalletTransaction

Row = Mapping[str, Any]
Read = Callable[[str], Any]  # what ESI tells of an endpoint, by its name
OPEN: Final = "open"  # the state of an order that ESI lists as such
CENT: Final = Decimal("0.01")
AT_ONCE: Final = 1000  # rows a statement
RENAMED: Final = {"entry_id": "id"}  # our field → ESI's, where it has another name


class Stored(NamedTuple):
    """What became of the rows that were told."""

    new: int
    changed: int
    oldest: datetime | None  # of all that were told


@dataclass(frozen=True, slots=True)
class History:
    """Rows of one kind: `key` tells them apart within a character, `at` is when it was."""

    model: type[models.Model]
    key: tuple[str, ...]
    at: str
    rows: Callable[[Read], Iterable[Row]]
    changing: bool = False  # a row may be told again when something else has become of it


def read(data_type: DataType, ask: Read) -> list[dict[str, Any]]:
    """All that ESI tells of a history, as fields of its model."""
    history = HISTORIES[data_type]
    return [_fields(history.model, row) for row in history.rows(ask)]


def store(
    data_type: DataType,
    character_id: int,
    told: list[dict[str, Any]],
    since: datetime | None = None,
    until: datetime | None = None,
) -> Stored:
    """Add what is from this time, both ends included, and not yet there. Of two rows with one key the later counts."""
    history = HISTORIES[data_type]
    oldest = min((fields[history.at] for fields in told), default=None)
    wanted = {
        tuple(fields[name] for name in history.key): fields
        for fields in told
        if (since is None or fields[history.at] >= since) and (until is None or fields[history.at] <= until)
    }
    if not wanted:
        return Stored(0, 0, oldest)
    manager, first = history.model._default_manager, history.key[0]
    ends = min(key[0] for key in wanted), max(key[0] for key in wanted)
    there = manager.filter(**{"character_id": character_id, f"{first}__range": ends})
    known = {tuple(getattr(row, name) for name in history.key): row for row in there.iterator()}
    new = [history.model(character_id=character_id, **fields) for key, fields in wanted.items() if key not in known]
    manager.bulk_create(new, ignore_conflicts=True, batch_size=AT_ONCE)
    if not history.changing:
        return Stored(len(new), 0, oldest)
    changed = [row for key, row in known.items() if key in wanted and _take(row, wanted[key])]
    fields = {field.name for field in history.model._meta.concrete_fields} - {"id", "character", *history.key}
    manager.bulk_update(changed, fields, batch_size=AT_ONCE)
    return Stored(len(new), len(changed), oldest)


def _take(row: models.Model, fields: Mapping[str, Any]) -> bool:
    """Write what is different on a row, and whether anything was."""
    different = {name: value for name, value in fields.items() if getattr(row, name) != value}
    for name, value in different.items():
        setattr(row, name, value)
    return bool(different)


def _fields(model: type[models.Model], row: Row) -> dict[str, Any]:
    """Values for the model's fields. What ESI leaves out is as the field has it by default."""
    fields: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        value = row.get(RENAMED.get(field.name, field.name))
        if value is None or field.name in ("id", "character"):
            continue
        if isinstance(field, models.DateTimeField) and isinstance(value, str):
            value = parse_datetime(value)
        elif isinstance(field, models.DecimalField):
            value = Decimal(str(value)).quantize(CENT)
        fields[field.name] = value
    return fields


def _orders(ask: Read) -> list[Row]:
    """Those that are open, then what became of the others: one that is in both lists has just ended."""
    return [*({**row, "state": OPEN} for row in ask("orders")), *ask("orders/history")]


def _trained(ask: Read) -> list[Row]:
    """The levels that skills have now. The queue says when one was reached, until the next login empties it."""
    now = timezone.now()
    finished = {
        (entry["skill_id"], entry["finished_level"]): at
        for entry in ask("skillqueue")
        if (at := parse_datetime(entry.get("finish_date", ""))) and at <= now
    }
    return [
        {
            "skill_id": skill["skill_id"],
            "level": skill["trained_skill_level"],
            "skillpoints": skill["skillpoints_in_skill"],
            "trained_at": finished.get((skill["skill_id"], skill["trained_skill_level"]), now),
        }
        for skill in ask("skills")["skills"]
        if skill["trained_skill_level"]
    ]


HISTORIES: Final = {
    DataType.WALLET_JOURNAL: History(JournalEntry, ("entry_id",), "date", lambda ask: ask("wallet/journal")),
    DataType.WALLET_TRANSACTIONS: History(
        WalletTransaction, ("transaction_id",), "date", lambda ask: ask("wallet/transactions")
    ),
    DataType.MARKET_ORDERS: History(MarketOrder, ("order_id",), "issued", _orders, changing=True),
    DataType.INDUSTRY_JOBS: History(
        IndustryJob, ("job_id",), "start_date", lambda ask: ask("industry/jobs"), changing=True
    ),
    DataType.SKILL_HISTORY: History(SkillTraining, ("skill_id", "level"), "trained_at", _trained),
}
