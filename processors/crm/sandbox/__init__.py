"""The services that the CRM talks to, simulated: a mail server over real SMTP, a Slack-compatible webhook, and Stripe.

`application` is an ASGI callable, mounted under `/crm/` by `manage.py sandbox`; `start` opens the mail server's own
port. Neither needs a database.
"""

import os

from .service import application
from .smtp import HOST, PostOffice, serve
from .stripe import KEY, WEBHOOK_SECRET

__all__ = ["application", "environment", "start"]

DEMO = 10  # customers of the demo load that Stripe knows


def _smtp_port() -> int:
    return int(os.environ.get("SANDBOX_SMTP_PORT") or 8025)


def environment(url: str) -> dict[str, str]:
    """The settings that send our clients here, when this is mounted at `url`."""
    return {
        "EMAIL_URL": f"smtp://{HOST}:{_smtp_port()}",
        "CRM_WEBHOOKS": f"team={url}/webhook",
        "STRIPE_URL": f"{url}/stripe",
        "STRIPE_API_KEY": KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }


def start() -> PostOffice:
    """Open the mail server's port, in a thread that ends with the process. Stripe gets customers, and our address."""
    application.stripe.add_customers([{"id": f"cus_demo_{n}", "name": f"Customer {n + 1}"} for n in range(DEMO)])
    if port := os.environ.get("PORT"):
        application.stripe.webhook = f"http://{HOST}:{port}/crm/webhook/stripe"
    serve(application.post_office, _smtp_port())
    return application.post_office
