"""The answers of BoardGameGeek's XML API2 as typed models.

Knows the shapes and their quirks (missing elements, `Not Ranked`, text escaped twice, links told from
the other side); what an error means for a job is the client's business.
"""

import html
from typing import Annotated, TypeVar
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]
from pydantic import AfterValidator, BeforeValidator, ValidationError
from pydantic_xml import BaseXmlModel, attr, element, wrapped

M = TypeVar("M", bound="_Model")


class Malformed(Exception):
    """The answer is not the XML that was expected."""


class Refused(Exception):
    """The service answered with an error of its own."""


def _number(text: object) -> object:
    """Zero, nothing, words such as `Not Ranked` and what fits no column all mean unknown."""
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if 0 < abs(number) < 2**31 else None


def _whole(text: object) -> object:
    return int(number) or None if isinstance(number := _number(text), float) else None


def _year(text: object) -> object:
    """Years BC are negative, but a search tells them as unsigned 32-bit numbers."""
    text = str(text)
    return _whole(int(text) - 2**32 if text.isdecimal() and 2**31 <= int(text) < 2**32 else text)


def _address(text: str) -> str:
    """An image's address; some begin with `//`."""
    text = text.strip()
    return f"https:{text}" if text.startswith("//") else text


def _plain(text: str) -> str:
    """A description still holds entities (`&#10;`, `&mdash;`) after the XML itself was parsed."""
    return html.unescape(text).strip()


Count = Annotated[int | None, BeforeValidator(_whole)]
Figure = Annotated[float | None, BeforeValidator(_number)]
Year = Annotated[int | None, BeforeValidator(_year)]
Address = Annotated[str, AfterValidator(_address)]
Description = Annotated[str, AfterValidator(_plain)]


class _Model(BaseXmlModel, search_mode="unordered"):
    """Elements may stand in any order, and the service adds new ones when it likes."""


class Name(_Model):
    type: str = attr(default="primary")
    value: str = attr(default="")


class Link(_Model):
    type: str = attr()
    id: int = attr()
    value: str = attr(default="")
    inbound: bool = attr(default=False)


class Rank(_Model):
    type: str = attr(default="")
    name: str = attr(default="")
    friendly_name: str = attr(name="friendlyname", default="")
    value: Count = attr(default=None)


class Ratings(_Model):
    users_rated: Count = wrapped("usersrated", attr(name="value", default=None))
    average: Figure = wrapped("average", attr(name="value", default=None))
    bayes_average: Figure = wrapped("bayesaverage", attr(name="value", default=None))
    weight: Figure = wrapped("averageweight", attr(name="value", default=None))
    ranks: list[Rank] = wrapped("ranks", element(tag="rank", default=[]))


class Thing(_Model, tag="item"):
    """A game, or whatever else BoardGameGeek has under this id."""

    id: int = attr()
    type: str = attr(default="")
    names: list[Name] = element(tag="name", default=[])
    description: Description = element(default="")
    thumbnail: Address = element(default="")
    image: Address = element(default="")
    year: Year = wrapped("yearpublished", attr(name="value", default=None))
    min_players: Count = wrapped("minplayers", attr(name="value", default=None))
    max_players: Count = wrapped("maxplayers", attr(name="value", default=None))
    playing_time: Count = wrapped("playingtime", attr(name="value", default=None))
    min_playing_time: Count = wrapped("minplaytime", attr(name="value", default=None))
    max_playing_time: Count = wrapped("maxplaytime", attr(name="value", default=None))
    min_age: Count = wrapped("minage", attr(name="value", default=None))
    links: list[Link] = element(tag="link", default=[])
    ratings: Ratings | None = wrapped("statistics", element(tag="ratings", default=None))

    @property
    def name(self) -> str:
        return next((name.value for name in self.names if name.type == "primary"), "")

    @property
    def alternate_names(self) -> list[str]:
        return [name.value for name in self.names if name.type == "alternate"]

    def linked(self, kind: str, *, inbound: bool = False) -> list[Link]:
        """What this is linked to. An expansion names its base games by inbound links."""
        return [link for link in self.links if link.type == kind and link.inbound is inbound]

    @property
    def rank(self) -> int | None:
        """The overall rank; the others are ranks among games of a family."""
        ranks = self.ratings.ranks if self.ratings else []
        return next((rank.value for rank in ranks if (rank.type, rank.name) == ("subtype", "boardgame")), None)


class HotGame(_Model, tag="item"):
    """A place in the list of what people look at today."""

    id: int = attr()
    rank: int = attr()
    name: str = wrapped("name", attr(name="value", default=""))
    year: Year = wrapped("yearpublished", attr(name="value", default=None))
    thumbnail: Address = wrapped("thumbnail", attr(name="value", default=""))


class Found(_Model, tag="item"):
    """A game that a search found; `name` is the one that matched."""

    id: int = attr()
    type: str = attr(default="")
    name: str = wrapped("name", attr(name="value", default=""))
    year: Year = wrapped("yearpublished", attr(name="value", default=None))


def things(body: bytes) -> list[Thing]:
    return _read(Thing, body)


def hot(body: bytes) -> list[HotGame]:
    return _read(HotGame, body)


def search(body: bytes) -> list[Found]:
    """Without repetitions: an expansion is also told as a game, and the later, exact type is kept."""
    return list({game.id: game for game in _read(Found, body)}.values())


def _read(model: type[M], body: bytes) -> list[M]:
    """The items of an answer."""
    try:
        root: Element = fromstring(body)
    except (ParseError, DefusedXmlException) as error:
        raise Malformed(f"not XML: {error}") from error
    if (complaint := _complaint(root)) is not None:
        raise Refused(complaint)
    if root.tag != "items":
        raise Malformed(f"<{root.tag}> in place of <items>")
    try:
        return [model.from_xml_tree(item) for item in root.findall("item")]
    except ValidationError as error:
        raise Malformed(f"not as expected: {error}") from error


def _complaint(root: Element) -> str | None:
    """The service's own error: an attribute, a text or an element `message`, at one of three depths."""
    error = root if root.tag == "error" else root.find("error")
    if error is None:
        error = root.find("item/error")
    if error is None:
        return None
    return (error.get("message") or error.findtext("message") or error.text or "").strip()
