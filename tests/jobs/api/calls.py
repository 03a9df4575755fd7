"""Calls as the documents of the systems before this one print them: host, port and key aside."""

import json
import shlex
from typing import Any
from urllib.parse import urlsplit

from tests.jobs.api.conftest import Api


def curl(api: Api, command: str) -> tuple[int, Any]:
    """What `curl` would send and get. Without a header it calls a body a form."""
    words = shlex.split(command.replace("\\\n", " "))[1:]
    method, address, headers, body = "", "", {}, None
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name.lower()] = value
        elif word == "-d":
            body = words.pop(0)
        else:
            address = word
    parts = urlsplit(address)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    content_type = headers.get("content-type", "application/x-www-form-urlencoded")
    return _sent(api, method or ("GET" if body is None else "POST"), path, body, content_type)


def http(api: Api, request: str) -> tuple[int, Any]:
    """A request as it goes over the wire: its first line, headers, an empty line and a body if there is one."""
    head, _, body = request.strip().partition("\n\n")
    method, path = head.splitlines()[0].split()
    content_type = "application/json" if "Content-Type: application/json" in head else "text/plain"
    return _sent(api, method, path, body or None, content_type)


def _sent(api: Api, method: str, path: str, body: str | None, content_type: str) -> tuple[int, Any]:
    response = api.client.generic(method, path, body or "", content_type=content_type)
    text = response.content.decode()
    return response.status_code, json.loads(text) if text else None
