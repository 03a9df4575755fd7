"""EVE Online, simulated: ESI under `/eve/esi`, and its single sign-on under `/eve/sso`, over real HTTP.

`application` is an ASGI callable, mounted under `/eve/` by `manage.py sandbox`. It needs no database. EVE Online and
its marks are CCP's; see `recorded.json` for what of the answers was recorded.
"""

from .service import application
from .sso import CLIENT_ID, CLIENT_SECRET, owner_of, refresh_token

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "application", "environment", "owner_of", "refresh_token"]


def environment(url: str) -> dict[str, str]:
    """The settings that send our clients here, when this is mounted at `url`."""
    return {
        "ESI_URL": f"{url}/esi",
        "EVE_SSO_URL": f"{url}/sso",
        "EVE_CLIENT_ID": CLIENT_ID,
        "EVE_CLIENT_SECRET": CLIENT_SECRET,
    }
