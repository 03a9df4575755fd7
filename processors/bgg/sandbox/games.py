"""The games of the sandbox: three real ones by plain facts, and 100,000 generated ones for volume.

Facts and figures only (ratings are round, not today's); every description is our own. Generated games
are derived from their id, so that each process tells the same, and some have the gaps and oddities
that real answers have.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

GENERATED = range(100_000, 200_000)
SEARCHABLE = range(100_000, 102_000)  # a search looks at these and at the real ones

FIRST = (
    "Amber Brass Copper Crimson Distant Emerald Forgotten Golden Hidden Ivory Jade Last Marble Northern Quiet Silver"
)
SECOND = "Bazaar Canal Caravan Citadel Foundry Garden Harbour Lantern Meadow Observatory Orchard Railway Reef Valley"
CATEGORIES = {1021: "Economic", 1015: "Civilization", 1002: "Card Game", 1010: "Fantasy", 1011: "Transportation"}
MECHANICS = {
    2072: "Dice Rolling",
    2040: "Hand Management",
    2004: "Set Collection",
    2008: "Trading",
    2002: "Tile Placement",
}


@dataclass(frozen=True)
class Link:
    type: str
    id: int
    value: str
    inbound: bool = False


@dataclass(frozen=True)
class SampleGame:
    """A game as the service tells it. Text may hold HTML entities, which is how descriptions arrive."""

    id: int
    name: str
    description: str = ""
    year: int | None = None
    kind: str = "boardgame"
    players: tuple[int, int] = (0, 0)
    minutes: tuple[int, int] = (0, 0)
    age: int = 0
    alternate_names: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    rank: int | None = None
    rating: float = 0.0
    weight: float = 0.0
    image_scheme: str | None = "https:"  # None: the game has no image


def _categories(*names: tuple[int, str]) -> tuple[Link, ...]:
    return tuple(Link("boardgamecategory", *name) for name in names)


def _mechanics(*names: tuple[int, str]) -> tuple[Link, ...]:
    return tuple(Link("boardgamemechanic", *name) for name in names)


REAL = {
    game.id: game
    for game in (
        SampleGame(
            13,
            "CATAN",
            "Players settle an island of hexes and trade what its fields yield.&#10;&#10;Each roll of the dice "
            "makes some hexes pay: wood, brick, wool, grain or ore. Roads, settlements and cities cost them "
            "&mdash; and earn the points &quot;needed&quot; to win.",
            1995,
            players=(3, 4),
            minutes=(60, 120),
            age=10,
            alternate_names=("Catan", "Die Siedler von Catan", "Colonizadores de Catán"),
            links=(
                *_categories((1021, "Economic"), (1026, "Negotiation")),
                *_mechanics((2072, "Dice Rolling"), (2011, "Modular Board"), (2008, "Trading")),
                Link("boardgamedesigner", 11, "Klaus Teuber"),
                Link("boardgameexpansion", 325, "CATAN: Seafarers"),
                Link("boardgameexpansion", 926, "CATAN: Cities & Knights"),
            ),
            rank=600,
            rating=7.1,
            weight=2.3,
        ),
        SampleGame(
            9209,
            "Ticket to Ride",
            "Players collect cards of one colour and spend them on railway routes across a map of North "
            "America.&#10;&#10;Secret tickets name two cities &ndash; whoever has joined them at the end gains "
            "their value, whoever has not loses it.",
            2004,
            players=(2, 5),
            minutes=(30, 60),
            age=8,
            alternate_names=("Zug um Zug", "Les Aventuriers du Rail", "¡Aventureros al Tren!"),
            links=(
                *_categories((1034, "Trains")),
                *_mechanics((2040, "Hand Management"), (2081, "Network and Route Building"), (2004, "Set Collection")),
                Link("boardgamedesigner", 9, "Alan R. Moon"),
                Link("boardgameexpansion", 21348, "Ticket to Ride: USA 1910"),
            ),
            rank=250,
            rating=7.4,
            weight=1.8,
        ),
        SampleGame(
            266192,
            "Wingspan",
            "Players attract birds to three habitats, each of which does more the more birds live in "
            "it.&#10;&#10;Four rounds of eggs, food &amp; cards; bonus cards and the goals of each round decide "
            "who has the richest reserve.",
            2019,
            players=(1, 5),
            minutes=(40, 70),
            age=10,
            alternate_names=("Flügelschlag", "À Tire-d'aile"),
            links=(
                *_categories((1089, "Animals"), (1002, "Card Game"), (1094, "Educational")),
                *_mechanics((2072, "Dice Rolling"), (2040, "Hand Management"), (2004, "Set Collection")),
                Link("boardgamedesigner", 112677, "Elizabeth Hargrave"),
                Link("boardgameexpansion", 290448, "Wingspan: European Expansion"),
            ),
            rank=30,
            rating=8.0,
            weight=2.5,
        ),
    )
}


def find(game_id: int) -> SampleGame | None:
    return REAL.get(game_id) or (_generated(game_id) if game_id in GENERATED else None)


def hot() -> list[SampleGame]:
    """Fifty, which is all that the service tells."""
    return [*REAL.values(), *(_generated(game_id) for game_id in GENERATED[:47])]


def search(query: str) -> Iterator[tuple[SampleGame, str, str]]:
    """Games with a name that holds these words, with the kind of that name and the name."""
    words = query.casefold()
    for game in [*REAL.values(), *(_generated(game_id) for game_id in SEARCHABLE)]:
        if words in game.name.casefold():
            yield game, "primary", game.name
        elif name := next((name for name in game.alternate_names if words in name.casefold()), None):
            yield game, "alternate", name


def _generated(game_id: int) -> SampleGame:
    if game_id % 50 == 11:
        return SampleGame(game_id, _name(game_id), image_scheme=None)
    dice = random.Random(game_id)
    fewest, shortest, expands = dice.randint(1, 3), dice.randint(1, 12) * 10, game_id % 10 == 7
    category, mechanic = dice.choice(list(CATEGORIES.items())), dice.choice(list(MECHANICS.items()))
    links = (*_categories(category), *_mechanics(mechanic), Link("boardgamedesigner", 3, "(Uncredited)"))
    if expands:
        links += (Link("boardgameexpansion", game_id - 1, _name(game_id - 1), inbound=True),)
    elif game_id % 10 == 6:
        links += (Link("boardgameexpansion", game_id + 1, _name(game_id + 1)),)
    return SampleGame(
        game_id,
        _name(game_id),
        f"A generated game, number {game_id}.&#10;&#10;It exists in the sandbox only &mdash; so nobody has played it.",
        -2600 if game_id % 1000 == 13 else dice.randint(1960, 2026),
        kind="boardgameexpansion" if expands else "boardgame",
        players=(fewest, fewest + dice.randint(0, 4)),
        minutes=(shortest, shortest + dice.randint(0, 6) * 10),
        age=dice.randint(6, 14),
        links=links,
        rank=None if expands else game_id - GENERATED[0] + 1_001,
        rating=round(dice.uniform(5.5, 8.0), 2),
        weight=round(dice.uniform(1.0, 4.5), 2),
        image_scheme="" if game_id % 50 == 12 else "https:",
    )


def _name(game_id: int) -> str:
    first, second, number = FIRST.split(), SECOND.split(), game_id - GENERATED[0]
    if game_id % 10 == 7:
        return f"{_name(game_id - 1)}: New Shores"
    part = number // (len(first) * len(second)) + 1
    name = f"{first[number % len(first)]} {second[number // len(first) % len(second)]}"
    return f"{name} {part}" if part > 1 else name
