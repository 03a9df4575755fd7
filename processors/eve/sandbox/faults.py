"""What may go wrong on request: answers as the real services were seen to give them, and connections that end."""

from copy import deepcopy
from typing import Final

from .http import HTML, JSON, Answer, error, page, told

DENIED: Final = "invalid_grant"
REFUSALS: Final = {  # of the token endpoint: status, error, its description
    "sso-grant-missing": (400, DENIED, "Invalid refresh token. Character grant missing/expired."),
    "sso-token-missing": (400, DENIED, "Invalid refresh token. Token missing/expired."),
    "sso-migrate": (400, DENIED, "Invalid refresh token. Unable to migrate grant."),
    "sso-token-expired": (400, "invalid_token", "The refresh token is expired."),
    "sso-other-client": (400, "invalid_token", "The refresh token does not match the client specified."),
    "sso-invalid-client": (401, "invalid_client", "Missing or invalid client credentials"),
}
_SPAM: Final = "{'error_label': 'MailStopSpamming', 'error_dict': {'remainingTime': 12000000}}"
FAULTS: Final[dict[str, Answer | None]] = {  # None: see `service`
    "400": error(400, "Invalid value", location="query", value="?"),
    "401": error(401, "token is expired or invalid"),
    "403": error(403, "Character does not have required access"),
    "404": error(404, "Not found"),
    "420-game": error(420, _SPAM),
    "429-game": Answer(429, b"", {"content-type": HTML}),  # of the game server: without any of the headers
    "500": error(500, "Internal server error"),
    "502": page(502, "Bad gateway"),
    "503": error(503, "The datasource tranquility is temporarily unavailable"),
    "504": told(504, {"error": "Timeout contacting tranquility", "timeout": 10}),
    "504-html": page(504, "Gateway timeout"),
    "520": error(520, _SPAM),
    "html": page(200, "Not what you asked for"),
    "cut": Answer(200, b'[{"id": 1, "da', {"content-type": JSON}),
    "slow": None,
    "reset": None,
    "sso-html": page(401, "Unauthorized"),
    "sso-429": Answer(429, b"", {"retry-after": "12"}),
    "sso-500": page(500, "Server error"),
    "sso-502": page(502, "Bad gateway"),
    "sso-503": page(503, "Down for maintenance"),
    "sso-slow": None,
    "sso-reset": None,
    "sso-lost": None,  # it was done, and the answer does not arrive
    **{
        name: told(status, {"error": kind, "error_description": text})
        for name, (status, kind, text) in REFUSALS.items()
    },
}


def fault(name: str) -> Answer | None:
    """A copy, to write headers on."""
    return deepcopy(FAULTS[name])
