"""`Idempotency-Key`: a POST that is sent twice is done once.

The key is inserted in the transaction that does what was asked for, so both are there or neither, and a second
request with the key waits for the end of the first. Only what was done is kept: an error may be tried again.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.db import OperationalError, transaction
from django.http import HttpRequest, JsonResponse
from ninja.responses import NinjaJSONEncoder
from ninja.responses import Status as Answer
from psycopg.errors import LockNotAvailable
from pydantic import BaseModel

from jobs.api.problems import FieldError, Problem, invalid
from jobs.models import IdempotencyKey
from jobs.sessions import fetch

HEADER = "Idempotency-Key"
LONGEST = 255
PARAMETER = {
    "in": "header",
    "name": HEADER,
    "required": False,
    "description": "Kept for 24 h: the same request with the same key gets the same answer and does nothing more.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"},
}
PATIENCE = "10s"  # for another request with the same key

_INSERT = """
INSERT INTO jobs_idempotencykey AS k (caller, key, digest, status, answer)
VALUES (%(caller)s, %(key)s, %(digest)s, 0, 'null')
ON CONFLICT (caller, key) DO UPDATE SET digest = excluded.digest, created_at = now()
WHERE k.created_at < now() - %(kept)s::interval
RETURNING 1
"""


def idempotent(view: Callable[..., Any]) -> Callable[..., Any]:
    """The view of a POST, done once for each key."""

    @functools.wraps(view)
    def once(request: HttpRequest, **values: Any) -> Any:
        key = request.headers.get(HEADER)
        if key is None:
            return view(request, **values)
        caller: str = request.auth.name  # type: ignore[attr-defined]
        digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode() + request.body).hexdigest()
        with transaction.atomic():
            if not _is_new(caller, _checked(key), digest):
                return _kept(caller, key, digest)
            answer = view(request, **values)
            status, body = (answer.status_code, answer.value) if isinstance(answer, Answer) else (200, answer)
            kept = IdempotencyKey.objects.filter(caller=caller, key=key)
            kept.update(status=status, answer=_as_written(body))
        return answer

    return once


def _as_written(body: BaseModel) -> Any:
    return json.loads(json.dumps(body.model_dump(by_alias=True), cls=NinjaJSONEncoder))


def _checked(key: str) -> str:
    if not (1 <= len(key) <= LONGEST and all("!" <= letter <= "~" for letter in key)):
        msg = f"expected 1 to {LONGEST} visible ASCII characters"
        raise invalid([FieldError(loc=["header", HEADER], msg=msg)])
    return key


def _is_new(caller: str, key: str, digest: str) -> bool:
    """Insert the key, waiting for whoever is about to."""
    fetch(f"SET LOCAL lock_timeout = '{PATIENCE}'", {})
    try:
        inserted = fetch(_INSERT, {"caller": caller, "key": key, "digest": digest, "kept": IdempotencyKey.KEPT})
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise Problem(409, f"A request with this {HEADER} is still being answered.") from error
        raise
    fetch("SET LOCAL lock_timeout TO DEFAULT", {})
    return bool(inserted)


def _kept(caller: str, key: str, digest: str) -> JsonResponse:
    kept = IdempotencyKey.objects.get(caller=caller, key=key)
    if kept.digest != digest:
        raise Problem(409, f"This {HEADER} was used for another request.")
    return JsonResponse(kept.answer, status=kept.status, safe=False)
