"""Requests and answers, as the simulated services see them: no ASGI, no log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

JSON: Final = "application/json; charset=UTF-8"
HTML: Final = "text/html"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str  # below /esi or /sso
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    root: str  # our own address, such as http://127.0.0.1:8010/eve


@dataclass(slots=True)
class Answer:
    """`note` is for the log: what of the request a test may want to know, and never a token."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    note: dict[str, Any] = field(default_factory=dict)


def told(status: int, value: Any, **headers: str) -> Answer:
    """An answer in JSON. Underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"content-type": JSON, **named})


def page(status: int, text: str) -> Answer:
    return Answer(status, f"<html><body>{text}</body></html>".encode(), {"content-type": HTML})


def error(status: int, message: str, *, location: str = "", value: object = None) -> Answer:
    """ESI's error; newer routes say where it is."""
    details = {"details": [{"location": location, "message": message, "value": value}]} if location else {}
    return told(status, {"error": message, **details})
