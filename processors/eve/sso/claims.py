"""What an access token says, once it is sure that EVE's single sign-on says it, to us and now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

ISSUERS: Final = ["https://login.eveonline.com", "https://login.eveonline.com/", "login.eveonline.com"]
AUDIENCE: Final = "EVE Online"
ALGORITHMS: Final = ["RS256", "ES256"]
LEEWAY: Final = 60  # seconds that clocks may differ
SUBJECT: Final = re.compile(r"CHARACTER:EVE:([0-9]{1,18})")


class Untrue(Exception):
    """An access token is not what it should be; says in what."""


class UnknownKey(Untrue):
    """It is signed with a key that was not published when we last looked."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it is, and what for. `lifetime` is in seconds, from when it was signed."""

    character_id: int
    name: str
    owner: str
    scopes: tuple[str, ...]
    lifetime: float


def read(token: str, keys: KeySet, client_id: str) -> Claims:
    """Check the signature, who it is from, whom it is for and until when. Raises Untrue."""
    from joserfc import jwt  # slow to import
    from joserfc.errors import InvalidKeyIdError, JoseError

    wanted: dict[str, Any] = {name: {"essential": True} for name in ("sub", "name", "owner", "exp", "iat")}
    registry = jwt.JWTClaimsRegistry(
        leeway=LEEWAY,
        iss={"essential": True, "values": ISSUERS},
        aud={"essential": True, "value": AUDIENCE},
        **wanted,
    )
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        registry.validate(claims)
    except InvalidKeyIdError as error:
        raise UnknownKey(str(error)) from None
    except (JoseError, ValueError) as error:  # their texts name claims and keys, never the token
        raise Untrue(f"{type(error).__name__}: {error}") from None
    subject = SUBJECT.fullmatch(claims["sub"])
    if subject is None:
        raise Untrue("its subject is no character")
    if client_id not in claims["aud"] or isinstance(claims["aud"], str):
        raise Untrue("it is for another application")
    scopes = claims.get("scp", [])  # text when it is one
    return Claims(
        character_id=int(subject[1]),
        name=str(claims["name"]),
        owner=str(claims["owner"]),
        scopes=(scopes,) if isinstance(scopes, str) else tuple(map(str, scopes)),
        lifetime=float(claims["exp"] - claims["iat"]),
    )
