"""What the simulated Stripe answers: to each payment method, and when it goes wrong."""

from typing import Any, Final

Answer = tuple[int, dict[str, Any], dict[str, str]]  # status, body, further headers


def error(status: int, **said: str) -> Answer:
    """As Stripe says that a request was wrong."""
    return status, {"error": {"type": "invalid_request_error"} | said}, {}


def missing(kind: str, name: str, param: str, status: int = 404) -> Answer:
    """As Stripe says that there is no such object."""
    return error(status, code="resource_missing", param=param, message=f"No such {kind}: {name!r}")


def _declined(code: str, message: str, decline_code: str = "", advice_code: str = "") -> dict[str, str]:
    said = {"code": code, "decline_code": decline_code, "advice_code": advice_code, "message": message}
    return {"type": "card_error"} | {name: text for name, text in said.items() if text}


METHODS: Final[dict[str, tuple[str, dict[str, str]]]] = {  # → status of the intent, and the card's error
    "pm_card_visa": ("succeeded", {}),
    "pm_card_mastercard": ("succeeded", {}),
    "pm_card_chargeDeclined": (
        "requires_payment_method",
        _declined("card_declined", "Your card was declined.", "generic_decline", "try_again_later"),
    ),
    "pm_card_chargeDeclinedInsufficientFunds": (
        "requires_payment_method",
        _declined("card_declined", "Your card has insufficient funds.", "insufficient_funds", "try_again_later"),
    ),
    "pm_card_chargeDeclinedExpiredCard": (
        "requires_payment_method",
        _declined("expired_card", "Your card has expired.", "", "do_not_try_again"),
    ),
    "pm_card_authenticationRequired": (
        "requires_payment_method",
        _declined(
            "authentication_required",
            "Your card was declined. This transaction requires authentication.",
            "authentication_required",
        ),
    ),
    "pm_usBankAccount_success": ("processing", {}),
    "pm_sandbox_confirm": ("requires_action", {}),  # ours: a bank that sends the customer to a page of its own
    "pm_sandbox_confirm_in_app": ("requires_action", {}),  # ours: one that has no page, but talks to Stripe's SDK
}
EVENTS: Final = {
    "succeeded": "payment_intent.succeeded",
    "processing": "payment_intent.processing",
    "requires_action": "payment_intent.requires_action",
    "requires_payment_method": "payment_intent.payment_failed",
    "canceled": "payment_intent.canceled",
}
BUSY: Final = "This object cannot be accessed right now because another API request is currently accessing it."
TROUBLE: Final[Answer] = (500, {"error": {"type": "api_error", "message": "An unexpected error occurred."}}, {})
FAULTS: Final[dict[str, Answer | None]] = {
    "400": error(400, code="parameter_missing", param="currency", message="Missing required param: currency."),
    "403": error(403, message="The provided key does not have the required permissions for this endpoint."),
    "409": error(409, code="idempotency_key_in_use", message="There is another in-progress request using this key."),
    "429": error(429, code="rate_limit", message="Request rate limit exceeded."),
    "lock-timeout": error(429, code="lock_timeout", message=BUSY),
    "500": TROUBLE,  # before anything was done; the answer is kept for its idempotency key
    "503": (503, {"error": {"type": "api_error", "message": "Stripe is unavailable."}}, {}),
    "html": (502, {}, {"content-type": "text/html"}),
    "do-not-retry": (500, TROUBLE[1], {"stripe-should-retry": "false"}),
    "500-after": None,  # after it was done
    "reset": None,
    "reset-after": None,
}
KEPT: Final = ("500", "500-after")  # answers of requests that had begun
IN_APP: Final = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "stripe_3ds2_fingerprint"}}
NOT_KEPT: Final = (400, 404)  # of requests that were not good enough to begin
ENDED: Final = ("succeeded", "canceled")
