"""Refreshing what we know of characters from ESI: for a user who asks, and for all whose answers have expired."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final, Literal, Self

from django.db.models.functions import Now
from pydantic import Field, field_validator, model_validator

from jobs.processor import Discard, JobContext, Payload, Retry, enqueue_many

from .. import refreshing, sso
from ..declaring import OfCharacter, Told, refresh_processor
from ..esi import endpoints
from ..esi.endpoints import Asked, Group
from ..esi.reading import Reader
from ..models import Character, Grant, Snapshot

CHUNK: Final = 200  # characters at a time
WAITED_FOR: Final = 8
USUAL: Final = 5


class EsiRefresh(OfCharacter):
    endpoint: str | None = Field(
        None,
        max_length=300,
        description="A path below a character, such as /characters/{character_id}/wallet. Older forms are understood.",
    )
    group: str | None = Field(None, description="CHARACTER_OVERVIEW and so on: all endpoints of it.")
    skip_cache: bool = Field(
        False, description="Ask for answers that did not change too, and write all rows. ESI is not asked early."
    )
    requested_by: Literal["user", "schedule", "system"] = "user"

    @field_validator("group")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return value if value is None else f"{endpoints.GROUP_PREFIX}{endpoints.group(value)}"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.endpoint is None) == (self.group is None):
            raise ValueError("expected an endpoint or a group")
        self.asked()
        return self

    def asked(self) -> list[Asked]:
        """What to ask ESI for. Raises ValueError when the endpoint is none."""
        if self.endpoint is not None:
            return [endpoints.resolve(self.endpoint, self.character_id)]
        wanted = endpoints.group(self.group or "")
        return [endpoints.asked(each, self.character_id) for each in endpoints.of_group(wanted)]


class EndpointRefreshed(Told):
    endpoint: str
    changed: bool  # rows were written
    calls: int  # of ESI; 0: what is kept has not expired
    expires_at: datetime


class EsiRefreshed(Told):
    character_id: int
    endpoints: list[EndpointRefreshed]
    missing_scopes: list[str]  # which the character would have to log in with; their endpoints were left out


def _by_asker(payload: Mapping[str, Any]) -> int:
    """High for a user who waits."""
    return WAITED_FOR if payload["requestedBy"] == "user" else USUAL


@refresh_processor(priority=_by_asker)
def esi_refresh(payload: EsiRefresh, job: JobContext) -> EsiRefreshed:
    """Refresh an endpoint of a character, or a group of them, from ESI."""
    character = payload.character()
    allowed, missing = _by_scope(character, payload.asked())
    if not allowed:
        raise Discard(f"{character} has to log in again, with the scopes {', '.join(missing)}")
    reader = Reader(
        lambda refused: sso.access_token(character.pk, renew=refused), whole=payload.skip_cache, step=job.check
    )
    told: list[EndpointRefreshed] = []
    errors: list[Retry | Discard] = []
    for done, asked in enumerate(allowed):
        job.progress(done, len(allowed), asked.endpoint.name)
        try:
            became = refreshing.refresh(asked, reader, job=job.id, whole=payload.skip_cache)
            told.append(EndpointRefreshed.model_validate(became, from_attributes=True))
        except (Retry, Discard) as error:  # of this endpoint; the others may be well
            errors.append(error)
    job.progress(len(allowed), len(allowed))
    _raise(errors)
    return EsiRefreshed(character_id=character.pk, endpoints=told, missing_scopes=missing)


def _by_scope(character: Character, wanted: list[Asked]) -> tuple[list[Asked], list[str]]:
    """What the character allows, and the scopes that the rest would need."""
    grant = Grant.objects.live().filter(character=character).first()
    scopes = {"", *(grant.scopes if grant else ())}
    missing = {asked.endpoint.scope for asked in wanted} - scopes
    return [asked for asked in wanted if asked.endpoint.scope in scopes], sorted(missing)


def _raise(errors: list[Retry | Discard]) -> None:
    """One error for all: another attempt helps as long as it helps one of them."""
    passing = [error for error in errors if isinstance(error, Retry)]
    if passing:
        raise passing[0]
    if errors:
        raise Discard("; ".join(dict.fromkeys(map(str, errors))))


class EsiRefreshDue(Payload):
    pass


class EsiRefreshQueued(Told):
    enqueued: int  # groups of characters


@refresh_processor()
def esi_refresh_due(payload: EsiRefreshDue, job: JobContext) -> EsiRefreshQueued:
    """Enqueue a refresh of each group of each character of which ESI may tell something new."""
    enqueued = 0
    grants = Grant.objects.live().select_related("character").order_by("pk").iterator(CHUNK)
    while some := list(islice(grants, CHUNK)):
        jobs = [
            (
                "esi_refresh",
                {
                    "characterId": grant.pk,
                    "userId": grant.character.user_id,
                    "group": f"{endpoints.GROUP_PREFIX}{group}",
                    "requestedBy": "schedule",
                },
                {"unique_key": f"{grant.pk}:{group}", "parent": job.id},
            )
            for grant, group in _due(some)
        ]
        enqueued += sum(each.created for each in enqueue_many(jobs))
        job.progress(enqueued, note=f"{enqueued} groups")
    return EsiRefreshQueued(enqueued=enqueued)


def _due(grants: list[Grant]) -> Iterator[tuple[Grant, Group]]:
    """Groups with an endpoint that is allowed, and was never read or has expired since."""
    fresh = set(
        Snapshot.objects.filter(character__in=[grant.pk for grant in grants], expires_at__gt=Now()).values_list(
            "character_id", "endpoint"
        )
    )
    for grant in grants:
        scopes = {"", *grant.scopes}
        for group in Group:
            allowed = [each for each in endpoints.of_group(group) if each.scope in scopes]
            if any((grant.pk, each.name) not in fresh for each in allowed):
                yield grant, group
