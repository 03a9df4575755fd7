"""The games we know, as BoardGameGeek tells them. A row is written by jobs only, whole or in its basics."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from . import xml

FRESH = timedelta(hours=24)  # as long a row counts as up to date


class GameQuerySet(models.QuerySet["Game"]):
    def fresh(self, *, details: bool = True, within: timedelta = FRESH) -> GameQuerySet:
        """Rows told by BoardGameGeek not long ago, in the asked depth."""
        return self.filter(**{"details_synced_at__gt" if details else "synced_at__gt": Now() - within})

    def store(self, things: Iterable[xml.Thing], *, details: bool, job: UUID) -> None:
        """Insert or update one row for each. Without details the other columns stay as they are."""
        games = [_game(thing, details=details, job=job) for thing in sorted(things, key=lambda thing: thing.id)]
        self.bulk_create(
            games,
            update_conflicts=True,
            unique_fields=["bgg_id"],
            update_fields=[*BASICS, *(DETAILS if details else ())],
        )


class Game(models.Model):
    """A board game or an expansion. What BoardGameGeek does not know is null or empty."""

    bgg_id = models.PositiveIntegerField("BGG id", primary_key=True)
    kind = models.CharField(max_length=50)  # BoardGameGeek's type: boardgame, boardgameexpansion …
    name = models.TextField()
    year = models.IntegerField(null=True)  # negative: BC
    thumbnail = models.TextField()
    image = models.TextField()

    alternate_names = ArrayField(models.TextField(), default=list)
    description = models.TextField()
    min_players = models.PositiveIntegerField(null=True)
    max_players = models.PositiveIntegerField(null=True)
    playing_time = models.PositiveIntegerField(null=True, help_text="Minutes.")
    min_playing_time = models.PositiveIntegerField(null=True, help_text="Minutes.")
    max_playing_time = models.PositiveIntegerField(null=True, help_text="Minutes.")
    min_age = models.PositiveIntegerField(null=True)
    weight = models.FloatField(null=True, help_text="How complex, from 1 (light) to 5 (heavy).")
    users_rated = models.PositiveIntegerField(null=True)
    rating = models.FloatField(null=True, help_text="Average of the users' ratings, 1 to 10.")
    bayes_rating = models.FloatField(null=True, help_text="The rating that the rank is made from.")
    rank = models.PositiveIntegerField(null=True)  # among all games
    ranks = models.JSONField(default=list)  # [{"name", "rank"}]: within families of games
    categories = ArrayField(models.TextField(), default=list)
    mechanics = ArrayField(models.TextField(), default=list)
    designers = ArrayField(models.TextField(), default=list)
    base_games = models.JSONField(default=list)  # of an expansion: [{"id", "name"}]
    expansions = models.JSONField(default=list)  # of a game: [{"id", "name"}]

    synced_at = models.DateTimeField()
    details_synced_at = models.DateTimeField(null=True)  # null: only the basics are known
    synced_by = models.UUIDField(null=True)  # the job that wrote the row

    objects = GameQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name", "bgg_id"]
        indexes: ClassVar = [
            models.Index(fields=["name"], name="game_name"),
            models.Index(fields=["rank"], name="game_rank"),
            models.Index(fields=["synced_at"], name="game_synced_at"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.year})" if self.year else self.name

    @property
    def address(self) -> str:
        """Its page at BoardGameGeek."""
        return f"https://boardgamegeek.com/{self.kind or 'boardgame'}/{self.bgg_id}"


BASICS = ("kind", "name", "year", "thumbnail", "image", "synced_at", "synced_by")
DETAILS = tuple(
    field.name for field in Game._meta.concrete_fields if not field.primary_key and field.name not in BASICS
)


def _game(thing: xml.Thing, *, details: bool, job: UUID) -> Game:
    game = Game(
        bgg_id=thing.id,
        kind=thing.type,
        name=thing.name,
        year=thing.year,
        thumbnail=thing.thumbnail,
        image=thing.image,
        synced_at=Now(),
        synced_by=job,
    )
    if details:
        _add_details(game, thing)
    return game


def _add_details(game: Game, thing: xml.Thing) -> None:
    game.alternate_names = thing.alternate_names
    game.description = thing.description
    game.min_players, game.max_players = thing.min_players, thing.max_players
    game.playing_time, game.min_age = thing.playing_time, thing.min_age
    game.min_playing_time, game.max_playing_time = thing.min_playing_time, thing.max_playing_time
    game.categories = [link.value for link in thing.linked("boardgamecategory")]
    game.mechanics = [link.value for link in thing.linked("boardgamemechanic")]
    game.designers = [link.value for link in thing.linked("boardgamedesigner")]
    game.base_games = _named(thing.linked("boardgameexpansion", inbound=True))
    game.expansions = _named(thing.linked("boardgameexpansion"))
    game.details_synced_at = Now()
    if ratings := thing.ratings:
        families = (rank for rank in ratings.ranks if rank.type == "family")
        game.weight, game.users_rated = ratings.weight, ratings.users_rated
        game.rating, game.bayes_rating = ratings.average, ratings.bayes_average
        game.rank, game.ranks = thing.rank, [{"name": rank.friendly_name, "rank": rank.value} for rank in families]


def _named(links: list[xml.Link]) -> list[dict[str, object]]:
    return [{"id": link.id, "name": link.value} for link in links]
