"""The job types of the service CRM, by subject, with what runs them: schedules, and addresses for cron outside.

Each is a function over a payload; what it needs of the CRM is in the modules beside this package.
"""

from typing import Final

from jobs.processor import Schedule

from .. import opportunities
from . import mail, notifications, offers, payments, reports, upkeep

__all__ = ["CRONS", "SCHEDULES", "mail", "notifications", "offers", "payments", "reports", "upkeep"]

SCHEDULES: Final = [
    Schedule(
        name="process-opportunities",
        type="process_opportunities",
        cron="0 * * * *",
        description="Offers for the opportunities that wait for one, the most valuable first.",
        overlap="skip",
    ),
    Schedule(
        name="cleanup-old-data",
        type="cleanup_old_data",
        cron="0 0 * * *",
        description="What the CRM and the platform need no longer.",
        payload={"days": 30},
    ),
    Schedule(
        name="update-analytics",
        type="update_analytics",
        cron="15 0 * * *",
        description="The figures of the day before.",
    ),
]

# POST /api/cron/<name>
CRONS: Final = {
    "process-opportunities": opportunities.queue_offers,
    "cleanup-old-jobs": upkeep.queue_cleanup,
}
