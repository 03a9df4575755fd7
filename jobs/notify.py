"""Telling people: an e-mail, or a message to a webhook in the form that Slack and its likes take.

One try each. Who tries again, and when, is the caller's business: `jobs.alerts` for alerts, a job's
retries for rooms.
"""

from html import escape
from smtplib import SMTPException

import httpx2
from django.core.mail import EmailMessage

MAIL = "mailto:"
TIMEOUT = 10.0  # seconds for a webhook to answer; for mail it is the setting EMAIL_TIMEOUT


class NotDelivered(Exception):
    """The message could not be handed over; says why."""


def send(channel: str, subject: str, text: str) -> None:
    """Deliver to `mailto:somebody@example.com`, or to a webhook's http(s) address. Raises NotDelivered."""
    if channel.startswith(MAIL):
        _mail(channel.removeprefix(MAIL), subject, text)
    else:
        _post(channel, subject, text)


def _mail(address: str, subject: str, text: str) -> None:
    one_line = " ".join(subject.split())  # a line break would be another header
    try:
        EmailMessage(one_line, text, to=[address]).send()
    except (SMTPException, OSError) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error


def _post(url: str, subject: str, text: str) -> None:
    message = escape(f"*{subject}*\n{text}", quote=False)  # as Slack wants &, < and >
    try:
        answer = httpx2.post(url, json={"text": message}, timeout=TIMEOUT)
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:  # the last two: no host can be called so
        raise NotDelivered(f"{type(error).__name__}: {error}") from error
    if not answer.is_success:
        raise NotDelivered(f"the webhook answered {answer.status_code}")
