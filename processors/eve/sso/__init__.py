"""EVE's single sign-on: what owners of characters allowed us, kept alive, and the tokens to use it.

`client` speaks with the service, `claims` reads its signed tokens, `grants` keeps the rows. Whoever asks ESI in a
character's name calls `access_token(character_id)`; nothing else ever sees a token.
"""

from .claims import Claims, Untrue
from .client import Refused, Tokens, sso
from .grants import GrantLost, access_token, log_in, logged_in, renewed

__all__ = [
    "Claims",
    "GrantLost",
    "Refused",
    "Tokens",
    "Untrue",
    "access_token",
    "log_in",
    "logged_in",
    "renewed",
    "sso",
]
