"""API keys: given out once, stored hashed, found again by what a caller presents.

A key reads `prefix.secret`. What its scopes allow is the API's business.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from django.db.models.functions import Now

from jobs.models import ApiKey

USE_NOTED_EVERY = timedelta(minutes=1)  # `last_used_at` is no more exact than this, so that reads stay reads


def create(name: str, scopes: Sequence[str], expires_at: datetime | None = None) -> str:
    """Make a key and return it: the only time that it can be read."""
    key = ApiKey(name=name, scopes=list(scopes), expires_at=expires_at)
    shown = issue(key)
    key.save(force_insert=True)
    return shown


def issue(key: ApiKey) -> str:
    """Give an unsaved key its prefix and secret; return both as the caller will present them."""
    secret = secrets.token_urlsafe(32)
    key.prefix, key.digest = secrets.token_hex(6), _digest(secret)
    return f"{key.prefix}.{secret}"


def find(presented: str) -> ApiKey | None:
    """The valid key that was presented, its use noted."""
    prefix, _, secret = presented.partition(".")
    if not (prefix.isascii() and prefix.isalnum()):
        return None
    unused = Q(last_used_at=None) | Q(last_used_at__lt=Now() - USE_NOTED_EVERY)
    valid = Q(expires_at=None) | Q(expires_at__gt=Now())
    key = ApiKey.objects.filter(valid, prefix=prefix).annotate(unused=unused).first()
    if key is None or not hmac.compare_digest(key.digest, _digest(secret)):
        return None
    if key.unused:
        ApiKey.objects.filter(unused, pk=key.pk).update(last_used_at=Now())
    return key


def _digest(secret: str) -> str:
    # A 256-bit random secret needs no salt and no slow hash.
    return hashlib.sha256(secret.encode()).hexdigest()
