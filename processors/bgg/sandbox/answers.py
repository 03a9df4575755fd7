"""The sandbox's games as the XML that BoardGameGeek sends: shapes taken from recorded answers."""

from collections.abc import Iterable
from html import escape

from .games import Link, SampleGame, find, hot, search

TERMS = 'termsofuse="https://boardgamegeek.com/xmlapi/termsofuse"'
HEAD = '<?xml version="1.0" encoding="utf-8"?>'
EMPTY = f"{HEAD}<items {TERMS}></items>"
INVALID_ITEM = f"{HEAD}<items {TERMS}><item><error message='Invalid Item'/></item></items>"
INVALID_TYPE = f"{HEAD}<error message='Invalid type' />"
INVALID_USER = f"{HEAD}<errors><error><message>Invalid username specified</message></error></errors>"
EXCEPTION = f"{HEAD}<items {TERMS}><item><error>Exception</error></item></items>"
TOO_FAST = "<error>\n  <message>Rate limit exceeded.</message>\n</error>"
ACCEPTED = (
    f"{HEAD}<message>\n  Your request for this collection has been accepted and will be processed.  "
    "Please try again later for access.\n</message>"
)
HTML = "<!DOCTYPE html><html><head><title>BoardGameGeek</title></head><body>Back in a moment&hellip;</body></html>"
THING_TYPES = {"boardgame", "boardgameexpansion", "boardgameaccessory", "videogame", "rpgitem", "rpgissue"}


def things(ids: Iterable[int], *, stats: bool, types: set[str]) -> str:
    """What is known of these ids; the unknown are left out without a word."""
    known = [game for game_id in ids if (game := find(game_id)) and (not types or game.kind in types)]
    return f"{HEAD}<items {TERMS}>{''.join(_thing(game, stats=stats) for game in known)}</items>"


def hot_list() -> str:
    items = (
        f'<item id="{game.id}" rank="{place}">{_value("thumbnail", _image(game, "_t"))}{_value("name", game.name)}'
        f"{_year(game)}</item>"
        for place, game in enumerate(hot(), 1)
    )
    return f"{HEAD}<items {TERMS}>{''.join(items)}</items>"


def found(query: str, types: set[str]) -> str:
    """All matches in one answer; an expansion is told twice, as a game and as what it is."""
    matches = list(search(query))
    items = [
        f'<item type="{kind}" id="{game.id}"><name type="{name_type}" value="{escape(name)}"/>'
        f"{_unsigned_year(game)}</item>"
        for kind in ("boardgame", "boardgameexpansion")
        if kind in types
        for game, name_type, name in matches
        if kind in ("boardgame", game.kind)
    ]
    return f'{HEAD}<items total="{len(items)}" {TERMS}>{"".join(items)}</items>'


def collection(games: list[SampleGame]) -> str:
    items = (
        f'<item objecttype="thing" objectid="{game.id}" subtype="boardgame" collid="{place}">'
        f'<name sortindex="1">{escape(game.name)}</name><yearpublished>{game.year}</yearpublished>'
        f'<status own="1" prevowned="0" fortrade="0" want="0" wanttoplay="0" wanttobuy="0" wishlist="0" '
        f'preordered="0" lastmodified="2026-01-01 00:00:00"/><numplays>0</numplays></item>'
        for place, game in enumerate(games, 1)
    )
    return f'{HEAD}<items totalitems="{len(games)}" {TERMS}>{"".join(items)}</items>'


def _thing(game: SampleGame, *, stats: bool) -> str:
    names = [("primary", game.name), *(("alternate", name) for name in game.alternate_names)]
    return "".join(
        (
            f'<item type="{game.kind}" id="{game.id}">',
            f"<thumbnail>{image}</thumbnail>" if (image := _image(game, "_t")) else "",
            f"<image>{image}</image>" if (image := _image(game)) else "",
            *(f'<name type="{kind}" sortindex="1" value="{escape(name)}"/>' for kind, name in names),
            f"<description>{escape(game.description, quote=False)}</description>",
            _year(game),
            _value("minplayers", game.players[0]),
            _value("maxplayers", game.players[1]),
            _poll(game),
            _value("playingtime", game.minutes[1]),
            _value("minplaytime", game.minutes[0]),
            _value("maxplaytime", game.minutes[1]),
            _value("minage", game.age),
            *map(_link, game.links),
            _statistics(game) if stats else "",
            "</item>",
        )
    )


def _poll(game: SampleGame) -> str:
    best = game.players[1]
    return (
        '<poll name="suggested_numplayers" title="User Suggested Number of Players" totalvotes="1">'
        f'<results numplayers="{best}"><result value="Best" numvotes="1"/></results></poll>'
        '<poll-summary name="suggested_numplayers" title="User Suggested Number of Players">'
        f'<result name="bestwith" value="Best with {best} players"/>'
        f'<result name="recommmendedwith" value="Recommended with {best} players"/></poll-summary>'
    )


def _link(link: Link) -> str:
    inbound = ' inbound="true"' if link.inbound else ""
    return f'<link type="{link.type}" id="{link.id}" value="{escape(link.value)}"{inbound}/>'


def _statistics(game: SampleGame) -> str:
    rank = game.rank or "Not Ranked"
    rank_of = '<rank type="{}" id="{}" name="{}" friendlyname="{}" value="{}" bayesaverage="{}"/>'
    return "".join(
        (
            '<statistics page="1"><ratings>',
            _value("usersrated", int(game.rating * 1000)),
            _value("average", game.rating),
            _value("bayesaverage", game.rating and round(game.rating - 0.3, 2)),
            "<ranks>",
            rank_of.format("subtype", 1, "boardgame", "Board Game Rank", rank, game.rating or "Not Ranked"),
            rank_of.format("family", 5499, "familygames", "Family Game Rank", rank, game.rating or "Not Ranked"),
            "</ranks>",
            _value("averageweight", game.weight),
            "</ratings></statistics>",
        )
    )


def _image(game: SampleGame, size: str = "") -> str:
    return f"{game.image_scheme}//images.example.org/bgg/{game.id}{size}.jpg" if game.image_scheme is not None else ""


def _year(game: SampleGame) -> str:
    return "" if game.year is None else _value("yearpublished", game.year)


def _unsigned_year(game: SampleGame) -> str:
    """A search tells years BC as the service's database holds them: unsigned, in 32 bits."""
    return "" if game.year is None else _value("yearpublished", game.year % 2**32)


def _value(tag: str, value: object) -> str:
    return f'<{tag} value="{escape(str(value))}"/>'
