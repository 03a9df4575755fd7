"""What ESI tells: recorded answers about one character, generated ones about others, rows that grow when told to.

Nothing here is random: a character's row with a number is the same each time. Lists begin 30 days before the sandbox
did; rows added later are newer than those, and older than now.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from .routes import DETAIL, ROUTES, Route
from .switches import Switches

RECORDED: Final = json.loads((Path(__file__).parent / "recorded.json").read_text())
PILOT: Final = 1337512245  # whom the recordings are about
FIRST: Final = 90_000_000  # no character has a lower id
DAYS: Final = 30
COUNTS: Final = {  # rows of each character
    "assets": 1189,
    "blueprints": 60,
    "freelance-jobs": 25,
    "industry/jobs": 30,
    "mail": 120,
    "mining": 30,
    "notifications": 30,
    "orders": 12,
    "orders/history": 40,
    "wallet/journal": 240,
    "wallet/transactions": 120,
}
CUT: Final = 150  # assets of the first page that were recorded; the rest of it is generated
STATIONS: Final = (60003760, 60008494, 60011866, 60014779)
KINDS: Final = ("bounty_prizes", "market_transaction", "player_donation", "brokers_fee")
DONE: Final = 6  # industry jobs that are not yet delivered
MAIL: Final = 1_000_000
Row = dict[str, Any]


class World:
    """All characters of 90,000,000 and up, as they are now."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

    def name(self, character: int) -> str:
        return str(RECORDED["character"]["name"]) if character == PILOT else f"Pilot {character}"

    def rows(self, name: str, character: int) -> list[Row]:
        """All rows of a list, the newest first."""
        return [ROWS[name](self, character, number) for number in reversed(range(self._count(name)))]

    def _count(self, name: str) -> int:
        return self._switches.counts.get(name, COUNTS[name])

    def tell(self, route: Route, ids: Mapping[str, int], query: Mapping[str, str], date: str) -> Any:
        """The answer of a route without its pages; None: there is no such thing."""
        character = ids.get("character_id", 0)
        if "character_id" in ids and character < FIRST:
            return None
        match route.name:
            case "character":
                return self._character(character, date)
            case "industry/jobs" if query.get("include_completed", "").lower() != "true":
                return [row for row in self.rows(route.name, character) if row["status"] == "active"]
            case "mail" if "labels" in query:
                wanted = set(map(int, query["labels"].split(",")))
                return [row for row in self.rows("mail", character) if wanted & set(row["labels"])]
            case "mail/{mail_id}":
                return self._letter(character, ids["mail_id"] - MAIL)
            case "mail/labels":
                return {"labels": [{"color": "#ffffff", "label_id": 1, "name": "Inbox"}], "total_unread_count": 0}
            case "mail/lists":
                return [{"mailing_list_id": 145678901, "name": "Local news"}]
            case "location":
                return {"solar_system_id": 30000142, "station_id": STATIONS[0]}
            case "status":
                return RECORDED["status"] | {"vip": False}
            case "meta/status":
                return {"routes": [{"method": it.method, "path": it.path, "status": "OK"} for it in ROUTES]}
            case "meta/compatibility-dates":
                return {"compatibility_dates": sorted({it.version for it in ROUTES}, reverse=True)}
            case "meta/changelog":
                return {"changelog": {DETAIL: [_change(it) for it in ROUTES if it.version == DETAIL]}}
            case "portrait":
                return {
                    size: address.replace(str(PILOT), str(character)) for size, address in RECORDED["portrait"].items()
                }
            case "ship":
                return RECORDED["ship"] | {"ship_name": f"{self.name(character)}'s Raven"}
            case name:
                return RECORDED[name] if name in RECORDED and name not in ROWS else self.rows(name, character)

    def _character(self, character: int, date: str) -> Row:
        told: Row = RECORDED["character"] | {"name": self.name(character)}
        return told | ({"achievement_score": character % 5000} if date >= DETAIL else {"title": ""})

    def _letter(self, character: int, number: int) -> Row | None:
        if not 0 <= number < self._count("mail"):
            return None
        row = _mail(self, character, number)
        return {"body": f"<p>The text of mail {number}.</p>", "read": row["is_read"]} | {
            name: row[name] for name in ("from", "labels", "recipients", "subject", "timestamp")
        }

    def when(self, name: str, number: int) -> datetime:
        """30 days evenly filled by the rows that there are at first; each later one is a second newer."""
        first = COUNTS[name]
        if number >= first:
            return self._began + timedelta(seconds=number - first + 1)
        return self._began - timedelta(days=DAYS) + number * timedelta(days=DAYS) / first


