"""Who is told what of analyses, each message a job of its own: the owner of the paper, and the admins.

`send_notification` is a job type of another room, known here by its name only; where it is not installed, nobody is
told and the log says so.
"""

import logging
from collections.abc import Iterable
from typing import Final

from django.conf import settings
from django.urls import reverse

from jobs.errors import UnknownProcessor
from jobs.processor import JobContext

from .failures import Failure
from .models import Analysis, Paper

log = logging.getLogger(__name__)

ADMINS: Final = "admins"  # who reads in the app what no address is known for
LONGEST: Final = 150  # characters of a title in a subject


def ended(job: JobContext, paper: Paper, analyses: Iterable[Analysis]) -> None:
    """Tell the owner of a paper how its analyses ended."""
    if paper.owner is None:
        return
    analyses = list(analyses)
    done = sum(analysis.status == Analysis.Status.DONE for analysis in analyses)
    how = "completed" if done == len(analyses) else "partly completed" if done else "not completed"
    subject = f"Analysis {how}: {paper.title[:LONGEST]}"
    lines = [f"{row.provider}: {row.error or row.get_status_display()}" for row in analyses]
    body = "\n".join([paper.title, "", *lines, *_link(paper)])
    _send(job, "in-app", paper.owner.get_username(), subject, body)
    if paper.owner.email:
        _send(job, "email", paper.owner.email, subject, body)


def switched_off(job: JobContext, provider: str, failure: Failure) -> None:
    """Tell the admins that a provider is not asked for a while, and why."""
    minutes = round(settings.AI_OFF_FOR / 60)
    body = f"{failure.message}\n\nIt is asked again in {minutes} minutes. Analyses by others go on. Job {job.id}."
    _tell_admins(job, f"{provider} is switched off: {failure.kind.label.lower()}", body)


def failing(job: JobContext, analysis: Analysis) -> None:
    """Tell the admins that a provider failed until no attempt was left."""
    what = analysis.get_error_class_display().lower()
    _tell_admins(job, f"{analysis.provider} keeps failing: {what}", f"{analysis.error}\n\nJob {job.id}.")


def _tell_admins(job: JobContext, subject: str, body: str) -> None:
    for address in settings.ALERT_EMAILS:
        _send(job, "email", address, subject, body)
    if not settings.ALERT_EMAILS:
        _send(job, "in-app", ADMINS, subject, body)


def _link(paper: Paper) -> list[str]:
    return (
        ["", f"{settings.SITE_URL.rstrip('/')}{reverse('papers:paper', args=[paper.pk])}"] if settings.SITE_URL else []
    )


def _send(job: JobContext, channel: str, recipient: str, subject: str, body: str) -> None:
    message = {"channel": channel, "recipient": recipient, "subject": subject[:200], "body": body}
    try:
        job.enqueue_child("send_notification", message)
    except UnknownProcessor:
        log.warning("nobody was told, there is no job type send_notification: %s", subject)
