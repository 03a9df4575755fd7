"""The sandbox of EVE Online as a test sees it: what it is told to do, what it received, and plain requests to it."""

from typing import Any

import httpx2

from processors.eve.sandbox import CLIENT_ID, CLIENT_SECRET
from processors.eve.sandbox.routes import SCOPES
from processors.eve.sandbox.world import PILOT

DATE = "2026-08-18"


class EveSandbox:
    def __init__(self, address: str) -> None:
        self.url = f"{address}/eve"
        self.http = httpx2.Client(timeout=30)
        self.tokens: dict[int, str] = {}  # access tokens with every scope, by character

    def control(self, **wanted: Any) -> httpx2.Response:
        """Change `processors.eve.sandbox.switches.Switches`."""
        return self.http.post(f"{self.url}/_control", json=wanted)

    def fail(self, fault: str, **more: Any) -> None:
        self.control(fault=fault, **more).raise_for_status()

    def received(self, **which: Any) -> list[dict[str, Any]]:
        """The requests, or those of which this is noted, such as `route="wallet"`."""
        return [
            request
            for request in self.told()["requests"]
            if all(request.get(name) == value for name, value in which.items())
        ]

    def told(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"{self.url}/_received").json()
        return answer

    def forget(self) -> None:
        self.http.delete(f"{self.url}/_received").raise_for_status()

    def reset(self) -> None:
        self.http.delete(f"{self.url}/_control").raise_for_status()
        self.tokens.clear()

    def grant(self, character: int = PILOT, scopes: tuple[str, ...] = SCOPES) -> dict[str, Any]:
        """Tokens as after a login."""
        answer: dict[str, Any] = self.http.post(
            f"{self.url}/_grant", json={"character": character, "scopes": scopes}
        ).json()
        return answer

    def get(self, path: str, *, character: int = PILOT, token: str | None = None, **query: Any) -> httpx2.Response:
        """A path of ESI. `{}` in it stands for the character, whose token has every scope unless one is given."""
        return self.http.get(self._esi(path, character), params=query, headers=self._headers(character, token))

    def post(self, path: str, ids: Any, *, character: int = PILOT, token: str | None = None) -> httpx2.Response:
        return self.http.post(self._esi(path, character), json=ids, headers=self._headers(character, token))

    def ask(self, path: str, headers: dict[str, str]) -> httpx2.Response:
        """A path of ESI with a token and these headers."""
        return self.http.get(self._esi(path, PILOT), headers=self._headers(PILOT, None) | headers)

    def refresh(self, refresh_token: str, **form: str) -> httpx2.Response:
        return self.token({"grant_type": "refresh_token", "refresh_token": refresh_token, **form})

    def token(self, form: dict[str, str], auth: tuple[str, str] | None = (CLIENT_ID, CLIENT_SECRET)) -> httpx2.Response:
        return self.http.post(f"{self.url}/sso/v2/oauth/token", data=form, auth=auth or httpx2.Auth())

    def _esi(self, path: str, character: int) -> str:
        return f"{self.url}/esi{path.replace('{}', f'/characters/{character}')}"

    def _headers(self, character: int, token: str | None) -> dict[str, str]:
        if token is None:
            if character not in self.tokens:
                self.tokens[character] = self.grant(character)["access_token"]
            token = self.tokens[character]
        given = {"Authorization": f"Bearer {token}"} if token else {}
        return {"X-Compatibility-Date": DATE, **given}
