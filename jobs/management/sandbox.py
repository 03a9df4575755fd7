"""The simulated upstreams of all rooms behind one address: each at `/<room>/`.

A room is an installed app with a module `sandbox` that has an ASGI callable `application`, and
`environment(url)`: the settings that send the room's client there. What speaks another protocol than HTTP has a port
of its own, which the module's `start()` opens.
"""

import json
from importlib import import_module
from types import ModuleType

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from jobs import asgi
from jobs.asgi import Receive, Scope, Send


def rooms() -> dict[str, ModuleType]:
    """The `sandbox` modules of the installed apps, by the app's label."""
    return {
        config.label: import_module(f"{config.name}.sandbox")
        for config in apps.get_app_configs()
        if config.module and module_has_submodule(config.module, "sandbox")
    }


def environment(address: str) -> dict[str, str]:
    """The settings of all rooms for a sandbox at this address, for example `http://127.0.0.1:8010`."""
    merged: dict[str, str] = {}
    for label, module in rooms().items():
        merged |= module.environment(f"{address}/{label}")
    return merged


def start() -> None:
    """Open the ports of those that have their own."""
    for module in rooms().values():
        if hasattr(module, "start"):
            module.start()


class Sandboxes:
    """An ASGI application that hands each request to its room; `/` lists them."""

    def __init__(self) -> None:
        self._rooms = {label: module.application for label, module in rooms().items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, label, rest = f"{scope['path']}/".split("/", 2)
        if label in self._rooms:
            inner = {**scope, "root_path": f"/{label}", "path": f"/{rest.removesuffix('/')}"}
            await self._rooms[label](inner, receive, send)
            return
        status, body = (404, {"error": "no such sandbox"}) if label else (200, {"sandboxes": sorted(self._rooms)})
        await asgi.answer(send, status, json.dumps(body).encode(), {"content-type": "application/json"})
