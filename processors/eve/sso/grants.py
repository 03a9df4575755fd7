"""The rows of grants: one refresh at a time for each character, its answer stored at once, and the end of a grant.

Whoever refreshes holds no transaction and no lock while the service answers, but a lease on the row, which ends by
itself when its holder dies. The row's serial is the fence: an answer is written only over the tokens it was given for.
"""

import contextlib
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from jobs.errors import Discard, JobError, Retry, Snooze
from jobs.processor import enqueue

from ..models import Character, Grant
from .claims import Claims, UnknownKey, Untrue
from .client import Refused, Tokens, sso

SPARE: Final = timedelta(seconds=60)  # that a token must still be good for
LEASE: Final = timedelta(seconds=60)  # longer than a call and the storing of its answer
STORING: Final = 30.0  # seconds that a database which is away is waited for with tokens in hand
PATIENCE: Final = 2.0  # seconds that another's refresh is waited for in place
LOOK: Final = 0.1  # seconds between two looks for its end
UNUSABLE: Final = 0.0  # lifetime of an access token that cannot be trusted
ALIVE: Final = {"status": Grant.Status.LIVE, "reason": "", "died_at": None, "told_at": None}


class GrantLost(Discard):
    """The character's owner has to log in again."""


def access_token(character_id: int, *, renew: bool = False) -> str:
    """A token that is good for a minute at least; asks the single sign-on for new ones where it is not.

    `renew`: also when it should still be good, because ESI has refused it. Two callers at once make one call. Must not
    be called inside a transaction. Raises GrantLost, Retry, or Snooze while another worker is at it.
    """
    return renewed(character_id, within=timedelta(seconds=5) if renew else None).access_token


def renewed(character_id: int, *, within: timedelta | None) -> Grant:
    """The grant with a good token, that came within this time (None: whenever). Raises as `access_token` does."""
    good = Q(expires_at__gt=Now() + SPARE) & (Q(refreshed_at__gt=Now() - within) if within else Q())
    grants = Grant.objects.select_related("character__user").filter(pk=character_id)
    until = time.monotonic() + PATIENCE
    while True:
        if grant := grants.live().filter(good).first():
            return grant
        if (grant := grants.first()) is None:
            raise GrantLost(f"character {character_id} has not logged in")
        if grant.status == Grant.Status.DEAD:
            raise _lost(grant, grant.reason)
        if _take(grant, unless=good):
            return _refreshed(grant)
        if time.monotonic() > until:
            raise Snooze(f"another worker asks for tokens of character {character_id}", after=PATIENCE)
        time.sleep(LOOK)


def _lost(grant: Grant, reason: str) -> GrantLost:
    return GrantLost(f"{grant.character} has to log in again: {reason}")


def _take(grant: Grant, *, unless: Q) -> bool:
    """Take the lease, if nobody has it and the tokens are still those."""
    free = Q(refreshing_until=None) | Q(refreshing_until__lt=Now())
    with transaction.atomic(durable=True):  # others must see it
        ours = _same(grant).filter(free, status=Grant.Status.LIVE).exclude(unless)
        return bool(ours.update(refreshing_until=Now() + LEASE))


def _same(grant: Grant) -> QuerySet[Grant]:
    """The row as long as it has the tokens that we know."""
    return Grant.objects.filter(pk=grant.pk, serial=grant.serial)


def _refreshed(grant: Grant) -> Grant:
    """Ask for new tokens, with the lease in hand."""
    try:
        tokens = sso().refresh(grant.refresh_token)
    except Refused as refused:
        raise _end(grant, str(refused)) from None
    except Exception:
        with contextlib.suppress(OperationalError, InterfaceError):  # the lease ends by itself
            _same(grant).update(refreshing_until=None)
        raise
    try:
        told = sso().claims(tokens)
    except (Untrue, JobError) as error:
        _keep(grant, Tokens(access="", refresh=tokens.refresh), UNUSABLE)  # the old one may be good no longer
        raise Retry(f"an access token that cannot be trusted: {error}") from None
    if told.character_id != grant.pk:
        raise _end(grant, f"its tokens are those of character {told.character_id}")
    if told.owner != grant.character.owner_hash:
        raise _end(grant, "it belongs to another account now")
    _keep(grant, tokens, told.lifetime, told.scopes)
    return Grant.objects.get(pk=grant.pk)


