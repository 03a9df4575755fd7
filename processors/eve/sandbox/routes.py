"""ESI's routes as this sandbox has them: who may ask, for how long an answer holds, what it costs, how it is paged."""

import re
from dataclasses import dataclass, field
from typing import Final

OLDEST: Final = "2020-01-01"
DETAIL: Final = "2026-06-09"  # since when a character has an achievement score
WINDOW: Final = 900.0  # seconds after which spent tokens come back
BUCKETS: Final = {  # rate group → tokens a window
    "char-asset": 1800,
    "char-detail": 600,
    "char-industry": 600,
    "char-location": 1200,
    "char-notification": 15,
    "char-social": 600,
    "char-wallet": 150,
    "meta": 150,
    "status": 600,
}
SIZES: Final = {  # rows an answer, where ESI pages
    "assets": 1000,
    "blueprints": 1000,
    "freelance-jobs": 10,
    "mail": 50,
    "mining": 1000,
    "orders/history": 1000,
    "wallet/journal": 100,
    "wallet/transactions": 50,
}
CHARACTER: Final = "/characters/{character_id}"


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path. `name` is the path below the character, or `character` for itself."""

    path: str
    scope: str = ""  # none: anybody may ask
    age: int = 0  # seconds until Expires; 0: not told
    bucket: str = ""  # rate group; none: the error limit counts
    paging: str = ""  # page, from_id, last_mail_id or cursor
    method: str = "GET"
    version: str = OLDEST  # the compatibility date of its latest change
    newer: bool = False  # how it writes its cache headers
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[0-9]+)", self.path)
        object.__setattr__(self, "pattern", re.compile(pattern))

    @property
    def name(self) -> str:
        return self.path.removeprefix(CHARACTER).strip("/") or "character"


def _own(path: str, scope: str, age: int, bucket: str = "", paging: str = "", **more: object) -> Route:
    """A route below a character that needs a scope."""
    return Route(f"{CHARACTER}/{path}", f"esi-{scope}.v1", age, bucket, paging, **more)  # type: ignore[arg-type]


ROUTES: Final = (
    Route(CHARACTER, age=86400, version=DETAIL),
    Route(f"{CHARACTER}/portrait", bucket="char-detail"),
    Route(f"{CHARACTER}/corporationhistory", age=86400),
    _own("location", "location.read_location", 5, "char-location"),
    _own("ship", "location.read_ship_type", 5, "char-location"),
    _own("online", "location.read_online", 60, "char-location"),
    _own("clones", "clones.read_clones", 120, "char-location"),
    _own("implants", "clones.read_implants", 120, "char-detail"),
    _own("wallet", "wallet.read_character_wallet", 120, "char-wallet"),
    _own("wallet/journal", "wallet.read_character_wallet", 3600, "char-wallet", "page"),
    _own("wallet/transactions", "wallet.read_character_wallet", 3600, "char-wallet", "from_id"),
    _own("skills", "skills.read_skills", 60, "char-detail", newer=True),
    _own("skillqueue", "skills.read_skillqueue", 60, "char-detail", newer=True),
    _own("attributes", "skills.read_skills", 120, "char-detail"),
    _own("assets", "assets.read_assets", 3600, "char-asset", "page"),
    _own("assets/names", "assets.read_assets", 0, "char-asset", method="POST"),
    _own("assets/locations", "assets.read_assets", 0, "char-asset", method="POST"),
    _own("industry/jobs", "industry.read_character_jobs", 300, "char-industry"),
    _own("blueprints", "characters.read_blueprints", 3600, "char-industry", "page"),
    _own("mining", "industry.read_character_mining", 600, "char-industry", "page"),
    _own("orders", "markets.read_character_orders", 1200),
    _own("orders/history", "markets.read_character_orders", 3600, "", "page"),
    _own("mail", "mail.read_mail", 30, "char-social", "last_mail_id"),
    _own("mail/labels", "mail.read_mail", 30, "char-social"),
    _own("mail/lists", "mail.read_mail", 120, "char-social"),
    _own("mail/{mail_id}", "mail.read_mail", 30, "char-social"),
    _own("notifications", "characters.read_notifications", 600, "char-notification"),
    Route("/freelance-jobs", bucket="meta", paging="cursor", version="2025-12-16", newer=True),
    Route("/universe/names", method="POST"),
    Route("/status", age=30, bucket="status"),
    Route("/meta/status", bucket="meta", version="2025-11-06", newer=True),
    Route("/meta/compatibility-dates", age=600, bucket="meta", newer=True),
    Route("/meta/changelog", age=600, bucket="meta", version="2025-09-26", newer=True),
)
SCOPES: Final = tuple(sorted({route.scope for route in ROUTES if route.scope}))
_PREFIX: Final = re.compile(r"^/(latest|legacy|dev|v\d+)(?=/)")


def find(method: str, path: str) -> tuple[Route, dict[str, int]] | None:
    """The route of a path in the new or an old, versioned form, and the ids in it."""
    plain = _PREFIX.sub("", path).rstrip("/")
    for route in ROUTES:
        if route.method == method and (match := route.pattern.fullmatch(plain)):
            return route, {name: int(value) for name, value in match.groupdict().items()}
    return None
