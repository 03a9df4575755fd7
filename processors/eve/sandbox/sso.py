"""EVE's single sign-on, version 2: logins with PKCE that approve themselves, refresh tokens that change, signed tokens.

A refresh token says itself which grant it belongs to, so one that was stored before a restart is still good. What
is remembered is only what ended: older tokens of a grant, and dead grants.
"""

import base64
import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from . import tokens
from .faults import fault
from .http import Answer, Request, page, told
from .routes import SCOPES
from .switches import Switches
from .world import PILOT, World

CLIENT_ID: Final = "9d1a6c2f0b5e4f7e8a3c"
CLIENT_SECRET: Final = "sandbox-secret"  # noqa: S105 (anybody may know it)
CODE: Final = re.compile(r"[0-9a-f]{32}")
EXPIRES_IN: Final = 1  # seconds that an answer says less than the token lasts


@dataclass(frozen=True, slots=True)
class Grant:
    """What a character allowed. `serial` grows with each refresh token."""

    id: str
    character: int
    scopes: tuple[str, ...]
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Login:
    """A code that waits to be exchanged."""

    grant: Grant
    challenge: str


def refresh_token(character: int = PILOT, scopes: tuple[str, ...] = SCOPES) -> str:
    """One that this sandbox takes as if the character had logged in."""
    return _written(Grant(f"demo-{character}", character, scopes))


def _written(grant: Grant) -> str:
    return base64.urlsafe_b64encode(json.dumps(asdict(grant)).encode()).decode().rstrip("=")


def _read(token: str) -> Grant | None:
    try:
        told = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return Grant(**told | {"scopes": tuple(told["scopes"])})
    except (ValueError, TypeError, KeyError):
        return None


class Sso:
    """Grants, and the requests on them."""

    def __init__(self, switches: Switches, world: World) -> None:
        self._switches = switches
        self._world = world
        self._serials: dict[str, int] = {}  # grant → its latest refresh token
        self._dead: set[str] = set()
        self._grants: dict[int, set[str]] = {}  # character → those that are known
        self._logins: dict[str, Login] = {}

    def answer(self, request: Request) -> Answer:
        match request.method, request.path:
            case "GET", "/.well-known/oauth-authorization-server":
                return told(200, _metadata(f"{request.root}/sso"))
            case "GET", "/oauth/jwks":
                return told(200, tokens.published(self._switches.kid))
            case "GET", "/v2/oauth/authorize":
                return self._authorize(request)
            case "POST", "/v2/oauth/token":
                return self._token(request)
            case "POST", "/v2/oauth/revoke":
                return self._revoke(request)
            case _:
                return page(404, "Not found")

    def grant(self, character: int, scopes: tuple[str, ...]) -> dict[str, Any]:
        """Tokens as after a login."""
        return self._tokens(self._granted(character, scopes))

    def _granted(self, character: int, scopes: tuple[str, ...]) -> Grant:
        if self._switches.single_grant:
            self._dead |= self._grants.pop(character, set())
        grant = Grant(secrets.token_hex(8), character, scopes)
        self._grants.setdefault(character, set()).add(grant.id)
        return grant

    def _authorize(self, request: Request) -> Answer:
        query = request.query
        back = query.get("redirect_uri", "")
        if query.get("client_id") != CLIENT_ID or query.get("response_type") != "code" or not back.startswith("http"):
            return page(400, "Invalid client, response type or redirect address.")
        scopes = tuple(query.get("scope", "").split())
        if unknown := set(scopes) - set(SCOPES):
            return page(400, f"Unknown scope {min(unknown)}.")
        if query.get("code_challenge") and query.get("code_challenge_method") != "S256":
            return page(400, "Only S256 is supported.")
        given = {"state": query["state"]} if "state" in query else {}
        if self._switches.deny:
            given["error"] = "access_denied"
        else:
            given["code"] = secrets.token_hex(16)
            grant = self._granted(self._switches.login, scopes)
            self._logins[given["code"]] = Login(grant, query.get("code_challenge", ""))
        address = f"{back}{'&' if '?' in back else '?'}{urlencode(given, quote_via=quote)}"
        return Answer(302, b"", {"location": address, "cache-control": "no-store"})

    def _token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode()))
        known, public = _client(request, form)
        if not known:
            return _refused("sso-invalid-client")
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchange(form, public=public)
            case "refresh_token":
                return self._refresh(form)
            case _:
                return _bad("unsupported_grant_type", "The grant type is not supported.")

    def _exchange(self, form: dict[str, str], *, public: bool) -> Answer:
        code = form.get("code", "")
        if not CODE.fullmatch(code):
            return _refused("sso-500")
        login = self._logins.pop(code, None)
        if login is None:
            return _bad("invalid_grant", "Authorization code not found.")
        if public and not login.challenge:
            return _refused("sso-invalid-client")
        if login.challenge and _challenge(form.get("code_verifier", "")) != login.challenge:
            return _bad("invalid_grant", "The code verifier is not the one of the code challenge.")
        answer = told(200, self._tokens(login.grant), cache_control="no-store")
        answer.note |= {"character": login.grant.character, "grant_type": "authorization_code"}
        return answer

    def _refresh(self, form: dict[str, str]) -> Answer:
        grant = _read(form.get("refresh_token", ""))
        if grant is None or grant.serial < self._serials.get(grant.id, 0):
            answer = _refused("sso-token-missing")
        elif grant.id in self._dead or grant.character in self._switches.dead:
            answer = _refused("sso-grant-missing")
        else:
            scopes = tuple(form["scope"].split()) if "scope" in form else grant.scopes
            if not set(scopes) <= set(grant.scopes):
                return _bad("invalid_scope", "The scope is not part of the grant.")
            following = replace(grant, serial=grant.serial + self._switches.rotate)
            answer = told(200, self._tokens(following, scopes), cache_control="no-store")
        answer.note |= {"character": grant.character if grant else None, "grant_type": "refresh_token"}
        return answer

    def _revoke(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode()))
        if not _client(request, form)[0]:
            return _refused("sso-invalid-client")
        if grant := _read(form.get("token", "")):
            self._dead.add(grant.id)
        return told(200, {})

    def _tokens(self, grant: Grant, scopes: tuple[str, ...] | None = None) -> dict[str, Any]:
        switches, character = self._switches, grant.character
        self._serials[grant.id] = grant.serial
        owner = switches.owners.get(character) or owner_of(character)
        name = self._world.name(character)
        claims = tokens.claims_of(
            character, name, owner, list(grant.scopes if scopes is None else scopes), CLIENT_ID, switches.lifetime
        )
        return {
            "access_token": tokens.sign(claims | switches.claims, switches.kid, forge=switches.forge),
            "token_type": "Bearer",
            "expires_in": max(0, switches.lifetime - EXPIRES_IN),
            "refresh_token": _written(grant),
        }


