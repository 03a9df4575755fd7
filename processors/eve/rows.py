"""What ESI's answers become: rows of a table for the lists, `Snapshot.data` for the rest. Histories: `history`.

What is written here was read whole, in a transaction of the caller's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Model

from . import history
from .esi.endpoints import Asked
from .models import Asset, Blueprint, Character, DataType, Mail, MarketOrder, MinedOre, Notice

AT_ONCE: Final = 500  # rows a statement
PUBLIC: Final = ("name", "corporation_id", "alliance_id", "birthday", "security_status")  # of a character


@dataclass(frozen=True, slots=True)
class Table:
    """Where a list goes: `key` tells rows of a character apart; `whole`: what is not in the list any more goes."""

    model: type[Model]
    key: tuple[str, ...]
    whole: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)  # our field → ESI's

    def write(self, character_id: int, told: Iterable[Mapping[str, Any]]) -> None:
        names = [each.name for each in self.model._meta.concrete_fields if each.name not in ("id", "character")]
        rows: dict[tuple[Any, ...], Model] = {}
        for row in told:
            values = {name: row.get(self.renamed.get(name, name)) for name in names}
            known = {name: value for name, value in values.items() if value is not None}
            rows[tuple(known[name] for name in self.key)] = self.model(character_id=character_id, **known)
        manager = self.model._default_manager
        if self.whole:
            (name,) = self.key
            gone = manager.filter(character_id=character_id).exclude(**{f"{name}__in": [key for (key,) in rows]})
            gone.delete()
        manager.bulk_create(
            rows.values(),
            batch_size=AT_ONCE,
            update_conflicts=True,
            unique_fields=["character", *self.key],
            update_fields=[name for name in names if name not in (*self.key, *KEPT)],
        )


KEPT: Final = ("body",)  # of a mail: lists do not tell it
SENT: Final = {"sent_at": "timestamp"}
TABLES: Final = {
    "assets": Table(Asset, ("item_id",), whole=True),
    "blueprints": Table(Blueprint, ("item_id",), whole=True),
    "mining": Table(MinedOre, ("date", "solar_system_id", "type_id")),
    "mail": Table(Mail, ("mail_id",), renamed=SENT | {"sender_id": "from"}),
    "notifications": Table(Notice, ("notification_id",), renamed=SENT),
}
HISTORIES: Final = {
    "wallet/journal": DataType.WALLET_JOURNAL,
    "wallet/transactions": DataType.WALLET_TRANSACTIONS,
    "industry/jobs": DataType.INDUSTRY_JOBS,
    "orders": DataType.MARKET_ORDERS,
    "orders/history": DataType.MARKET_ORDERS,
}


def write(asked: Asked, value: Any) -> Any:
    """Write an answer's rows. Returns what the snapshot is to hold: the answer, or None where it has a table."""
    name, character_id = asked.endpoint.name, asked.ids["character_id"]
    if name in TABLES:
        TABLES[name].write(character_id, value)
        return None
    if name in HISTORIES:
        _write_history(name, character_id, value)
        return None
    if name == "mail/{mail_id}":
        _write_body(character_id, asked.ids["mail_id"], value)
        return None
    if name == "character":
        Character.objects.filter(pk=character_id).update(**{each: value.get(each) for each in PUBLIC})
    return value


def _write_history(name: str, character_id: int, value: list[Any]) -> None:
    """What this endpoint adds to a history that may have others too."""
    if name == "orders":  # an older list than the one that tells how they ended
        ids = [row["order_id"] for row in value]
        there = MarketOrder.objects.filter(character_id=character_id, order_id__in=ids)
        ended = set(there.exclude(state=history.OPEN).values_list("order_id", flat=True))
        value = [row for row in value if row["order_id"] not in ended]
    told = history.read(HISTORIES[name], lambda asked: value if asked == name else [])
    history.store(HISTORIES[name], character_id, told)


def _write_body(character_id: int, mail_id: int, letter: Mapping[str, Any]) -> None:
    """A mail as it is told alone, with its text."""
    row = {**letter, "mail_id": mail_id, "is_read": letter.get("read")}
    TABLES["mail"].write(character_id, [row])
    Mail.objects.filter(character_id=character_id, mail_id=mail_id).update(body=letter.get("body", ""))
