"""The ways in which ESI gives a long list: numbered pages, from an id down, below a mail, and opaque cursors."""

import base64
from collections.abc import Mapping
from typing import Any

from .routes import SIZES, Route


def cut(route: Route, value: Any, query: Mapping[str, str], size: int | None) -> tuple[Any, dict[str, str]]:
    """What of the value is asked for, and headers. No value: there is no such page. Rows come newest first."""
    if not route.paging:
        return value, {}
    size = size or SIZES[route.name]
    match route.paging:
        case "page":
            return _page(value, int(query.get("page", 1)), size)
        case "from_id":  # at or below it, itself included
            first = int(query.get("from_id", 0))
            return [row for row in value if not first or row["transaction_id"] <= first][:size], {}
        case "last_mail_id":
            last = int(query.get("last_mail_id", 0))
            return [row for row in value if not last or row["mail_id"] < last][:size], {}
        case _:
            return _cursor(value[::-1], query, int(query.get("limit", size))), {}


def _page(rows: list[Any], number: int, size: int) -> tuple[list[Any] | None, dict[str, str]]:
    pages = max(1, -(-len(rows) // size))
    if not 1 <= number <= pages:
        return None, {}
    return rows[(number - 1) * size : number * size], {"x-pages": str(pages)}


def _cursor(rows: list[Any], query: Mapping[str, str], limit: int) -> dict[str, Any]:
    """Rows by age, oldest first: `after` gives newer ones, `before` older ones; without either, the newest."""
    if "after" in query:
        start = _position(query["after"])
        end = min(len(rows), start + limit)
    else:
        end = _position(query["before"]) if "before" in query else len(rows)
        start = max(0, end - limit)
    told: dict[str, Any] = {"freelance_jobs": rows[start:end]}
    return told | {"cursor": {"before": _opaque(start), "after": _opaque(end)}}


def _opaque(position: int) -> str:
    return base64.urlsafe_b64encode(f"position {position}".encode()).decode()


def _position(cursor: str) -> int:
    return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("position "))
