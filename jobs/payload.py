"""Payload and Backoff: what a job type declares besides its function."""

import copy
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, get_args

from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from jobs.errors import InvalidPayload


@dataclass(frozen=True)
class SecretMarker:
    """Marks a payload field whose value is shown nowhere."""


Secret = Annotated[str, SecretMarker(), Field(json_schema_extra={"writeOnly": True})]
REDACTED = "***"


class Payload(BaseModel):
    """The arguments of a job type: stored in camelCase, read in snake_case too, nothing unknown, unchangeable."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


def redact(model: type[BaseModel], payload: Any) -> Any:
    """`payload` with the values of secret fields replaced, wherever in it they are."""
    if next(_secret_places(model, payload), None) is None:
        return payload
    shown = copy.deepcopy(payload)
    for holder, key in _secret_places(model, shown):
        if holder[key] is not None:
            holder[key] = REDACTED
    return shown


def secrets(model: type[BaseModel], payload: Any) -> set[str]:
    """The values of secret fields, to be taken out of messages and tracebacks."""
    found: set[str] = set()
    for holder, key in _secret_places(model, payload):
        value = holder[key]
        values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        found.update(map(str, values))
    return found - {"", "None"}


def uncovered(model: type[BaseModel] | None, new: Any, old: Any) -> Any:
    """`new` with the secrets of `old` wherever it has what is shown instead of them. A plain task (None) has none.

    InvalidPayload where one is still hidden: a list with an item more or less does not tell which secret was whose.
    """
    if model is None:
        return new
    found = _uncovered(new, redact(model, old), old)
    if REDACTED in secrets(model, found):
        text = f"a secret is still {REDACTED}: write it anew"
        raise InvalidPayload(text, [{"loc": [], "msg": text}])
    return found


def _uncovered(value: Any, shown: Any, old: Any) -> Any:
    if value == REDACTED and shown == REDACTED:
        return old
    if isinstance(value, dict) and isinstance(shown, dict):
        return {key: _uncovered(each, shown[key], old[key]) if key in shown else each for key, each in value.items()}
    if isinstance(value, list) and isinstance(shown, list) and len(value) == len(shown):
        return [_uncovered(*each) for each in zip(value, shown, old, strict=True)]
    return value


def without(text: str, hide: set[str]) -> str:
    """`text` without these secrets, also as `repr` and JSON write them, and JSON what `repr` has written."""
    plain = {shape for secret in hide for shape in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])}
    for shape in sorted(plain.union(json.dumps(shape)[1:-1] for shape in plain), key=len, reverse=True):
        text = text.replace(shape, REDACTED)
    return text


def is_secret(model: type[BaseModel], path: Sequence[str]) -> bool:
    """Whether these names, as a payload has them or as the model has, lead to a secret field or into one."""
    for name, field in model.model_fields.items():
        if path and path[0] in (name, field.alias or name):
            return _is_secret(field) or any(is_secret(inner, path[1:]) for inner in _models(field.annotation))
    return False


def _secret_places(model: type[BaseModel], payload: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Where secrets are: the object and the key in it."""
    for key, field in _present(model, payload) if isinstance(payload, dict) else ():
        if _is_secret(field):
            yield payload, key
        else:
            yield from _places_within(_models(field.annotation), payload[key])


def _places_within(models: list[type[BaseModel]], value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """The same in a field's value: a model, or a list of or a mapping to models."""
    if models and isinstance(value, dict):
        for model in models:
            yield from _secret_places(model, value)
    if models and isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _places_within(models, item)


def _present(model: type[BaseModel], payload: dict[str, Any]) -> list[tuple[str, FieldInfo]]:
    """The keys of the payload with the fields they stand for, by alias or by name."""
    return [
        (key, field)
        for name, field in model.model_fields.items()
        for key in {name, field.alias or name} & payload.keys()
    ]


def _is_secret(field: FieldInfo) -> bool:
    return any(isinstance(mark, SecretMarker) for mark in (*field.metadata, *_parts(field.annotation)))


def _models(annotation: Any) -> list[type[BaseModel]]:
    parts = (annotation, *_parts(annotation))
    return [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]


def _parts(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: `list[Secret | None]` of its parts, and theirs."""
    for part in get_args(annotation):
        yield part
        yield from _parts(part)


@dataclass(frozen=True)
class Backoff:
    """How long to wait before attempt n + 1: base * factor ** (n - 1) seconds, at most `max`.

    With full jitter it is a random part of that.
    """

    base: float = settings.JOBS_RETRY_BASE_DELAY
    max: float = settings.JOBS_RETRY_MAX_DELAY
    factor: float = 2.0
    jitter: bool = True

    def __post_init__(self) -> None:
        for name, low in (("base", 0.0), ("max", 0.0), ("factor", 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < math.inf:
                raise ValueError(f"backoff: expected a number from {low:g} as {name}, got {value!r}")

    def delay(self, attempt: int) -> float:
        """Seconds to wait after failed attempt `attempt` (from 1)."""
        ceiling = min(self.max, self.base * self.factor ** min(attempt - 1, 64))
        return random.uniform(0, ceiling) if self.jitter else ceiling

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
