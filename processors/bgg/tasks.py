"""The job types of the board-game marketplace: they bring BoardGameGeek's games into rows and the cache.

What to do about an error of the service is decided in `client`, and who waits for whom in the core.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from jobs.processor import Backoff, Discard, JobContext, Payload, Schedule, processor

from . import cache, xml
from .client import INTERVAL, MAX_HOT, MAX_IDS, QUEUE, client
from .models import Game

ANSWER: Final = 1.0  # seconds that an answer may take, for estimates
LOOK: Final = 0.5  # seconds between two looks for a cancel while we wait

bgg_processor = partial(processor, queue=QUEUE, max_attempts=4, backoff=Backoff(base=1, max=60))


def _game_id(value: object) -> str:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise ValueError("a BoardGameGeek id is a number from 1 to 999999999")
    return str(int(text))


def _once(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


ID_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": "^[0-9]{1,9}$"}, {"type": "integer", "minimum": 1, "maximum": 999_999_999}]
}
GameId = Annotated[str, BeforeValidator(_game_id), WithJsonSchema(ID_SCHEMA)]
GameIds = Annotated[list[GameId], Field(max_length=1000), AfterValidator(_once)]
Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Told(BaseModel):
    """A result, in camelCase like the payloads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class BggSync(Payload):
    game_id: GameId
    force_update: bool = Field(False, description="Also when the row is younger than 24 hours.")
    include_details: bool = Field(True, description="No: name, year and image only.")


class BggSynced(Told):
    game_id: str
    name: str
    year: int | None
    details: bool
    skipped: bool  # the row was fresh


@bgg_processor(priority="normal", timeout=300)
def bgg_sync(payload: BggSync, job: JobContext) -> BggSynced:
    """Synchronise one game with BoardGameGeek."""
    game_id = int(payload.game_id)
    rows = Game.objects.filter(pk=game_id)
    fresh = None if payload.force_update else rows.fresh(details=payload.include_details).first()
    if fresh is None and _store([game_id], job, details=payload.include_details):
        raise Discard(f"BoardGameGeek knows no game {game_id}")
    game = fresh or rows.get()
    return BggSynced(
        game_id=payload.game_id,
        name=game.name,
        year=game.year,
        details=payload.include_details,
        skipped=fresh is not None,
    )


class BggBulkSync(Payload):
    game_ids: Annotated[GameIds, Field(min_length=1)]
    batch_size: int = Field(MAX_IDS, ge=1, le=MAX_IDS, description="Games a request.")
    delay_between_batches: int = Field(0, ge=0, le=60_000, description="Milliseconds.")


class BggBulkSynced(Told):
    requested: int
    synced: int
    missing: list[str]  # ids that BoardGameGeek does not know
    calls: int


def _bulk_timeout(payload: object) -> float:
    """Twice what the ids need, at least the usual 300 s."""
    bulk = BggBulkSync.model_validate(payload)
    calls = -(-len(bulk.game_ids) // bulk.batch_size)
    return max(300.0, 2 * calls * (INTERVAL + ANSWER + bulk.delay_between_batches / 1000))


@bgg_processor(priority="normal", timeout=_bulk_timeout)
def bgg_bulk_sync(payload: BggBulkSync, job: JobContext) -> BggBulkSynced:
    """Synchronise many games with BoardGameGeek, up to 20 a request."""
    ids = [int(game_id) for game_id in payload.game_ids]
    stored = set(Game.objects.filter(pk__in=ids, synced_by=job.id).values_list("pk", flat=True))  # by an earlier run
    left = [game_id for game_id in ids if game_id not in stored]
    missing, calls = _store_all(
        left, job, len(ids), size=payload.batch_size, delay=payload.delay_between_batches / 1000
    )
    return BggBulkSynced(
        requested=len(ids), synced=len(ids) - len(missing), missing=[str(game_id) for game_id in missing], calls=calls
    )


class CacheWarmup(Payload):
    popular_games: bool = True
    limit: int = Field(MAX_HOT, ge=1, le=MAX_HOT, description="How many of the popular games.")
    game_ids: GameIds = []
    search_queries: Annotated[list[Query], Field(max_length=100), AfterValidator(_once)] = []

    @model_validator(mode="after")
    def _something(self) -> "CacheWarmup":
        if not (self.popular_games or self.game_ids or self.search_queries):
            raise ValueError("nothing to warm up: give popularGames, gameIds or searchQueries")
        return self


class CacheWarmed(Told):
    hits: int  # lists and games that were warm
    misses: int  # those that were fetched
    games: int
    searches: int
    missing: list[str]  # ids that BoardGameGeek does not know


@bgg_processor(priority="low", timeout=300)
def cache_warmup(payload: CacheWarmup, job: JobContext) -> CacheWarmed:
    """Bring popular games, given games and searches into the rows and the cache that the marketplace reads."""
    tally: Counter[str] = Counter()
    popular = _listed(cache.HOT, client().hot, job, tally) if payload.popular_games else []
    for query in payload.search_queries:
        _listed(cache.search_key(query), partial(client().search, query), job, tally)
    ids = list(dict.fromkeys([*(game["id"] for game in popular[: payload.limit]), *map(int, payload.game_ids)]))
    warm = set(Game.objects.fresh(within=cache.WARM).filter(pk__in=ids).values_list("pk", flat=True))
    missing, _ = _store_all([game_id for game_id in ids if game_id not in warm], job, len(ids))
    return CacheWarmed(
        hits=tally["hits"] + len(warm),
        misses=tally["misses"] + len(ids) - len(warm),
        games=len(ids) - len(missing),
        searches=len(payload.search_queries),
        missing=[str(game_id) for game_id in missing],
    )


SCHEDULES: Final = [
    Schedule(
        name="cache-warmup",
        type="cache_warmup",
        cron="0 2 * * *",
        description="Popular games into the marketplace's cache, before the day begins.",
        payload={"popularGames": True, "limit": MAX_HOT},
    )
]


def _listed(
    key: str, ask: Callable[..., Iterable[xml.HotGame | xml.Found]], job: JobContext, tally: Counter[str]
) -> list[cache.Listed]:
    """A list from the cache if it is warm there, else from BoardGameGeek and into it."""
    job.check()
    if (games := cache.read(key, within=cache.WARM)) is not None:
        tally["hits"] += 1
        return games
    tally["misses"] += 1
    return cache.write(key, ask(attempt=job.attempt))


def _store(ids: list[int], job: JobContext, *, details: bool = True) -> list[int]:
    """Fetch and store up to 20 games; returns the ids that BoardGameGeek does not know."""
    things = {thing.id: thing for thing in client().things(ids, stats=details, attempt=job.attempt)}
    Game.objects.store((things[game_id] for game_id in ids if game_id in things), details=details, job=job.id)
    return [game_id for game_id in ids if game_id not in things]


def _store_all(
    ids: list[int], job: JobContext, total: int, size: int = MAX_IDS, delay: float = 0
) -> tuple[list[int], int]:
    """Fetch and store any number of games; returns the unknown ids and the number of calls."""
    missing: list[int] = []
    calls, done = 0, total - len(ids)
    for start in range(0, len(ids), size):
        if start:
            _wait(delay, job)
        batch = ids[start : start + size]
        missing += _store(batch, job)
        calls, done = calls + 1, done + len(batch)
        job.progress(done, total, f"{done} of {total} games")
    return missing, calls


def _wait(seconds: float, job: JobContext) -> None:
    """Sleep, but hear of a cancel."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        job.check()
        time.sleep(min(left, LOOK))
    job.check()
