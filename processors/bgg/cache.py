"""What the marketplace reads without a query: the hot list and the results of searches, in Django's cache.

Games themselves are rows (`Game`). `cache_warmup` fills this every night.
"""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Final, TypedDict

from django.core.cache import cache
from django.utils import timezone

from . import xml

KEPT: Final = timedelta(hours=60)  # outlives a night in which the warm-up failed
WARM: Final = timedelta(hours=12)  # well under a day: what was warmed last night is warmed again tonight
HOT: Final = "bgg:hot"


class Listed(TypedDict):
    """A game in a list; its page is made from the row of this id."""

    id: int
    name: str
    year: int | None


def search_key(query: str) -> str:
    """Searches that differ in case or blanks only are one."""
    return f"bgg:search:{hashlib.sha256(' '.join(query.casefold().split()).encode()).hexdigest()}"


def hot() -> list[Listed] | None:
    """The hot list, first place first. None: not in the cache."""
    return read(HOT)


def search(query: str) -> list[Listed] | None:
    """What BoardGameGeek finds for these words. None: not in the cache."""
    return read(search_key(query))


def read(key: str, *, within: timedelta = KEPT) -> list[Listed] | None:
    """The list under this key, unless BoardGameGeek told it longer ago."""
    told_at, games = cache.get(key) or (None, None)
    return games if told_at and timezone.now() - told_at < within else None


def write(key: str, games: Iterable[xml.HotGame | xml.Found]) -> list[Listed]:
    listed = [Listed(id=game.id, name=game.name, year=game.year) for game in games]
    cache.set(key, (timezone.now(), listed), KEPT.total_seconds())
    return listed