def time_of(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _change(route: Route) -> Row:
    told = {"compatibility_date": route.version, "type": "breaking", "description": "Achievement score and titles."}
    return {"method": route.method, "path": route.path, **told}


def _asset(world: World, character: int, number: int) -> Row:
    """The newest 150, and the oldest 189, are as recorded for the character that was recorded."""
    position = COUNTS["assets"] - 1 - number  # in the answer
    kept = position if position < CUT else position - 1000 + CUT
    if character == PILOT and (0 <= position < CUT or position >= 1000):
        return dict(RECORDED["assets"][kept])
    return {
        "is_singleton": False,
        "item_id": 1_040_000_000_000 + (character % 100_000) * 10_000 + number,
        "location_flag": "Hangar",
        "location_id": STATIONS[number % len(STATIONS)],
        "location_type": "station",
        "quantity": number % 90 + 1,
        "type_id": 34 + number % 7,
    }


def _blueprint(world: World, character: int, number: int) -> Row:
    copy = number % 3 == 0
    return {
        "item_id": 1_050_000_000_000 + (character % 100_000) * 10_000 + number,
        "location_flag": "Hangar",
        "location_id": STATIONS[number % len(STATIONS)],
        "material_efficiency": number % 11,
        "quantity": -2 if copy else -1,
        "runs": 10 if copy else -1,
        "time_efficiency": number % 11 * 2,
        "type_id": 691 + number,
    }


def _entry(world: World, character: int, number: int) -> Row:
    kind = KINDS[number % len(KINDS)]
    amount = -1250.5 if kind == "brokers_fee" else 10_000.25 + number
    party = {"first_party_id": character, "second_party_id": 1000132}
    context = {"context_id": _sale_id(number), "context_id_type": "market_transaction_id"}
    return {
        "amount": amount,
        "balance": 1_000_000 + number * 5000.0,
        "date": time_of(world.when("wallet/journal", number)),
        "description": f"{kind.replace('_', ' ').capitalize()} {number}",
        "id": 20_000_000_000 + number,
        "ref_type": kind,
        **party,
        **(context if kind == "market_transaction" else {}),
    }


def _sale_id(number: int) -> int:
    return 6_000_000_000 + number


def _sale(world: World, character: int, number: int) -> Row:
    return {
        "client_id": 95_000_000 + number,
        "date": time_of(world.when("wallet/transactions", number)),
        "is_buy": number % 2 == 0,
        "is_personal": True,
        "journal_ref_id": 20_000_000_000 + number,
        "location_id": STATIONS[number % len(STATIONS)],
        "quantity": number % 50 + 1,
        "transaction_id": _sale_id(number),
        "type_id": 34 + number % 7,
        "unit_price": 5.25 + number,
    }


def _industry(world: World, character: int, number: int) -> Row:
    began = world.when("industry/jobs", number)
    ends = began + timedelta(hours=6)
    done = number < COUNTS["industry/jobs"] - DONE
    row = {
        "activity_id": 1,
        "blueprint_id": 1_050_000_000_000 + number,
        "blueprint_location_id": STATIONS[0],
        "blueprint_type_id": 691,
        "cost": 118.01,
        "duration": 21_600,
        "end_date": time_of(ends),
        "facility_id": STATIONS[0],
        "installer_id": character,
        "job_id": 500_000_000 + number,
        "output_location_id": STATIONS[0],
        "product_type_id": 587,
        "runs": 1,
        "start_date": time_of(began),
        "station_id": STATIONS[0],
        "status": "delivered" if done else "active",
    }
    return row | ({"completed_date": time_of(ends), "completed_character_id": character} if done else {})


def _mined(world: World, character: int, number: int) -> Row:
    day = world.when("mining", number).date().isoformat()
    return {"date": day, "quantity": 1000 + number, "solar_system_id": 30003707, "type_id": 17471}


def _order(world: World, character: int, number: int) -> Row:
    return _any_order(world, "orders", 7_000_000_000 + number, number)


def _old_order(world: World, character: int, number: int) -> Row:
    state = "cancelled" if number % 4 == 0 else "expired"
    return _any_order(world, "orders/history", 6_900_000_000 + number, number) | {"state": state}


def _any_order(world: World, name: str, order: int, number: int) -> Row:
    buys = {"escrow": 45.6, "is_buy_order": True, "min_volume": 1} if number % 2 else {}
    return buys | {
        "duration": 90,
        "is_corporation": False,
        "issued": time_of(world.when(name, number)),
        "location_id": STATIONS[number % len(STATIONS)],
        "order_id": order,
        "price": 33.3 + number,
        "range": "station" if buys else "region",
        "region_id": 10000002,
        "type_id": 34 + number % 7,
        "volume_remain": number,
        "volume_total": number + 100,
    }


def _mail(world: World, character: int, number: int) -> Row:
    return {
        "from": 95_000_000 + number % 10,
        "is_read": number % 3 > 0,
        "labels": [1] if number % 2 else [1, 2],
        "mail_id": MAIL + number,
        "recipients": [{"recipient_id": character, "recipient_type": "character"}],
        "subject": f"Mail {number}",
        "timestamp": time_of(world.when("mail", number)),
    }


def _notification(world: World, character: int, number: int) -> Row:
    return {
        "is_read": True,
        "notification_id": 1_900_000_000 + number,
        "sender_id": 1000132,
        "sender_type": "corporation",
        "text": f"amount: {3_731_016.4 + number}\nitemID: 1024881021663\npayout: 1\n",
        "timestamp": time_of(world.when("notifications", number)),
        "type": "InsurancePayoutMsg",
    }


def _freelance(world: World, character: int, number: int) -> Row:
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "last_modified": time_of(world.when("freelance-jobs", number)),
    }


ROWS: Final[Mapping[str, Callable[[World, int, int], Row]]] = {
    "assets": _asset,
    "blueprints": _blueprint,
    "freelance-jobs": _freelance,
    "industry/jobs": _industry,
    "mail": _mail,
    "mining": _mined,
    "notifications": _notification,
    "orders": _order,
    "orders/history": _old_order,
    "wallet/journal": _entry,
    "wallet/transactions": _sale,
}
