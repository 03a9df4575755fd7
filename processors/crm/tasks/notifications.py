"""Telling one person or channel something: in the app, by e-mail, by a webhook.

Each is a row, unique for its job. A failed notification fails its own job and nothing else.
"""

from typing import Final, Literal

from django.conf import settings
from django.db.models.functions import Now
from pydantic import Field

from jobs import notify
from jobs.processor import Discard, JobContext, Payload, Retry, Upstream

from .. import addresses
from ..declaring import Told, crm_processor
from ..letters import one_line
from ..models import Notification

WEBHOOK_INTERVAL: Final = 1.0  # seconds between two messages to one webhook: Slack takes no more


class SendNotification(Payload):
    recipient: str = Field(
        min_length=1, max_length=320, description="A user's name, an address, or a webhook's name in CRM_WEBHOOKS."
    )
    channel: Literal["in-app", "email", "webhook"]
    subject: str = Field(min_length=1, max_length=200)
    body: str = Field("", max_length=20_000)


class Notified(Told):
    status: str  # sent, or suppressed
    notification: int | None = None


@crm_processor(priority="high")
def send_notification(payload: SendNotification, job: JobContext) -> Notified:
    """Tell somebody something, once."""
    channel = _channel(payload)
    if payload.channel == "email" and addresses.is_suppressed(payload.recipient, marketing=False):
        return Notified(status="suppressed")
    row, _ = Notification.objects.get_or_create(
        job=job.id,
        defaults={
            "channel": payload.channel,
            "recipient": payload.recipient,
            "subject": one_line(payload.subject),
            "body": payload.body,
        },
    )
    if row.status != Notification.Status.SENT and channel:
        _tell(row, channel)
    Notification.objects.filter(pk=row.pk).exclude(status=Notification.Status.SENT).update(
        status=Notification.Status.SENT, sent_at=Now(), error=""
    )
    return Notified(status=Notification.Status.SENT, notification=row.pk)


def _channel(payload: SendNotification) -> str:
    """Where `jobs.notify` sends it; nowhere for the app, where the row is the message."""
    match payload.channel:
        case "email":
            try:
                return notify.MAIL + addresses.checked(payload.recipient)
            except addresses.Unreachable as wrong:
                raise Discard(str(wrong)) from None
        case "webhook":
            if (url := settings.CRM_WEBHOOKS.get(payload.recipient)) is None:
                raise Discard(f"no webhook {payload.recipient!r} in CRM_WEBHOOKS")
            return str(url)
    return ""


def _tell(row: Notification, channel: str) -> None:
    webhook = row.channel == Notification.Channel.WEBHOOK
    upstream = Upstream(f"webhook {row.recipient}" if webhook else "smtp", interval=WEBHOOK_INTERVAL if webhook else 0)
    upstream.acquire()
    try:
        notify.send(channel, row.subject, row.body)
    except notify.NotDelivered as error:
        Notification.objects.filter(pk=row.pk).update(status=Notification.Status.FAILED, error=str(error))
        if error.permanent:
            raise Discard(str(error)) from error
        upstream.failed()
        if error.after:
            upstream.slow_down(error.after)
        raise Retry(str(error), after=error.after) from error
    upstream.succeeded()
