"""Bringing a character's rows up to date with ESI, one endpoint at a time: all of an answer, or nothing of it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from . import rows
from .esi.endpoints import Asked
from .esi.reading import Reader, Reading
from .models import Snapshot


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of one endpoint."""

    endpoint: str
    changed: bool  # rows were written
    calls: int  # of ESI; 0: what is kept has not expired
    expires_at: datetime  # before, ESI tells nothing new


def refresh(asked: Asked, reader: Reader, *, job: UUID, whole: bool = False) -> Refreshed:
    """Read an endpoint and, if ESI tells something else than last time, write it. `whole`: write in any case."""
    name, character_id = asked.endpoint.name, asked.ids["character_id"]
    snapshots = Snapshot.objects.filter(character_id=character_id, endpoint=name)
    partial = asked.narrowed or len(asked.ids) > 1  # not all that the endpoint has
    last = None if partial else snapshots.first()
    reading = reader.read(asked, last.cursor if last and not whole else "")
    with transaction.atomic():
        if partial:
            rows.write(asked, reading.value)
            return _told(name, reading, changed=True)
        now = snapshots.select_for_update().first()
        if now and now.version == reading.version and not whole:
            snapshots.update(expires_at=reading.expires_at)
            return _told(name, reading, changed=False)
        wanted = {
            "data": rows.write(asked, reading.value),
            "version": reading.version,
            "cursor": reading.cursor,
            "expires_at": reading.expires_at,
            "changed_at": Now(),
            "job": job,
        }
        Snapshot.objects.update_or_create(character_id=character_id, endpoint=name, defaults=wanted)
    return _told(name, reading, changed=True)


def _told(name: str, reading: Reading, *, changed: bool) -> Refreshed:
    return Refreshed(name, changed, reading.calls, reading.expires_at)
