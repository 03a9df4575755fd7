"""Reads settings from environment variables.

An empty value counts as unset. A wrong one ends the process with one line that names the variable,
whichever program is reading the settings: manage.py, celery or uvicorn.
"""

import os
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn
from urllib.parse import quote, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ

FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
FERNET_KEY = 32  # bytes
PERIODS = {"s": 1, "m": 60, "h": 3600}


def refuse(name: str, problem: str) -> NoReturn:
    """End the process: `SystemExit` passes through Django, Celery and uvicorn without a traceback."""
    raise SystemExit(f"Wrong setting {name}: {problem}")


def text(name: str, default: str = "") -> str:
    """A string."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool) -> bool:
    """True or false."""
    value = text(name)
    if value and value.lower() not in FLAGS:
        refuse(name, f"{value!r} is neither true nor false")
    return FLAGS[value.lower()] if value else default


def words(name: str, default: Iterable[str] = ()) -> list[str]:
    """A list, separated by commas."""
    return [word.strip() for word in text(name).split(",") if word.strip()] or list(default)


def choice(name: str, default: str, among: Iterable[str]) -> str:
    """One of a few words, in any case."""
    value = text(name, default)
    words_by_lower = {word.lower(): word for word in among}
    if value.lower() not in words_by_lower:
        refuse(name, f"{value!r} is not one of {', '.join(filter(None, words_by_lower.values()))}")
    return words_by_lower[value.lower()]


def number(name: str, default: float, *, least: float = 0, most: float = 1e9) -> float:
    """A number, whole or not."""
    value = text(name)
    if not value:
        return default
    try:
        result = float(value)
    except ValueError:
        refuse(name, f"{value!r} is not a number")
    if not least <= result <= most:
        refuse(
            name,
            f"{value!r} is not between {least:g} and {most:g}"
            if most < float("inf")
            else f"{value!r} is less than {least:g}",
        )
    return result


def whole(name: str, default: int, *, least: int = 0, most: float = 1e9, also: Mapping[str, int] | None = None) -> int:
    """A whole number.

    `also` are other names for it, each with what to add to its value; names that contradict are refused.
    """
    given: dict[str, int] = {}
    for known, shift in ({name: 0} | dict(also or {})).items():
        if text(known):
            value = number(known, 0, least=least - shift, most=most)
            if value != int(value):
                refuse(known, f"{text(known)!r} is not a whole number")
            given[known] = int(value) + shift
    if len(set(given.values())) > 1:
        refuse(" and ".join(given), "two names of one setting with different values; keep one")
    return next(iter(given.values()), default)


def rate(name: str, default: str) -> tuple[int, int] | None:
    """So many in so many seconds, from `100/s`, `6000/m` or `50000/h`; None for `off`."""
    value = text(name, default)
    if value.lower() == "off":
        return None
    number, _, period = value.partition("/")
    if not (number.isascii() and number.isdigit() and int(number) and period in PERIODS):
        refuse(name, f"{value!r} is neither off nor a number per period, such as 100/s, 6000/m or 50000/h")
    return int(number), PERIODS[period]


def url(name: str, default: str, schemes: Iterable[str]) -> str:
    """An address."""
    value = text(name, default)
    try:
        parts = urlsplit(value)
        known = parts.scheme in schemes and (parts.hostname or parts.path) and (parts.port or True)
    except ValueError:
        known = False
    if not known:
        refuse(name, f"an address that starts with {' or '.join(f'{scheme}://' for scheme in schemes)} is wanted")
    return value


def fernet_keys(name: str) -> list[str]:
    """Keys of 32 bytes, each in URL-safe base64, separated by commas."""
    found = words(name)
    for key in found:
        try:
            right = len(urlsafe_b64decode(key)) == FERNET_KEY
        except ValueError:
            right = False
        if not right:
            refuse(name, "each key is 32 random bytes in URL-safe base64")
    return found


def urls(name: str, schemes: Iterable[str]) -> dict[str, str]:
    """Addresses by name: `sales=https://…,ops=https://…`."""
    found = {}
    for pair in words(name):
        key, _, address = pair.partition("=")
        if not key or not any(address.startswith(f"{scheme}://") for scheme in schemes):
            refuse(name, "names with addresses are wanted, such as sales=https://example.com/hook")
        found[key.strip()] = address.strip()
    return found


def zone(name: str, default: str) -> ZoneInfo:
    """A time zone."""
    value = text(name, default)
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError):
        refuse(name, f"there is no time zone {value!r}")


def database(name: str, default: str) -> dict[str, Any]:
    """Django's settings of a PostgreSQL database."""
    value = url(name, default, ("postgres", "postgresql"))
    config: dict[str, Any] = environ.Env.db_url_config(value)
    config["HOST"] = unquote(config["HOST"])  # a socket's folder is written with %2F
    if not config["NAME"]:
        refuse(name, "it names no database")
    return config


def redis() -> str:
    """The address of Redis: `REDIS_URL`, or without it the parts that have variables of their own."""
    if text("REDIS_URL"):
        return url("REDIS_URL", "", ("redis", "rediss"))
    host, port = text("REDIS_HOST", "localhost"), whole("REDIS_PORT", 6379, least=1, most=65535)
    password, db = quote(text("REDIS_PASSWORD"), safe=""), whole("REDIS_DB", 0)
    return f"redis://{f':{password}@' if password else ''}{host}:{port}/{db}"


def mail(name: str, default: str) -> dict[str, Any]:
    """Django's settings of a mail server."""
    value = text(name, default)
    if value not in ("consolemail://", "dummymail://"):
        value = url(name, default, ("smtp", "smtp+tls", "smtp+ssl"))
    config: dict[str, Any] = environ.Env.email_url_config(value)
    return config