def owner_of(character: int) -> str:
    """The hash that says whose a character is, as long as nobody sells it."""
    return base64.b64encode(hashlib.sha1(b"%d" % character).digest()).decode()  # noqa: S324


def _client(request: Request, form: dict[str, str]) -> tuple[bool, bool]:
    """Whether the application is known, and whether it only named itself, as one without a secret does."""
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(encoded).decode() == f"{CLIENT_ID}:{CLIENT_SECRET}", False
        except ValueError:
            return False, False
    secret = form.get("client_secret")
    return form.get("client_id") == CLIENT_ID and secret in (None, CLIENT_SECRET), secret is None


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _refused(name: str) -> Answer:
    answer = fault(name)
    assert answer is not None
    return answer


def _bad(kind: str, text: str) -> Answer:
    return told(400, {"error": kind, "error_description": text})


def _metadata(address: str) -> dict[str, Any]:
    """As published, with our addresses."""
    ways = ["client_secret_basic", "client_secret_post", "client_secret_jwt"]
    return {
        "issuer": "https://login.eveonline.com",
        "authorization_endpoint": f"{address}/v2/oauth/authorize",
        "token_endpoint": f"{address}/v2/oauth/token",
        "response_types_supported": ["code", "token"],
        "jwks_uri": f"{address}/oauth/jwks",
        "revocation_endpoint": f"{address}/v2/oauth/revoke",
        "subject_types_supported": ["public"],
        "revocation_endpoint_auth_methods_supported": ways,
        "token_endpoint_auth_methods_supported": ways,
        "id_token_signing_alg_values_supported": ["HS256"],
        "token_endpoint_auth_signing_alg_values_supported": ["HS256"],
        "code_challenge_methods_supported": ["S256"],
    }
