"""What a scheduler outside of the platform may call: the `CRONS` that rooms declare, by name.

Such a function takes nothing, enqueues, and says in numbers what it did. The door is `jobs.api.cron`.
"""

from collections.abc import Callable, Mapping
from importlib import import_module

from django.apps import apps
from django.utils.module_loading import module_has_submodule

Cron = Callable[[], Mapping[str, int]]


def declared() -> dict[str, Cron]:
    """The crons of every installed app: `CRONS` in its module `tasks`."""
    found: dict[str, Cron] = {}
    for config in apps.get_app_configs():
        if config.module and module_has_submodule(config.module, "tasks"):
            found |= getattr(import_module(f"{config.name}.tasks"), "CRONS", {})
    return found
