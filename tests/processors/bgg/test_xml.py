"""What is read from real answers, recorded, and from the oddities known of others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from processors.bgg import xml

RECORDINGS = Path(__file__).parent / "recordings"


def recorded(name: str) -> bytes:
    return (RECORDINGS / f"{name}.xml").read_bytes()


def item(inside: str, attributes: str = 'type="boardgame" id="5"') -> bytes:
    return f"<items><item {attributes}>{inside}</item></items>".encode()


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.xml")), ids=lambda path: path.stem)
def test_every_recording_is_read_or_refused(path: Path) -> None:
    read: dict[str, Callable[[bytes], object]] = {"thing": xml.things, "hot": xml.hot, "search": xml.search}
    outcomes = {
        "thing_id0_invalid-item": "Invalid Item",
        "search_invalid-type": "Invalid type",
        "collection_invalid-username": "Invalid username specified",
        "error_429": "Rate limit exceeded.",
        "collection_202": "<message> in place of <items>",
    }
    try:
        read.get(path.stem.split("_")[0], xml.things)(path.read_bytes())
        outcome = None
    except (xml.Refused, xml.Malformed) as error:
        outcome = str(error)
    assert outcome == outcomes.get(path.stem)


def test_a_game_is_read_whole() -> None:
    (game,) = xml.things(recorded("thing_131357_stats"))
    assert game.ratings
    assert (game.id, game.type, game.name, game.year) == (131357, "boardgame", "Coup", 2012)
    assert (game.min_players, game.max_players, game.min_age) == (2, 6, 9)
    assert (game.playing_time, game.min_playing_time, game.max_playing_time) == (15, 15, 15)
    assert (game.rank, game.ratings.users_rated, game.ratings.average) == (354, 23800, 7.0918)
    assert (game.ratings.bayes_average, game.ratings.weight) == (6.97709, 1.4344)
    assert [(rank.friendly_name, rank.value) for rank in game.ratings.ranks if rank.type == "family"] == [
        ("Party Game Rank", 32)
    ]
    assert len(game.alternate_names) == 12
    assert game.alternate_names[-1] == "クー"
    assert [link.value for link in game.linked("boardgamecategory")] == [
        "Bluffing",
        "Card Game",
        "Deduction",
        "Party Game",
        "Political",
    ]
    assert game.image == "https://cf.geekdo-images.com/images/pic2016054.jpg"


def test_descriptions_lose_their_second_layer_of_entities() -> None:
    (game,) = xml.things(recorded("thing_28720_stats"))
    assert game.description.startswith("Brass: Lancashire — first published as Brass — is an economic")
    assert "\n\n" in game.description
    assert "&#10;" not in game.description


def test_an_expansion_names_its_base_games_and_has_no_rank() -> None:
    (game,) = xml.things(recorded("thing_242277_expansion_stats"))
    assert game.type == "boardgameexpansion"
    assert [(link.id, link.value) for link in game.linked("boardgameexpansion", inbound=True)] == [(169786, "Scythe")]
    assert game.linked("boardgameexpansion") == []
    assert game.rank is None


def test_a_game_names_its_expansions() -> None:
    (game,) = xml.things(recorded("thing_28720_stats"))
    assert [link.id for link in game.linked("boardgameexpansion")] == [201381, 138329]
    assert game.linked("boardgameexpansion", inbound=True) == []


def test_an_answer_with_every_option_is_read_for_the_game_alone() -> None:
    (game,) = xml.things(recorded("thing_1001_all-options_2026"))
    assert (game.name, game.year) == ("Vendetta", 1988)  # and not one of its versions
    assert game.alternate_names == ["Cosa Nostra", "Vengeance à Chicago"]


def test_several_games_keep_their_order() -> None:
    assert [game.id for game in xml.things(recorded("thing_39856,194880_multiple"))] == [39856, 194880]


def test_the_hot_list_is_read() -> None:
    games = xml.hot(recorded("hot_boardgame_2026"))
    assert [game.rank for game in games] == list(range(1, 51))
    assert (games[0].id, games[0].name, games[0].year) == (42, "Tigris & Euphrates", 1997)
    assert games[6].name == "The Old King's Crown"
    assert games[0].thumbnail.endswith("/pic9203204.png")


def test_a_search_tells_each_game_once_with_its_exact_type() -> None:
    found = xml.search(recorded("search_SETI_2026"))
    assert len(found) == len({game.id for game in found}) == 13
    assert {game.id: game.type for game in found}[445048] == "boardgameexpansion"
    assert {game.id: game.type for game in found}[418059] == "boardgame"


def test_a_search_may_leave_the_year_out() -> None:
    found = xml.search(recorded("search_eclipse_exact"))
    assert [(game.id, game.year) for game in found][:3] == [(11542, 1999), (23272, None), (72125, 2011)]


@pytest.mark.parametrize(
    ("told", "meant"), [("0", None), ("", None), ("-2200", -2200), ("4294965096", -2200), ("99999999999", None)]
)
def test_years_may_be_unknown_or_bc(told: str, meant: int | None) -> None:
    assert xml.things(item(f'<yearpublished value="{told}"/>'))[0].year == meant
    assert xml.search(item(f'<yearpublished value="{told}"/>'))[0].year == meant


def test_a_thing_may_have_nothing_but_an_id() -> None:
    (game,) = xml.things(item("", 'id="5"'))
    assert (game.name, game.year, game.image, game.description, game.rank, game.ratings) == (
        "",
        None,
        "",
        "",
        None,
        None,
    )
    assert game.links == []


def test_elements_may_be_empty() -> None:
    body = '<thumbnail/><image></image><description/><minplayers value=""/><maxplayers value="0"/><statistics/>'
    (game,) = xml.things(item(body))
    assert (game.thumbnail, game.image, game.description) == ("", "", "")
    assert (game.min_players, game.max_players, game.ratings) == (None, None, None)


def test_addresses_may_begin_with_slashes() -> None:
    assert xml.things(item("<image> //cf.example/a.jpg\n</image>"))[0].image == "https://cf.example/a.jpg"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Back soon</body></html>",
        b"<items><item type='boardgame' id='5'>",
        b"<items><item type='boardgame'/></items>",
        b'<!DOCTYPE items [<!ENTITY a "b">]><items>&a;</items>',
    ],
    ids=["nothing", "html", "cut", "no-id", "entities"],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(xml.Malformed):
        xml.things(body)


def test_trouble_of_the_server_is_told_inside_an_item() -> None:
    with pytest.raises(xml.Refused, match=r"^Exception$"):
        xml.things(b"<items><item><error>Exception</error></item></items>")
