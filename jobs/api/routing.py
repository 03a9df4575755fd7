"""Router: operations with what all of ours have."""

from collections.abc import Callable
from typing import Any

import ninja

from jobs.api import idempotency, throttling
from jobs.api.problems import declared


class Router(ninja.Router):
    """camelCase, throttled by caller, and each POST done once for an `Idempotency-Key`."""

    def __init__(self, tag: str) -> None:
        super().__init__(tags=[tag], by_alias=True)

    def add_api_operation(self, path: str, methods: list[str], view_func: Callable[..., Any], **options: Any) -> None:
        if methods == ["POST"]:
            view_func = idempotency.idempotent(view_func)
            options["openapi_extra"] = {"parameters": [idempotency.PARAMETER]}
            options["response"] = {**options["response"], **declared(409, 413, 422)}
        extra = options["throttle"] if isinstance(options["throttle"], list) else []
        options["throttle"] = [throttling.CALLS, *extra]
        super().add_api_operation(path, methods, view_func, **options)
