"""Calls to EVE's single sign-on: one call, one answer, or an error that says what a job should do about it.

Nothing is tried twice here: a code is good for one call, and a refresh token may be too. No error's text has a token.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx2
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from jobs.errors import Discard, JobError, RateLimited, Retry, Snooze
from jobs.processor import Upstream, pause_queue

from ..declaring import TOKENS
from ..esi.client import downtime
from .claims import Claims, UnknownKey, read

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import OAuth2Client
    from joserfc.jwk import KeySet

log = logging.getLogger(__name__)

SSO: Final = "sso"
METADATA: Final = ".well-known/oauth-authorization-server"
KEPT: Final = 3600.0  # seconds that the service's addresses and keys are believed
TIMEOUT: Final = httpx2.Timeout(15, connect=5)
MAX_AFTER: Final = 3600.0  # seconds that the service may keep us away
GONE: Final = ("invalid_grant", "invalid_token")

T = TypeVar("T")


class Refused(Discard):
    """The single sign-on does not take this code or refresh token, and never will."""


class Misconfigured(Discard):
    """The single sign-on refuses our application (EVE_CLIENT_ID, EVE_CLIENT_SECRET): no job would succeed."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a refresh gives. The refresh token may be another than before, and then the old one is none."""

    access: str
    refresh: str

    def __repr__(self) -> str:
        return "Tokens(***)"  # tracebacks show values


class Sso:
    """The service at `url`, and our application there."""

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = url.rstrip("/")
        self._client_id, self._secret = client_id, client_secret
        self._upstream = Upstream(SSO)
        self._trust = ssl.create_default_context()  # slow to make: once
        self._metadata: tuple[float, dict[str, Any]] = (0.0, {})
        self._keys: tuple[float, KeySet | None] = (0.0, None)

    def login_url(self, *, state: str, verifier: str, scopes: Iterable[str], back: str) -> str:
        """Where a browser is sent to log a character in. It comes back to `back`, with a code and the state."""
        address = self._address("authorization_endpoint")
        with self._oauth(redirect_uri=back, scope=" ".join(scopes)) as oauth:
            return str(oauth.create_authorization_url(address, state=state, code_verifier=verifier)[0])

    def exchange(self, code: str, *, verifier: str, back: str) -> Tokens:
        """The tokens of a login."""
        address = self._address("token_endpoint")
        return self._tokens(
            lambda oauth: oauth.fetch_token(
                address, grant_type="authorization_code", code=code, code_verifier=verifier, redirect_uri=back
            )
        )

    def refresh(self, token: str) -> Tokens:
        """New tokens for an old refresh token, which may end with it: store them at once."""
        address = self._address("token_endpoint")
        self.keys()  # now, so that nothing stands between the answer and its row
        return self._tokens(lambda oauth: oauth.refresh_token(address, refresh_token=token))

    def claims(self, tokens: Tokens) -> Claims:
        """What the access token says. Raises Untrue; after UnknownKey the next call looks for new keys."""
        try:
            return read(tokens.access, self.keys(), self._client_id)
        except UnknownKey:
            self._keys = (0.0, None)
            raise

    def keys(self) -> KeySet:
        """The keys that access tokens are signed with."""
        from joserfc.jwk import KeySet  # slow to import

        until, keys = self._keys
        if keys is None or time.monotonic() > until:
            told = self._get(self._address("jwks_uri"))
            try:
                keys = KeySet.import_key_set(told)  # type: ignore[arg-type]
            except (ValueError, KeyError, TypeError) as error:
                raise Retry(f"{SSO}: its keys cannot be read: {type(error).__name__}") from None
            self._keys = (time.monotonic() + KEPT, keys)
        return keys

    def _address(self, name: str) -> str:
        until, metadata = self._metadata
        if time.monotonic() > until:
            metadata = self._get(f"{self._url}/{METADATA}")
            self._metadata = (time.monotonic() + KEPT, metadata)
        try:
            return str(metadata[name])
        except KeyError:
            raise Discard(f"{SSO}: its metadata lack {name}") from None

    def _get(self, address: str) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            answer = _checked(httpx2.get(address, headers=_headers(), timeout=TIMEOUT, verify=self._trust))
            told: dict[str, Any] = answer.json()
            return told

        return self._call(ask)

    def _tokens(self, ask: Callable[[OAuth2Client], Any]) -> Tokens:
        def call() -> Tokens:
            with self._oauth() as oauth:
                told = ask(oauth)
            return Tokens(access=told["access_token"], refresh=told["refresh_token"])

        return self._call(call)

    def _oauth(self, **more: Any) -> OAuth2Client:
        """A client for one call: it remembers the tokens that it gets."""
        from authlib.integrations.httpx_client import OAuth2Client  # slow to import

        oauth = OAuth2Client(
            self._client_id,
            self._secret or None,
            code_challenge_method="S256",
            headers=_headers(),
            timeout=TIMEOUT,
            verify=self._trust,
            **more,
        )
        for answered in ("access_token_response", "refresh_token_response"):
            oauth.register_compliance_hook(answered, _checked)
        return oauth

    def _call(self, ask: Callable[[], T]) -> T:
        self._upstream.check()
        try:
            answer = ask()
        except httpx2.RequestError as error:
            raise self._trouble(f"{SSO}: {type(error).__name__}") from None
        except (ValueError, KeyError, TypeError):
            raise self._trouble(f"{SSO}: an answer that is not what it should be") from None
        except RateLimited as limited:
            if limited.after:
                self._upstream.slow_down(limited.after)
            raise
        except Retry as error:
            raise self._trouble(str(error)) from None
        except Misconfigured as refused:
            log.error("%s The queue %s is paused.", refused, TOKENS)
            pause_queue(TOKENS, reason=str(refused))
            raise
        with contextlib.suppress(OperationalError, InterfaceError):  # an answer is not lost for that
            self._upstream.succeeded()
        return answer

    def _trouble(self, told: str) -> JobError:
        """What passes: another attempt, or, in the daily downtime, none used up."""
        self._upstream.failed()
        left = downtime(timezone.now())
        return Retry(told) if left is None else Snooze(told, after=left)


def _headers() -> dict[str, str]:
    return {"User-Agent": f"Jobyard ({settings.UPSTREAM_CONTACT})" if settings.UPSTREAM_CONTACT else "Jobyard"}


def _checked(response: httpx2.Response) -> httpx2.Response:
    """The answer, or what its status means. A page instead of JSON says nothing but its status."""
    status = response.status_code
    if status == HTTPStatus.OK:
        return response
    error, text = _said(response)
    told = f"{SSO}: {status} {error} {text}".rstrip()
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        after = response.headers.get("Retry-After", "")
        raise RateLimited(told, after=min(float(after), MAX_AFTER) if after.isdecimal() else None)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Retry(told)
    if status == HTTPStatus.UNAUTHORIZED:
        raise Misconfigured
    raise Refused(text or told) if error in GONE else Discard(told)


def _said(response: httpx2.Response) -> tuple[str, str]:
    try:
        told = response.json()
        return str(told["error"])[:100], str(told.get("error_description", ""))[:200]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ""


@functools.cache
def sso() -> Sso:
    """The client of this process, built when it is first needed."""
    return Sso(settings.EVE_SSO_URL, settings.EVE_CLIENT_ID, settings.EVE_CLIENT_SECRET)


os.register_at_fork(after_in_child=sso.cache_clear)
