"""Why a call or an analysis did not succeed, in classes that say what follows."""

from dataclasses import dataclass

from django.db import models


class Kind(models.TextChoices):
    """What went wrong with a provider. `RETRYABLE` and `PROVIDERS` say what to do about it."""

    RATE_LIMIT = "rate-limit"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server-error"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    CONFLICT = "conflict"  # 408, 409, 425
    INVALID_OUTPUT = "invalid-output"  # not in the shape that was asked for
    TRUNCATED = "truncated"  # the answer ended at its limit
    TOO_LONG = "too-long"  # the paper does not fit the model
    REFUSED = "refused"  # by the model
    FILTERED = "filtered"  # by the provider
    REJECTED = "rejected"  # any other 4xx
    KEY = "key"  # 401, 403
    MODEL = "model"  # there is no such model
    QUOTA = "quota"  # quota, credit or spend limit used up
    OFF = "off"  # switched off for a while, after one of the three before
    NOT_CONFIGURED = "not-configured"  # has no key
    STOPPED = "stopped"  # by us: its job was cancelled, or ran out of time


RETRYABLE = frozenset(
    {Kind.RATE_LIMIT, Kind.OVERLOADED, Kind.SERVER_ERROR, Kind.CONNECTION, Kind.TIMEOUT, Kind.CONFLICT}
)
UNUSABLE = frozenset({Kind.INVALID_OUTPUT, Kind.TRUNCATED})  # worth another try or two, no more
PROVIDERS = frozenset({Kind.KEY, Kind.MODEL, Kind.QUOTA})  # the same for every paper until a person acts


@dataclass(frozen=True)
class Failure:
    """Why there is no analysis."""

    kind: Kind
    message: str
    after: float | None = None  # seconds that the provider asks us to stay away
    http_status: int | None = None
