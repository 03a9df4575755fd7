"""Keyset pages: `cursor` says where the last one ended, `next` or `Link` where the next begins. Nothing is counted."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query

from jobs.api.problems import FieldError, invalid

MOST = 200
SALT = "jobs.page"

# What the document says of an operation that answers with a bare array.
LINKED: dict[str, Any] = {
    "responses": {
        200: {"headers": {"Link": {"description": '`<…>; rel="next"`: the next page.', "schema": {"type": "string"}}}}
    }
}

M = TypeVar("M", bound=Model)
Limit = Annotated[int, Query(50, ge=1, le=MOST)]
Cursor = Annotated[str | None, Query(None, max_length=1000, description="`next` of the page before.")]


class Page(NamedTuple):
    rows: list[Any]
    next: str | None


def page(rows: QuerySet[M], order: Sequence[str], limit: int, cursor: str | None, offset: int = 0) -> Page:
    """Up to `limit` rows after the cursor. `order` are fields that are never null, the last of them unique."""
    if cursor is not None:
        rows = rows.filter(_after(order, _values(rows.model, order, cursor)))
    found = list(rows.order_by(*order)[offset : offset + limit + 1])
    more = len(found) > limit
    return Page(found[:limit], sealed(_place(found[limit - 1], order), str(order)) if more else None)


def link(request: HttpRequest, response: HttpResponse, cursor: str | None) -> None:
    """Tell of the next page of a bare array."""
    if cursor is not None:
        query = {name: value for name, value in request.GET.items() if name not in ("cursor", "offset")}
        response["Link"] = f'<{request.path}?{urlencode({**query, "cursor": cursor})}>; rel="next"'


def sealed(place: Any, what: str) -> str | None:
    """The cursor for a place in the list of what was asked for; it is of no use for another list."""
    return signing.dumps(place, salt=f"{SALT} {what}") if place else None


def opened(cursor: str | None, what: str) -> Any:
    """The place that a cursor stands for."""
    if cursor is None:
        return ""
    try:
        return signing.loads(cursor, salt=f"{SALT} {what}")
    except signing.BadSignature:
        raise invalid([FieldError(loc=["query", "cursor"], msg="not the cursor of such a list")]) from None


def _place(row: Any, order: Sequence[str]) -> list[Any]:
    values = [getattr(row, field.removeprefix("-")) for field in order]
    return [value if isinstance(value, int) else str(value) for value in values]


def _values(model: type[Model], order: Sequence[str], cursor: str) -> list[Any]:
    fields: list[Any] = [model._meta.get_field(field.removeprefix("-")) for field in order]
    return [field.to_python(value) for field, value in zip(fields, opened(cursor, str(order)), strict=True)]


def _after(order: Sequence[str], values: Sequence[Any]) -> Q:
    """Rows behind these values. The first condition is implied by the others: it lets an index find the place."""
    bounds = [("lt" if field.startswith("-") else "gt", field.removeprefix("-")) for field in order]
    (first, name), start = bounds[0], values[0]
    behind = Q()
    equal = Q()
    for (comparison, field), value in zip(bounds, values, strict=True):
        behind |= equal & Q(**{f"{field}__{comparison}": value})
        equal &= Q(**{field: value})
    return Q(**{f"{name}__{first}e": start}) & behind
