"""Rows of the EVE companion for tests."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone

from processors.eve.models import Character, Grant
from processors.eve.sandbox.routes import SCOPES
from processors.eve.sandbox.sso import owner_of
from processors.eve.sandbox.world import PILOT
from tests.processors.eve.sandbox import EveSandbox


def character(character_id: int = PILOT, **fields: Any) -> Character:
    """Of the user `pilot`, unless another is given; without a grant."""
    user = fields.pop("user", None) or get_user_model().objects.get_or_create(username="pilot")[0]
    known = {"id": character_id, "user": user, "name": f"Pilot {character_id}", "owner_hash": owner_of(character_id)}
    return Character.objects.create(**known | fields)


def logged_in(
    sandbox: EveSandbox, character_id: int = PILOT, scopes: tuple[str, ...] = SCOPES, **fields: Any
) -> Character:
    """With tokens of the sandbox, good for 20 minutes."""
    row = character(character_id, **fields)
    tokens = sandbox.grant(character_id, scopes)
    Grant.objects.create(
        character=row,
        scopes=list(scopes),
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
        expires_at=timezone.now() + timedelta(seconds=tokens["expires_in"]),
    )
    return row
