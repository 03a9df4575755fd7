"""What must be right before the EVE companion starts."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


@register(Tags.security)
def check_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Whoever can log characters in can keep their tokens."""
    if settings.FIELD_KEYS or not settings.EVE_CLIENT_ID:
        return []
    hint = "Set 32 random bytes in URL-safe base64, and keep them: without them every character has to log in again."
    return [Error("EVE_CLIENT_ID is set, but FIELD_KEYS is empty.", hint=hint, id="eve.E001")]
