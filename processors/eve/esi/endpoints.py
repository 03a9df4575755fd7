"""ESI's endpoints that we read: their paths, scopes, rate groups and pages, in the groups that users know.

A name of an endpoint is its path. Older names, with a version in front and a slash behind, mean the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl

CHARACTER: Final = "/characters/{character_id}"
GROUP_PREFIX: Final = "CHARACTER_"
VERSION: Final = re.compile(r"^/(?:latest|legacy|dev|v\d+)(?=/)")


class Group(StrEnum):
    """What is refreshed together."""

    OVERVIEW = "OVERVIEW"
    WALLET = "WALLET"
    SKILLS = "SKILLS"
    ASSETS = "ASSETS"
    INDUSTRY = "INDUSTRY"
    MARKET = "MARKET"
    MAIL = "MAIL"
    NOTIFICATIONS = "NOTIFICATIONS"


class Paging(StrEnum):
    """How a long list is cut."""

    NONE = ""
    PAGE = "page"  # numbered, of one snapshot; the answer says how many
    FROM_ID = "from_id"  # newest first; each page begins with the id asked for
    LAST_ID = "last_mail_id"  # newest first; each page begins below the id asked for
    CURSOR = "cursor"  # opaque, from the oldest or from where one was


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path. `name` is the path below the character; `key` the field that tells its rows apart."""

    path: str
    group: Group | None = None  # None: asked for by name only
    scope: str = ""  # none: public, asked without a token
    bucket: str = ""  # rate group; none: the error limit counts
    paging: Paging = Paging.NONE
    key: str = ""  # or, for cursors, of the list
    query: Mapping[str, str] | None = None  # always sent

    @property
    def name(self) -> str:
        return self.path.removeprefix(CHARACTER).strip("/") or "character"

    def url(self, ids: Mapping[str, int]) -> str:
        """The path with the ids in their places."""
        return self.path.format_map(ids)


def _own(
    path: str,
    group: Group | None,
    scope: str,
    bucket: str = "",
    paging: Paging = Paging.NONE,
    key: str = "",
    **query: str,
) -> Endpoint:
    return Endpoint(f"{CHARACTER}/{path}", group, f"esi-{scope}.v1", bucket, paging, key, query or None)


_O, _W, _S, _A, _I, _M = Group.OVERVIEW, Group.WALLET, Group.SKILLS, Group.ASSETS, Group.INDUSTRY, Group.MARKET
_WALLET: Final = ("wallet.read_character_wallet", "char-wallet")
_MAIL: Final = ("mail.read_mail", "char-social")

ENDPOINTS: Final = (
    Endpoint(CHARACTER, _O),
    Endpoint(f"{CHARACTER}/portrait", _O, bucket="char-detail"),
    Endpoint(f"{CHARACTER}/corporationhistory", _O),
    _own("location", _O, "location.read_location", "char-location"),
    _own("ship", _O, "location.read_ship_type", "char-location"),
    _own("online", _O, "location.read_online", "char-location"),
    _own("clones", _O, "clones.read_clones", "char-location"),
    _own("implants", _O, "clones.read_implants", "char-detail"),
    _own("wallet", _W, *_WALLET),
    _own("wallet/journal", _W, *_WALLET, Paging.PAGE, "id"),
    _own("wallet/transactions", _W, *_WALLET, Paging.FROM_ID, "transaction_id"),
    _own("skills", _S, "skills.read_skills", "char-detail"),
    _own("skillqueue", _S, "skills.read_skillqueue", "char-detail"),
    _own("attributes", _S, "skills.read_skills", "char-detail"),
    _own("assets", _A, "assets.read_assets", "char-asset", Paging.PAGE, "item_id"),
    _own("blueprints", _A, "characters.read_blueprints", "char-industry", Paging.PAGE, "item_id"),
    _own("industry/jobs", _I, "industry.read_character_jobs", "char-industry", include_completed="true"),
    _own("mining", _I, "industry.read_character_mining", "char-industry", Paging.PAGE),
    _own("orders", _M, "markets.read_character_orders"),
    _own("orders/history", _M, "markets.read_character_orders", "", Paging.PAGE, "order_id"),
    _own("mail", Group.MAIL, *_MAIL, Paging.LAST_ID, "mail_id"),
    _own("mail/labels", Group.MAIL, *_MAIL),
    _own("mail/lists", Group.MAIL, *_MAIL),
    _own("mail/{mail_id}", None, *_MAIL),
    _own("notifications", Group.NOTIFICATIONS, "characters.read_notifications", "char-notification"),
)
SCOPES: Final = tuple(sorted({endpoint.scope for endpoint in ENDPOINTS if endpoint.scope}))
PARAMETERS: Final[Mapping[str, frozenset[str]]] = {  # what a caller may choose
    "industry/jobs": frozenset({"include_completed"}),
    "mail": frozenset({"labels"}),
}


