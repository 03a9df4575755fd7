"""New tokens for one character, or for all of them. The tokens themselves are `sso`'s: no job's row ever has one."""

from datetime import datetime, timedelta
from typing import Final

from jobs.processor import JobContext, Payload, enqueue_many

from .. import sso
from ..declaring import OfCharacter, Told, token_processor
from ..models import Grant

RECENT: Final = timedelta(minutes=2)  # a refresh this long ago is that of a job beside this one, or of its lost run
CHUNK: Final = 1000


class TokenRefresh(OfCharacter):
    pass


class TokenRefreshed(Told):
    expires_at: datetime  # of the access token
    refreshed_at: datetime
    scopes: list[str]


@token_processor(timeout=120)
def token_refresh(payload: TokenRefresh, job: JobContext) -> TokenRefreshed:
    """Ask EVE's single sign-on for new tokens of a character, unless they have just come."""
    payload.character()
    grant = sso.renewed(payload.character_id, within=RECENT)
    return TokenRefreshed(expires_at=grant.expires_at, refreshed_at=grant.refreshed_at, scopes=grant.scopes)


class TokenRefreshDue(Payload):
    pass


class TokenRefreshesQueued(Told):
    queued: int


@token_processor(timeout=300)
def token_refresh_due(payload: TokenRefreshDue, job: JobContext) -> TokenRefreshesQueued:
    """Enqueue a refresh for each grant that is alive. One that has a job already keeps that."""
    rows = Grant.objects.live().order_by("pk").values_list("pk", "character__user_id")
    queued, last = 0, 0
    while chunk := list(rows.filter(pk__gt=last)[:CHUNK]):
        job.check()
        jobs = enqueue_many(
            (token_refresh, {"character_id": pk, "user_id": user}, {"unique_key": str(pk), "parent": job.id})
            for pk, user in chunk
        )
        queued += sum(each.created for each in jobs)
        last = chunk[-1][0]
    return TokenRefreshesQueued(queued=queued)
