"""The single sign-on's sandbox: logins with PKCE, refresh tokens that change, signed tokens, and every refusal."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from processors.eve.sandbox import CLIENT_ID, CLIENT_SECRET, refresh_token
from processors.eve.sandbox.faults import REFUSALS
from processors.eve.sandbox.world import PILOT
from tests.processors.eve.sandbox import EveSandbox

VERIFIER = "a-verifier-of-at-least-forty-three-characters"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
SCOPES = ("esi-skills.read_skills.v1", "esi-wallet.read_character_wallet.v1")
BACK = "http://127.0.0.1:1/eve/callback"


def claims(sandbox: EveSandbox, token: dict[str, Any]) -> dict[str, Any]:
    keys = KeySet.import_key_set(sandbox.http.get(f"{sandbox.url}/sso/oauth/jwks").json())
    decoded = jwt.decode(token["access_token"], keys, algorithms=["RS256"])
    assert decoded.header == {"alg": "RS256", "kid": "JWT-Signature-Key", "typ": "JWT"}
    return dict(decoded.claims)


def login(sandbox: EveSandbox, **query: str) -> dict[str, str]:
    """What comes back to our address."""
    asked = {"client_id": CLIENT_ID, "response_type": "code", "redirect_uri": BACK, "state": "s"}
    asked |= {"scope": " ".join(SCOPES), "code_challenge": CHALLENGE, "code_challenge_method": "S256"} | query
    answer = sandbox.http.get(f"{sandbox.url}/sso/v2/oauth/authorize", params=asked)
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(f"{BACK}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def exchange(code: str, verifier: str = VERIFIER) -> dict[str, str]:
    return {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}


def test_the_metadata_are_the_services_with_our_addresses(sandbox: EveSandbox) -> None:
    told = sandbox.http.get(f"{sandbox.url}/sso/.well-known/oauth-authorization-server").json()
    assert told["issuer"] == "https://login.eveonline.com"
    assert told["token_endpoint"] == f"{sandbox.url}/sso/v2/oauth/token"
    kinds = {key["kid"]: key["alg"] for key in sandbox.http.get(told["jwks_uri"]).json()["keys"]}
    assert kinds["JWT-Signature-Key"] == "RS256"
    assert "ES256" in kinds.values()


def test_a_login_gives_a_token_of_the_known_shape(sandbox: EveSandbox) -> None:
    back = login(sandbox)
    assert back.keys() == {"code", "state"}
    token = sandbox.token(exchange(back["code"])).json()
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 1199)
    told = claims(sandbox, token)
    assert told.keys() == set("scp jti kid sub azp tenant tier region aud name owner exp iat iss".split())
    assert (told["sub"], told["aud"]) == (f"CHARACTER:EVE:{PILOT}", [CLIENT_ID, "EVE Online"])
    assert (told["name"], told["scp"], told["exp"] - told["iat"]) == ("Johnn Dillinger", list(SCOPES), 1200)


def test_a_code_works_once_and_with_its_verifier_only(sandbox: EveSandbox) -> None:
    code = login(sandbox)["code"]
    wrong = sandbox.token(exchange(code, "another"))
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
    assert sandbox.token(exchange(code)).json()["error"] == "invalid_grant"
    malformed = sandbox.token(exchange("no code"))
    assert (malformed.status_code, malformed.headers["Content-Type"]) == (500, "text/html")


def test_a_public_client_names_itself(sandbox: EveSandbox) -> None:
    answer = sandbox.token(exchange(login(sandbox)["code"]) | {"client_id": CLIENT_ID}, auth=None)
    assert answer.status_code == 200
    refused = sandbox.token(exchange(login(sandbox)["code"]) | {"client_id": "another"}, auth=None)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert sandbox.token(exchange("x"), auth=(CLIENT_ID, "wrong")).status_code == 401
    assert sandbox.token({"grant_type": "password"}).json()["error"] == "unsupported_grant_type"


def test_another_character_may_log_in_or_refuse(sandbox: EveSandbox) -> None:
    sandbox.control(login=95_000_001)
    token = sandbox.token(exchange(login(sandbox)["code"])).json()
    assert claims(sandbox, token)["sub"] == "CHARACTER:EVE:95000001"
    sandbox.control(deny=True)
    assert login(sandbox) == {"error": "access_denied", "state": "s"}


@pytest.mark.parametrize("wrong", [{"client_id": "x"}, {"scope": "x"}, {"redirect_uri": "x"}, {"response_type": "x"}])
def test_a_wrong_login_stays_where_it_is(sandbox: EveSandbox, wrong: dict[str, str]) -> None:
    asked = {"client_id": CLIENT_ID, "response_type": "code", "redirect_uri": BACK, "scope": SCOPES[0]} | wrong
    assert sandbox.http.get(f"{sandbox.url}/sso/v2/oauth/authorize", params=asked).status_code == 400


def test_a_refresh_ends_the_token_that_was_used(sandbox: EveSandbox) -> None:
    first = sandbox.grant(scopes=SCOPES)
    second = sandbox.refresh(first["refresh_token"]).json()
    assert claims(sandbox, second)["scp"] == list(SCOPES)
    assert second["refresh_token"] != first["refresh_token"]
    refused = sandbox.refresh(first["refresh_token"])
    assert (refused.status_code, refused.json()) == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid refresh token. Token missing/expired."},
    )
    assert sandbox.refresh(second["refresh_token"]).status_code == 200
    sandbox.control(rotate=False)
    third = sandbox.grant()
    assert sandbox.refresh(third["refresh_token"]).json()["refresh_token"] == third["refresh_token"]


def test_fewer_scopes_may_be_asked_for(sandbox: EveSandbox) -> None:
    token = sandbox.grant(scopes=SCOPES)
    assert sandbox.refresh(token["refresh_token"], scope="esi-mail.read_mail.v1").json()["error"] == "invalid_scope"
    one = sandbox.refresh(token["refresh_token"], scope=SCOPES[0]).json()
    assert claims(sandbox, one)["scp"] == SCOPES[0]
    assert "scp" not in claims(sandbox, sandbox.grant(scopes=()))


def test_a_grant_ends_when_it_is_revoked_or_gone_or_replaced(sandbox: EveSandbox) -> None:
    def gone(token: str) -> bool:
        said = sandbox.refresh(token).json().get("error_description")
        return bool(said == "Invalid refresh token. Character grant missing/expired.")

    revoked, dead, replaced = (sandbox.grant(95_000_000 + n)["refresh_token"] for n in range(3))
    sandbox.http.post(f"{sandbox.url}/sso/v2/oauth/revoke", data={"token": revoked, "client_id": CLIENT_ID})
    sandbox.control(dead=[95_000_001], single_grant=True)
    newer = sandbox.grant(95_000_002)["refresh_token"]
    assert [gone(token) for token in (revoked, dead, replaced, newer)] == [True, True, True, False]


def test_a_stored_token_outlives_a_restart(sandbox: EveSandbox) -> None:
    token = sandbox.grant()["refresh_token"]
    sandbox.reset()
    assert sandbox.refresh(token).status_code == 200
    assert sandbox.refresh(refresh_token(95_000_003)).status_code == 200


def test_tokens_may_be_wrong_in_every_way(sandbox: EveSandbox) -> None:
    sandbox.control(owners={"95000001": "somebody else"}, claims={"iss": "login.eveonline.com"}, lifetime=60)
    told = claims(sandbox, sandbox.grant(95_000_001))
    assert (told["owner"], told["iss"], told["exp"] - told["iat"]) == ("somebody else", "login.eveonline.com", 60)
    sandbox.control(forge=True)
    with pytest.raises(BadSignatureError):
        claims(sandbox, sandbox.grant())


def test_another_key_is_published_under_another_name(sandbox: EveSandbox) -> None:
    sandbox.control(kid="JWT-Signature-Key-2")
    token = sandbox.grant()
    header = json.loads(base64.urlsafe_b64decode(token["access_token"].partition(".")[0] + "=="))
    assert header["kid"] == "JWT-Signature-Key-2"
    assert sandbox.get("{}/wallet", token=token["access_token"]).status_code == 200
    keys = sandbox.http.get(f"{sandbox.url}/sso/oauth/jwks").json()["keys"]
    assert "JWT-Signature-Key" not in [key["kid"] for key in keys]


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_every_refusal_can_be_had_once(sandbox: EveSandbox, name: str) -> None:
    token = sandbox.grant()["refresh_token"]
    sandbox.fail(name)
    status, kind, text = REFUSALS[name]
    refused = sandbox.refresh(token)
    assert (refused.status_code, refused.json()) == (status, {"error": kind, "error_description": text})
    assert sandbox.refresh(token).status_code == 200


def test_it_may_be_busy_broken_or_silent(sandbox: EveSandbox) -> None:
    token = sandbox.grant()["refresh_token"]
    for name, status in [("sso-html", 401), ("sso-429", 429), ("sso-500", 500), ("sso-502", 502), ("sso-503", 503)]:
        sandbox.fail(name)
        assert sandbox.refresh(token).status_code == status
    sandbox.fail("sso-lost")
    with pytest.raises(httpx2.TransportError):
        sandbox.refresh(token)
    assert sandbox.refresh(token).json()["error"] == "invalid_grant"  # it was used, and what came is lost
    assert [request["status"] for request in sandbox.received(service="sso")][-2:] == ["lost", 400]
    assert sandbox.received(service="sso")[-1]["character"] == PILOT


def test_secret_and_client_are_compared(sandbox: EveSandbox) -> None:
    token = sandbox.grant()["refresh_token"]
    in_form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT_ID}
    assert sandbox.token(in_form | {"client_secret": "wrong"}, auth=None).status_code == 401
    assert sandbox.token(in_form | {"client_secret": CLIENT_SECRET}, auth=None).status_code == 200
