"""The job types of the EVE companion, by subject, with the schedules that run them."""

from typing import Final

from jobs.processor import CRON_EXPRESSIONS, Schedule

from . import cleanup, esi, history, tokens

__all__ = ["SCHEDULES", "cleanup", "esi", "history", "tokens"]

SCHEDULES: Final = [
    Schedule(
        name="eve-token-refresh",
        type="token_refresh_due",
        cron=CRON_EXPRESSIONS.EVERY_2_HOURS,
        description="New tokens for every character whose owner still allows it, which keeps what they allowed alive.",
        overlap="skip",
    ),
    Schedule(
        name="eve-esi-refresh",
        type="esi_refresh_due",
        cron=CRON_EXPRESSIONS.EVERY_15_MINUTES,
        description="Everything about every character of which EVE Online may tell something new.",
        overlap="skip",
    ),
    Schedule(
        name="eve-cache-cleanup",
        type="cache_cleanup",
        cron=CRON_EXPRESSIONS.DAILY_3AM,
        description="Kept answers of EVE Online that have expired.",
        payload={"mode": "expired"},
    ),
]