def of_group(group: Group) -> list[Endpoint]:
    return [endpoint for endpoint in ENDPOINTS if endpoint.group is group]


def named(name: str) -> Endpoint:
    """The endpoint of this name, such as `wallet/journal`. Raises KeyError."""
    return _BY_NAME[name]


_BY_NAME: Final = {endpoint.name: endpoint for endpoint in ENDPOINTS}
_PATTERNS: Final = [  # an id may stand in its place, or its name
    (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[0-9]+|\\{\1\\})", endpoint.path)), endpoint) for endpoint in ENDPOINTS
]


@dataclass(frozen=True, slots=True)
class Asked:
    """An endpoint with what it is asked for: the ids of its path, and parameters."""

    endpoint: Endpoint
    ids: Mapping[str, int]
    query: Mapping[str, str]

    @property
    def path(self) -> str:
        return self.endpoint.url(self.ids)

    @property
    def narrowed(self) -> bool:
        """Whether the answer lacks rows that the endpoint has without parameters."""
        return self.query != (self.endpoint.query or {})


def asked(endpoint: Endpoint, character: int) -> Asked:
    return Asked(endpoint, {"character_id": character}, endpoint.query or {})


def resolve(text: str, character: int) -> Asked:
    """What a path means, in its new or an old form. Raises ValueError, which says what is wrong with it."""
    path, _, query = text.partition("?")
    plain = VERSION.sub("", path).rstrip("/")
    for pattern, endpoint in _PATTERNS:
        if match := pattern.fullmatch(plain):
            return Asked(endpoint, _ids(match.groupdict(), character), _query(endpoint, query))
    raise ValueError(f"{text!r} is no endpoint that is read here, such as {CHARACTER}/wallet")


def group(text: str) -> Group:
    """A group by its name, with or without CHARACTER_ in front, in any case. Raises ValueError."""
    name = text.strip().upper().removeprefix(GROUP_PREFIX)
    if name not in Group.__members__:
        raise ValueError(f"expected one of {', '.join(GROUP_PREFIX + each for each in Group)}, got {text!r}")
    return Group[name]


def _ids(found: Mapping[str, str], character: int) -> dict[str, int]:
    ids = {name: int(value) for name, value in found.items() if value.isdecimal()}
    if ids.setdefault("character_id", character) != character:
        raise ValueError(f"the path is about character {ids['character_id']}, the job about {character}")
    if missing := found.keys() - ids.keys():
        raise ValueError(f"the path needs a number for {{{min(missing)}}}")
    return ids


def _query(endpoint: Endpoint, text: str) -> dict[str, str]:
    told = dict(parse_qsl(text, keep_blank_values=True))
    allowed = PARAMETERS.get(endpoint.name, frozenset())
    if unknown := told.keys() - allowed:
        raise ValueError(f"{endpoint.name} has no parameter {min(unknown)!r}")
    return {**(endpoint.query or {}), **told}
