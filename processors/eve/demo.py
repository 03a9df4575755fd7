"""The EVE companion's part of `manage.py demo_data`: characters of the simulated EVE Online, and jobs of each type.

The characters are made once, with what they would allow after a login. Every job has the tag `demo`; one that is
meant to end failed has `fails` too.
"""

from datetime import UTC, datetime
from typing import Any, Final

from django.contrib.auth import get_user_model

from jobs.processor import Enqueued, enqueue_many

from .esi.endpoints import SCOPES, Group
from .models import Character, Grant
from .sandbox import owner_of, refresh_token
from .sandbox.world import PILOT

OTHERS: Final = (95_000_001, 95_000_002)
GONE: Final = 95_000_003  # whose owner has taken back what was allowed
LONG_AGO: Final = datetime(2026, 1, 1, tzinfo=UTC)


def load() -> list[Enqueued]:
    user = get_user_model().objects.filter(is_superuser=True).order_by("pk").first()
    user = user or get_user_model().objects.get_or_create(username="demo")[0]
    for character in (PILOT, *OTHERS):
        _make(character, user.pk, refresh_token(character))
    _make(GONE, user.pk, "gone")

    def of(character: int, **more: Any) -> dict[str, Any]:
        return {"characterId": character, "userId": Character.objects.get(pk=character).user_id, **more}

    wallet = "/latest/characters/{character_id}/wallet/"
    jobs: list[tuple[str, dict[str, Any], list[str]]] = [
        *(("token_refresh", of(character), []) for character in (PILOT, *OTHERS)),
        ("token_refresh", of(GONE), ["fails"]),
        *(("esi_refresh", of(PILOT, group=f"CHARACTER_{group}"), []) for group in Group),
        *(("esi_refresh", of(character, endpoint=wallet), []) for character in OTHERS),
        ("esi_refresh", of(GONE, endpoint=wallet), ["fails"]),
        ("historical_data", of(PILOT, dataType="all"), []),
        ("cache_cleanup", {"mode": "expired", "dryRun": True}, []),
    ]
    return enqueue_many((name, payload, {"tags": ["demo", *tags]}) for name, payload, tags in jobs)


def _make(character: int, user: int, token: str) -> None:
    row, created = Character.objects.get_or_create(
        pk=character, defaults={"user_id": user, "name": f"Pilot {character}", "owner_hash": owner_of(character)}
    )
    if created:
        columns = {"access_token": "", "refresh_token": token, "expires_at": LONG_AGO, "refreshed_at": LONG_AGO}
        Grant.objects.create(character=row, scopes=list(SCOPES), **columns)
