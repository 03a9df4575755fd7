"""The keys of the single sign-on, and access tokens signed with them. `key.json` opens nothing but this sandbox."""

import functools
import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

KID: Final = "JWT-Signature-Key"
FORGER: Final = "nobody"  # the key that is never published
ELLIPTIC: Final = {  # the service's second key, as published; no token is signed with it
    "alg": "ES256",
    "crv": "P-256",
    "kid": "8878a23f-2489-4045-989e-4d2f3ec1ae1a",
    "kty": "EC",
    "use": "sig",
    "x": "PatzB2HJzZOzmqQyYpQYqn3SAXoVYWrZKmMgJnfK94I",
    "y": "qDb1kUd13fRTN2UNmcgSoQoyqeF_C1MsFlY_a87csnY",
}


@functools.cache
def _key(kid: str) -> "RSAKey":
    """The usual key is on disk, so that a token outlives a restart; any other is made."""
    from joserfc.jwk import RSAKey  # slow to import

    if kid == KID:
        return RSAKey.import_key(json.loads((Path(__file__).parent / "key.json").read_text()))
    return RSAKey.generate_key(2048)


def published(kid: str) -> dict[str, Any]:
    """The key set: the key in use, and the other kind that the real service also publishes."""
    key = {**_key(kid).as_dict(private=False), "alg": "RS256", "kid": kid, "use": "sig"}
    return {"keys": [key, ELLIPTIC], "SkipUnresolvedJsonWebKeys": True}


def sign(claims: dict[str, Any], kid: str, *, forge: bool = False) -> str:
    from joserfc import jwt  # slow to import

    header = {"alg": "RS256", "kid": kid, "typ": "JWT"}
    return jwt.encode(header, claims, _key(FORGER if forge else kid))


@functools.lru_cache(maxsize=1000)
def _read(token: str, kid: str) -> dict[str, Any] | None:
    from joserfc import jwt  # slow to import
    from joserfc.errors import JoseError

    try:
        return dict(jwt.decode(token, _key(kid), algorithms=["RS256"]).claims)
    except (JoseError, ValueError):
        return None


def read(token: str, kid: str) -> dict[str, Any] | None:
    """The claims of a token that we signed and that has not expired."""
    claims = _read(token, kid)
    return claims if claims and claims["exp"] > time.time() else None


def claims_of(character: int, name: str, owner: str, scopes: list[str], client: str, lifetime: int) -> dict[str, Any]:
    """What the real service writes: `scp` is text for one scope, and is not there for none."""
    now = int(time.time())
    scp: dict[str, Any] = {"scp": scopes[0] if len(scopes) == 1 else scopes} if scopes else {}
    return scp | {
        "jti": secrets.token_hex(16),
        "kid": KID,
        "sub": f"CHARACTER:EVE:{character}",
        "azp": client,
        "tenant": "tranquility",
        "tier": "live",
        "region": "world",
        "aud": [client, "EVE Online"],
        "name": name,
        "owner": owner,
        "exp": now + lifetime,
        "iat": now,
        "iss": "https://login.eveonline.com",
    }
