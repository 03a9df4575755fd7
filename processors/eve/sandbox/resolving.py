"""ESI's POST routes, which take up to 1,000 ids and tell of all of them, or of none when one is unknown."""

import json
from collections.abc import Mapping
from typing import Any, Final

from .http import Answer, error, told
from .routes import Route
from .world import FIRST, World

MOST: Final = 1000
RANGES: Final = (  # where which ids are
    (range(500_000, 500_100), "faction"),
    (range(1_000_000, 2_000_000), "corporation"),
    (range(10_000_000, 11_000_000), "region"),
    (range(20_000_000, 21_000_000), "constellation"),
    (range(30_000_000, 31_000_000), "solar_system"),
    (range(60_000_000, 64_000_000), "station"),
    (range(98_000_000, 99_000_000), "corporation"),
    (range(99_000_000, 100_000_000), "alliance"),
    (range(FIRST, 2_200_000_000), "character"),
    (range(1, 100_000), "inventory_type"),
)


def answer(route: Route, ids: Mapping[str, int], body: bytes, world: World) -> Answer:
    try:
        asked = json.loads(body)
    except ValueError:
        return error(400, "body is not JSON", location="body")
    if not isinstance(asked, list) or not all(type(each) is int for each in asked):
        return error(400, "expected an array of integers", location="body")
    if not 1 <= len(asked) <= MOST or len(set(asked)) < len(asked):
        return error(400, f"expected 1 to {MOST} different ids", location="body", value=len(asked))
    if route.name == "universe/names":
        return _names(asked, world)
    owned = {row["item_id"] for row in world.rows("assets", ids["character_id"])}
    if unknown := [each for each in asked if each not in owned]:
        return error(404, "Invalid IDs in the request", location="body", value=unknown[0])
    return told(200, [_asset(route.name, each) for each in asked])


def _asset(name: str, item: int) -> dict[str, Any]:
    if name == "assets/names":
        return {"item_id": item, "name": "None" if item % 10 else f"Box {item % 1000}"}
    return {"item_id": item, "position": {"x": float(item % 7), "y": 0.0, "z": -1.5}}


def _names(asked: list[int], world: World) -> Answer:
    kinds = {each: next((kind for ids, kind in RANGES if each in ids), None) for each in asked}
    if None in kinds.values():
        return error(404, "Ensure all IDs are valid before resolving.")
    return told(200, [{"category": kind, "id": each, "name": _name(each, kind, world)} for each, kind in kinds.items()])


def _name(each: int, kind: str | None, world: World) -> str:
    return world.name(each) if kind == "character" else f"{str(kind).replace('_', ' ').capitalize()} {each}"
