"""Each mail once: a row for it is written before the server is asked, and says afterwards what became of it.

Whoever finds a row that says `sending` and was left by a lost run cannot know whether the mail went. Marketing is then
`unconfirmed` and never sent again; what the customer waits for, such as a reminder, is sent again under the same
Message-ID. How a mail is handed over is `mailer`'s business, what it says `letters`'.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import close_old_connections, connection
from django.db.models.functions import Now
from django.utils import timezone

from jobs.errors import Discard, JobError, Retry
from jobs.processor import JobContext

from . import addresses, letters
from .letters import Letter
from .mailer import Deferred, InDoubt, Mailer, Refused
from .models import SentMail, Suppression

LOST_AFTER: Final = timedelta(hours=1)  # no run of a job that sends one mail is that long in sending it
DEFERRED_FOR: Final = timedelta(minutes=5)  # three times as long after each further try: greylists want that
Status = SentMail.Status

# One trip where the ORM, which does not tell what it inserted, needs four: there are thousands of mails.
_INSERT: Final = """
INSERT INTO crm_sentmail
    (key, kind, customer_id, promotion_id, visit_id, address, subject, message_id, status, answer, job, run)
VALUES (%(key)s, %(kind)s, %(customer_id)s, %(promotion_id)s, %(visit_id)s, %(address)s, %(subject)s, %(message_id)s,
    %(status)s, '', %(job)s, %(run)s)
ON CONFLICT DO NOTHING RETURNING id
"""


@dataclass(frozen=True)
class Delivery:
    """What became of a mail.

    `status`: sent, deferred, refused or unconfirmed, as the row has it; or already (sent before), elsewhere (another
    job is sending it), suppressed (its owner wants none) or unreachable (nobody can have this address).
    """

    status: str
    detail: str = ""


def deliver(letter: Letter, mailer: Mailer, job: JobContext) -> Delivery:
    """Send this mail, unless it was sent, or its address is on the list. Errors of the server itself are raised."""
    try:
        address = addresses.checked(letter.customer.email)
    except addresses.Unreachable as wrong:
        return Delivery("unreachable", str(wrong))
    if letter.customer.deleted_at or addresses.is_suppressed(address, marketing=letter.marketing):
        return Delivery("suppressed")
    message = letters.composed(letter, address)
    mail = SentMail(
        key=letter.key,
        kind=letter.kind,
        customer=letter.customer,
        promotion=letter.promotion,
        visit=letter.visit,
        address=address,
        subject=str(message.subject),
        message_id=letter.message_id,
        job=job.id,
        run=job.run,
    )
    if (before := _claim(mail, marketing=letter.marketing)) is not None:
        return before
    if not connection.in_atomic_block:
        close_old_connections()  # many wait for the server at once, and few connections are there for all
    try:
        return _ended(mail, Status.SENT, mailer.send(message))
    except Deferred as error:
        return _ended(mail, Status.DEFERRED, str(error))
    except Refused as error:
        if error.no_mailbox:
            addresses.suppress(address, Suppression.Reason.BOUNCED, str(error))
        return _ended(mail, Status.REFUSED, str(error))
    except InDoubt as error:
        return _ended(mail, Status.UNCONFIRMED, str(error))
    except JobError as error:  # about the server, which had nothing of it
        _ended(mail, Status.DEFERRED, str(error))
        raise


def deliver_or_raise(letter: Letter, job: JobContext) -> Delivery:
    """For a job that is about one mail: what is not delivered and not excused is the job's failure."""
    with Mailer() as mailer:
        delivery = deliver(letter, mailer, job)
    match delivery.status:
        case Status.DEFERRED:
            raise Retry(delivery.detail, after=put_off(job))
        case Status.UNCONFIRMED if not letter.marketing:
            raise Retry(f"unconfirmed: {delivery.detail}")
        case Status.UNCONFIRMED:
            raise Discard(f"It may have arrived or not, and is not sent again: {delivery.detail}")
        case Status.REFUSED | "unreachable":
            raise Discard(delivery.detail)
    return delivery


def put_off(job: JobContext) -> timedelta:
    """How long the mail of this job waits after the server has said: not now."""
    return DEFERRED_FOR * float(3 ** (job.attempt - 1))


def give_up_lost() -> int:
    """Call unconfirmed what nobody is sending any more. Returns how many mails."""
    lost = SentMail.objects.filter(status=Status.SENDING, updated_at__lt=Now() - LOST_AFTER)
    return lost.update(status=Status.UNCONFIRMED, answer="The job that sent it was lost.", updated_at=Now())


def _claim(mail: SentMail, *, marketing: bool) -> Delivery | None:
    """Write the row that makes this mail ours to send. Else what stands in the way."""
    if _insert(mail):
        return None
    row = SentMail.objects.get(key=mail.key)
    mail.pk = row.pk
    ours = row.job == mail.job
    if row.status == Status.SENT:
        return Delivery("already")
    if row.status == Status.SENDING and not ours and timezone.now() - row.updated_at < LOST_AFTER:
        return Delivery("elsewhere")
    same = SentMail.objects.filter(pk=row.pk, status=row.status, job=row.job, run=row.run)
    if marketing and row.status in (Status.SENDING, Status.UNCONFIRMED):
        answer = row.answer or "The worker that sent it was lost."
        same.update(status=Status.UNCONFIRMED, answer=answer, updated_at=Now())
        return Delivery(Status.UNCONFIRMED, answer)
    taken = same.update(
        status=Status.SENDING, job=mail.job, run=mail.run, address=mail.address, answer="", updated_at=Now()
    )
    return None if taken else Delivery("elsewhere")


def _insert(mail: SentMail) -> bool:
    """Whether the row is new. Then it has its number."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, vars(mail))
        if (row := cursor.fetchone()) is not None:
            (mail.pk,) = row
    return row is not None


def _ended(mail: SentMail, status: Status, answer: str) -> Delivery:
    ours = SentMail.objects.filter(pk=mail.pk, status=Status.SENDING, job=mail.job, run=mail.run)
    ours.update(status=status, answer=answer[:1000], updated_at=Now())
    return Delivery(status, answer)