def _keep(grant: Grant, tokens: Tokens, lifetime: float, scopes: Iterable[str] | None = None) -> None:
    """Write tokens over those they were given for, also when the database is away just now.

    A newer login's stay. A grant that was given up meanwhile is alive after all.
    """
    columns: dict[str, Any] = {
        "access_token": tokens.access,
        "refresh_token": tokens.refresh,
        "expires_at": Now() + timedelta(seconds=lifetime),
        "refreshed_at": Now(),
        "refreshing_until": None,
        "serial": F("serial") + 1,
    } | ALIVE
    if scopes is not None:
        columns["scopes"] = sorted(scopes)
    until = time.monotonic() + STORING
    while True:
        try:
            with transaction.atomic(durable=True):
                _same(grant).update(**columns)
            return
        except (OperationalError, InterfaceError):
            if time.monotonic() > until:
                raise
            connection.close()
            time.sleep(1)


def _end(grant: Grant, reason: str) -> GrantLost:
    """Mark a grant as dead, forget its tokens, and tell the user: all or nothing, and once."""
    with transaction.atomic():
        dead = (
            _same(grant)
            .filter(status=Grant.Status.LIVE)
            .update(
                status=Grant.Status.DEAD,
                reason=reason[:300],
                died_at=Now(),
                told_at=Now(),
                access_token="",
                refresh_token="",
                refreshing_until=None,
            )
        )
        if dead:
            _tell(grant, reason)
    return _lost(grant, reason)


def _tell(grant: Grant, reason: str) -> None:
    user, name = grant.character.user, grant.character.name
    message = {
        "subject": f"{name} has to log in to EVE Online again",
        "body": f"We can no longer ask EVE Online about {name}: {reason}\nLog the character in again to go on.",
    }
    enqueue("send_notification", {"channel": "in-app", "recipient": user.get_username(), **message})
    if user.email:
        enqueue("send_notification", {"channel": "email", "recipient": user.email, **message})


def logged_in(code: str, *, verifier: str, back: str) -> tuple[Claims, Tokens]:
    """Who has logged in, by the code that the browser brought back. Raises Refused, Untrue, or what a call raises."""
    tokens = sso().exchange(code, verifier=verifier, back=back)
    try:
        return sso().claims(tokens), tokens
    except UnknownKey:  # the service has new keys, and the code is used up
        return sso().claims(tokens), tokens


@transaction.atomic
def log_in(user_id: int, told: Claims, tokens: Tokens) -> Character:
    """The character of a login, with what its owner allows now. It is this user's from then on.

    What we know of a character that came from another user's account is deleted: it was its former owner's.
    """
    known = Character.objects.select_for_update().filter(pk=told.character_id).first()
    grant = Grant.objects.filter(pk=told.character_id).first()
    if known and known.user_id != user_id and known.owner_hash != told.owner:
        known.delete()
    character, _ = Character.objects.update_or_create(
        pk=told.character_id, defaults={"user_id": user_id, "name": told.name, "owner_hash": told.owner}
    )
    columns = {
        "scopes": sorted(told.scopes),
        "access_token": tokens.access,
        "refresh_token": tokens.refresh,
        "expires_at": Now() + timedelta(seconds=told.lifetime),
        "refreshed_at": Now(),
        "refreshing_until": None,
        "serial": grant.serial + 1 if grant else 0,
    } | ALIVE
    Grant.objects.update_or_create(character=character, defaults=columns)
    return character
