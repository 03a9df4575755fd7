"""Telling one person or channel something: in the app, by e-mail, by a webhook.

Each is a row, unique for its job. A failed notification fails its own job and nothing else. Mail goes out as the other
mails to customers do, by `mailer`; webhooks are called as alerts call theirs, by `jobs.notify`.
"""

from typing import Final, Literal

from django.conf import settings
from django.db.models.functions import Now
from pydantic import Field

from jobs import notify
from jobs.errors import JobError
from jobs.processor import Discard, JobContext, Payload, Retry, Upstream

from .. import addresses, letters, mailing
from ..declaring import Told, crm_processor
from ..mailer import Deferred, InDoubt, Mailer, Refused
from ..models import Notification, Suppression
from ..telling import ADMINS

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
    to = _address(payload)
    if payload.channel == "email" and addresses.is_suppressed(payload.recipient, marketing=False):
        return Notified(status="suppressed")
    row, _ = Notification.objects.get_or_create(
        job=job.id,
        defaults={
            "channel": payload.channel,
            "recipient": payload.recipient,
            "subject": letters.one_line(payload.subject),
            "body": payload.body,
        },
    )
    if row.status != Notification.Status.SENT and payload.channel == "email":
        _mail(row, to, job)
    elif row.status != Notification.Status.SENT and payload.channel == "webhook":
        _post(row, to)
    Notification.objects.filter(pk=row.pk).exclude(status=Notification.Status.SENT).update(
        status=Notification.Status.SENT, sent_at=Now(), error=""
    )
    return Notified(status=Notification.Status.SENT, notification=row.pk)


def _address(payload: SendNotification) -> str:
    """Where it goes; nowhere for the app, where the row is the message."""
    match payload.channel:
        case "email":
            try:
                return addresses.checked(payload.recipient)
            except addresses.Unreachable as wrong:
                raise Discard(str(wrong)) from None
        case "webhook":
            webhooks = {ADMINS: settings.ALERT_WEBHOOK_URL or None, **settings.CRM_WEBHOOKS}
            if (url := webhooks.get(payload.recipient)) is None:
                raise Discard(f"no webhook {payload.recipient!r} in CRM_WEBHOOKS")
            return str(url)
    return ""


def _mail(row: Notification, address: str, job: JobContext) -> None:
    """Sent again when it is not known whether it arrived: the Message-ID stays the same."""
    try:
        with Mailer() as mailer:
            mailer.send(letters.notice(job.id, address, row.subject, row.body))
    except Deferred as error:
        _failed(row, error)
        raise Retry(str(error), after=mailing.put_off(job)) from error
    except Refused as error:
        _failed(row, error)
        if error.no_mailbox:
            addresses.suppress(address, Suppression.Reason.BOUNCED, str(error))
        raise Discard(str(error)) from error
    except InDoubt as error:
        _failed(row, error)
        raise Retry(f"unconfirmed: {error}") from error
    except JobError as error:  # about the server, which had nothing of it
        _failed(row, error)
        raise


def _post(row: Notification, url: str) -> None:
    upstream = Upstream(f"webhook {row.recipient}", interval=WEBHOOK_INTERVAL)
    upstream.acquire()
    try:
        notify.send(url, row.subject, row.body)
    except notify.NotDelivered as error:
        _failed(row, error)
        if error.permanent:
            raise Discard(str(error)) from error
        upstream.failed()
        if error.after:
            upstream.slow_down(error.after)
        raise Retry(str(error), after=error.after) from error
    upstream.succeeded()


def _failed(row: Notification, error: Exception) -> None:
    Notification.objects.filter(pk=row.pk).update(status=Notification.Status.FAILED, error=str(error))
