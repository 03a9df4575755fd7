"""Payload and Backoff: what a job type declares besides its function."""

import random
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


@dataclass(frozen=True)
class SecretMarker:
    """Marks a payload field whose value is shown nowhere."""


Secret = Annotated[str, SecretMarker(), Field(json_schema_extra={"writeOnly": True})]
REDACTED = "***"


class Payload(BaseModel):
    """The arguments of a job type: stored in camelCase, read in snake_case too, nothing unknown, unchangeable."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


def redact(model: type[BaseModel], payload: Any) -> Any:
    """`payload` with the values of secret fields replaced, in nested models too."""
    if not isinstance(payload, dict):
        return payload
    shown = dict(payload)
    for name, field in model.model_fields.items():
        for key in {name, field.alias or name} & shown.keys():
            if any(isinstance(mark, SecretMarker) for mark in field.metadata):
                shown[key] = REDACTED
            elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                shown[key] = redact(field.annotation, shown[key])
    return shown


def secrets(model: type[BaseModel], payload: Any) -> set[str]:
    """The values of secret fields, to be taken out of messages and tracebacks."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        for key in {name, field.alias or name} & (payload.keys() if isinstance(payload, dict) else set()):
            if any(isinstance(mark, SecretMarker) for mark in field.metadata):
                found.add(str(payload[key]))
            elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found |= secrets(field.annotation, payload[key])
    return found - {""}


@dataclass(frozen=True)
class Backoff:
    """How long to wait before attempt n + 1: base * factor ** (n - 1) seconds, at most `max`.

    With full jitter it is a random part of that.
    """

    base: float = settings.JOBS_RETRY_BASE_DELAY
    max: float = settings.JOBS_RETRY_MAX_DELAY
    factor: float = 2.0
    jitter: bool = True

    def delay(self, attempt: int) -> float:
        """Seconds to wait after failed attempt `attempt` (from 1)."""
        ceiling = min(self.max, self.base * self.factor ** min(attempt - 1, 64))
        return random.uniform(0, ceiling) if self.jitter else ceiling

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
