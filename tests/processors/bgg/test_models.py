"""Rows of games: what is kept of an answer, and what a later answer changes."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db.models import F

from processors.bgg import xml
from processors.bgg.models import Game
from tests.processors.bgg.test_xml import recorded

pytestmark = pytest.mark.django_db

JOB = UUID(int=1)


def store(recording: str, *, details: bool = True, job: UUID = JOB) -> Game:
    things = xml.things(recorded(recording))
    Game.objects.store(things, details=details, job=job)
    return Game.objects.get(pk=things[0].id)


def test_a_game_is_kept_whole() -> None:
    game = store("thing_28720_stats")
    assert (game.name, game.year, game.rank, game.kind) == ("Brass: Lancashire", 2007, 23, "boardgame")
    assert (game.min_players, game.max_players, game.min_age) == (2, 4, 14)
    assert (game.playing_time, game.min_playing_time, game.max_playing_time) == (120, 60, 120)
    assert (game.rating, game.bayes_rating, game.users_rated, game.weight) == (8.11394, 7.90044, 14342, 3.8733)
    assert game.ranks == [{"name": "Strategy Game Rank", "rank": 16}]
    assert game.categories == ["Economic", "Industry / Manufacturing", "Transportation"]
    assert game.mechanics == ["Hand Management", "Route/Network Building"]
    assert game.designers == ["Martin Wallace"]
    assert game.expansions == [
        {"id": 201381, "name": "Brass: 2-player board"},
        {"id": 138329, "name": "Catalonia (fan expansion for Brass)"},
    ]
    assert game.base_games == []
    assert game.alternate_names[-1] == "工業革命"
    assert "— first published as Brass —" in game.description
    assert (str(game), game.address) == ("Brass: Lancashire (2007)", "https://boardgamegeek.com/boardgame/28720")


def test_an_expansion_keeps_its_base_game() -> None:
    game = store("thing_242277_expansion_stats")
    assert (game.base_games, game.expansions, game.rank) == ([{"id": 169786, "name": "Scythe"}], [], None)


@pytest.mark.parametrize("recording", ["thing_1001_all-options_2026", "thing_131357_stats", "thing_72125_stats"])
def test_every_recorded_game_fits(recording: str) -> None:
    assert store(recording).name


def test_the_same_answer_twice_is_one_row_told_later() -> None:
    first = store("thing_72125_stats")
    again = store("thing_72125_stats", job=(job := uuid4()))
    assert Game.objects.count() == 1
    assert again.synced_at > first.synced_at
    assert again.synced_by == job


def test_basics_are_name_year_and_image_only() -> None:
    game = store("thing_28720_stats", details=False)
    assert (game.name, game.year, game.details_synced_at) == ("Brass: Lancashire", 2007, None)
    assert game.image.endswith("pic3469216.jpg")
    assert (game.description, game.rank, game.designers, game.min_players) == ("", None, [], None)


def test_basics_do_not_wipe_out_details_nor_make_them_younger() -> None:
    store("thing_28720_stats")
    Game.objects.update(details_synced_at=F("details_synced_at") - timedelta(hours=25), name="Old name")
    game = store("thing_28720_stats", details=False)
    assert (game.name, game.rank, game.designers) == ("Brass: Lancashire", 23, ["Martin Wallace"])
    assert Game.objects.fresh(details=False).get() == game
    assert not Game.objects.fresh(details=True).exists()


def test_fresh_is_younger_than_24_hours() -> None:
    store("thing_28720_stats")
    assert Game.objects.fresh().exists()
    Game.objects.update(
        synced_at=F("synced_at") - timedelta(hours=24), details_synced_at=F("synced_at") - timedelta(hours=24)
    )
    assert not Game.objects.fresh().exists()
    assert not Game.objects.fresh(details=False).exists()


def test_a_game_without_a_year_is_shown_by_its_name() -> None:
    assert str(Game(name="Untitled")) == "Untitled"
