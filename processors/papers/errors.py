"""Which class an error of a provider has.

`pydantic_ai` tells most apart. What it does not are limits of spending that look like rate limits or bad requests,
wrong keys and unknown models that come as a 400, and answers that are whole requests' worth but no analysis.
"""

import re
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from pydantic_ai import exceptions as ai

from .failures import Failure, Kind

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse

LONGEST: Final = 500  # characters of what a provider says
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")  # halves of emoji, too
MAX_AFTER: Final = 24 * 3600.0  # seconds that a provider may keep us away

SPENT: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "enforced_spend_limit_reached",
    }
)
# Where only the words tell. In this order: the first repeats what the model said, in which any words may stand.
WORDS: Final = (
    (re.compile(r"tool_use_failed", re.I), Kind.INVALID_OUTPUT),
    (re.compile(r"credit balance is too low|reached your specified api usage limits", re.I), Kind.QUOTA),
    (re.compile(r"API_KEY_INVALID|incorrect api key|invalid api key", re.I), Kind.KEY),
    (re.compile(r"content filter|content_filter|moderation|flagged", re.I), Kind.FILTERED),
)
STATUSES: Final = {402: Kind.QUOTA, 408: Kind.CONFLICT, 409: Kind.CONFLICT, 413: Kind.TOO_LONG, 425: Kind.CONFLICT}
# The first that an error is an instance of: subclasses before what they are subclasses of.
CLASSES: Final = (
    (ai.ModelQuotaExceededError, Kind.QUOTA),
    (ai.ModelRateLimitError, Kind.RATE_LIMIT),
    (ai.ModelUnavailableError, Kind.OVERLOADED),
    (ai.ModelServerError, Kind.SERVER_ERROR),
    (ai.ModelTimeoutError, Kind.TIMEOUT),
    (ai.ModelConnectionError, Kind.CONNECTION),
    (ai.ModelAuthenticationError, Kind.KEY),
    (ai.ModelNotFoundError, Kind.MODEL),
    (ai.ModelContextWindowExceededError, Kind.TOO_LONG),
    (ai.ModelRequestRejectedError, Kind.REJECTED),
    (ai.ContentFilterError, Kind.FILTERED),
    (ai.UnexpectedModelBehavior, Kind.INVALID_OUTPUT),
    (TimeoutError, Kind.TIMEOUT),
)


def failure_of(error: Exception) -> Failure:
    """What an error of a request means."""
    status = error.status_code if isinstance(error, ai.ModelHTTPError) else None
    after = min(error.retry_after or 0.0, MAX_AFTER) if isinstance(error, ai.ModelAPIError) else 0.0
    body = error.body if isinstance(error, ai.ModelAPIError) else None
    return Failure(_kind(error, status, body), _told(error, status, body), after or None, status)


def _kind(error: Exception, status: int | None, body: object) -> Kind:
    if _codes(body) & SPENT:
        return Kind.QUOTA
    if status is not None and 400 <= status < 500:
        if status in STATUSES:
            return STATUSES[status]
        if "model_not_found" in _codes(body):
            return Kind.MODEL
        if status != 429:
            for words, kind in WORDS:
                if words.search(str(body)):
                    return kind
    return next((kind for found, kind in CLASSES if isinstance(error, found)), Kind.SERVER_ERROR)


def _codes(body: Any) -> set[str]:
    """What machines are to read in an error's body."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return set()
    details = error.get("details")
    more = details.get("error_code") if isinstance(details, dict) else None
    return {str(code) for code in (error.get("code"), error.get("type"), more) if code}


def _told(error: Exception, status: int | None, body: Any) -> str:
    """What a person is to read."""
    if isinstance(error, TimeoutError) and not isinstance(error, ai.AgentRunError):
        return f"no answer within {settings.AI_TIMEOUT:g} s"
    said = body.get("error", body) if isinstance(body, dict) else body
    said = said.get("message", said) if isinstance(said, dict) else said
    text = " ".join(str(said or error).split())[:LONGEST]
    return without_keys(f"{status} {text}" if status is not None else text)


def failure_in(response: "ModelResponse") -> Failure | None:
    """Why an answer is none."""
    details = response.provider_details or {}
    refusal = details.get("refusal") or (details.get("finish_reason") == "refusal" and "the model refuses")
    if refusal:
        return Failure(Kind.REFUSED, without_keys(str(refusal)[:LONGEST]))
    if response.finish_reason == "content_filter":
        return Failure(Kind.FILTERED, f"the provider kept its answer back ({details.get('finish_reason', 'filtered')})")
    if response.finish_reason == "length":
        return Failure(Kind.TRUNCATED, f"the answer was cut off after {response.usage.output_tokens} tokens")
    return None


def without_keys(text: str) -> str:
    """A text of a provider's, in which a key may stand, without it; nor with what Postgres does not store."""
    text = UNSTORABLE.sub("", text)
    for config in settings.AI_PROVIDERS.values():
        if config["key"]:
            text = text.replace(config["key"], "***")
    return text
