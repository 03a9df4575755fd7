"""A simulated BoardGameGeek: the XML API2 over real HTTP, with its limits, its errors and ours to switch on.

`application` is an ASGI callable, mounted under `/bgg/` by `manage.py sandbox`. It needs no database.
"""

from .service import TOKEN, application

__all__ = ["TOKEN", "application", "environment"]


def environment(url: str) -> dict[str, str]:
    """The settings that send our client here, when this is mounted at `url`."""
    return {"BGG_URL": f"{url}/xmlapi2/", "BGG_TOKEN": TOKEN}
