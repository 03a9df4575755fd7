"""Alerts begin, go on and end; each beginning and end is told once through each channel of its rule."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from jobs.alerts.conditions import readings
from jobs.models import Alert, AlertRule, Event, Notice
from jobs.notify import MAIL, NotDelivered, send
from jobs.sessions import is_away

log = logging.getLogger("jobs.alerts")

PAUSES = (30, 60, 120, 300, 600, 1800, 3600, 3600)  # seconds between tries, then it is given up
CLAIM = 300  # seconds after which a try that was never reported is made again
STALE = timedelta(days=1)  # the end of an alert is not told later than this
KEPT = timedelta(days=730)  # since its end, as long as the numbers of charts


def look() -> None:
    """Bring the alerts of every rule up to date, and tell what is to be told. A rule that fails stops no other."""
    for rule in AlertRule.objects.all():
        try:
            with transaction.atomic():
                evaluate(rule)
        except Exception as error:
            if is_away(error):
                raise
            log.exception("the alert rule %s cannot be looked at", rule)
    announce()
    deliver()


def evaluate(rule: AlertRule) -> None:
    """Open, refresh and resolve the alerts of a rule by what holds now. Of a rule that is off nothing holds."""
    holding = {reading.subject: reading for reading in readings(rule)} if rule.enabled else {}
    with transaction.atomic():
        open_alerts = rule.alerts.filter(resolved_at=None)
        open_alerts.exclude(subject__in=holding).update(resolved_at=Now())
        known = set(open_alerts.values_list("subject", flat=True))
        for subject, reading in holding.items():
            now = {"value": reading.value, "message": reading.message}
            if subject in known:
                open_alerts.filter(subject=subject).update(seen_at=Now(), **now)
            else:
                Alert.objects.bulk_create([Alert(rule=rule, subject=subject, **now)], ignore_conflicts=True)


def announce() -> None:
    """Put down what is to be told through which channel. A silenced rule waits, or is never told of."""
    told = Notice.objects.filter(alert=OuterRef("pk"))
    began, ended = told.filter(about=Notice.About.BEGAN), told.filter(about=Notice.About.RESOLVED)
    loud = Alert.objects.filter(_loud("rule__"), rule__enabled=True).select_related("rule")
    _put_down(loud.filter(~Exists(began), resolved_at=None), Notice.About.BEGAN)
    recent = Q(resolved_at__gt=Now() - STALE)
    _put_down(loud.filter(recent, Exists(began), ~Exists(ended)), Notice.About.RESOLVED)


def _loud(prefix: str = "") -> Q:
    until = f"{prefix}silenced_until"
    return Q(**{f"{until}__isnull": True}) | Q(**{f"{until}__lte": Now()})


def _put_down(alerts: QuerySet[Alert], about: Notice.About) -> None:
    notices = [
        Notice(alert=alert, about=about, channel=channel) for alert in alerts for channel in channels(alert.rule)
    ]
    Notice.objects.bulk_create(notices, ignore_conflicts=True)


def channels(rule: AlertRule) -> list[str]:
    """Where a rule tells: its own addresses and webhook, each else the deployment's."""
    mails: Iterable[str] = rule.emails or settings.ALERT_EMAILS
    webhook = rule.webhook_url or settings.ALERT_WEBHOOK_URL
    return [f"{MAIL}{address}" for address in mails] + ([webhook] if webhook else [])


def deliver() -> None:
    """Send what is due. A try is claimed before it is made, so that two who lead by accident send once."""
    for notice in Notice.objects.filter(next_try_at__lte=Now()).select_related("alert__rule")[:50]:
        row = Notice.objects.filter(pk=notice.pk, tries=notice.tries, next_try_at__isnull=False)
        claim = row.update(tries=F("tries") + 1, next_try_at=Now() + timedelta(seconds=CLAIM))
        if claim:
            _try(notice)


def _try(notice: Notice) -> None:
    row = Notice.objects.filter(pk=notice.pk)
    try:
        send(notice.channel, *_words(notice.alert, notice.about))
    except NotDelivered as error:
        pause = PAUSES[notice.tries] if notice.tries < len(PAUSES) else None
        row.update(error=str(error), next_try_at=None if pause is None else Now() + timedelta(seconds=pause))
    else:
        row.update(error="", next_try_at=None, sent_at=Now())


def _words(alert: Alert, about: str) -> tuple[str, str]:
    """Subject and text."""
    ended = about == Notice.About.RESOLVED
    subject = f"[Jobyard] {'Resolved' if ended else 'Alert'}: {alert.rule.name}" + (
        f" ({alert.subject})" if alert.subject else ""
    )
    since = f"Since {alert.started_at:%Y-%m-%d %H:%M:%S} UTC"
    if alert.resolved_at and ended:
        since += f" until {alert.resolved_at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [alert.message, since + "."]
    if settings.SITE_URL:
        lines.append(f"{settings.SITE_URL.rstrip('/')}/jobs/alerts")
    return subject, "\n".join(lines)


def prune(limit: int) -> int:
    """Delete up to so many alerts that ended long ago, with their notices."""
    old = Alert.objects.filter(resolved_at__lt=Now() - KEPT).order_by("pk").values_list("pk", flat=True)[:limit]
    return Alert.objects.filter(pk__in=list(old)).delete()[0]


def silence(rule: AlertRule, until: datetime, *, actor: str) -> None:
    """Tell nothing of this rule until then."""
    _record(rule, "silenced", actor, silenced_until=until, silenced_by=actor)


def unsilence(rule: AlertRule, *, actor: str) -> None:
    """Undo `silence`."""
    _record(rule, "unsilenced", actor, silenced_until=None, silenced_by="")


def _record(rule: AlertRule, kind: str, actor: str, *, silenced_until: datetime | None, silenced_by: str) -> None:
    before = rule.silenced_until
    with transaction.atomic():
        AlertRule.objects.filter(pk=rule.pk).update(silenced_until=silenced_until, silenced_by=silenced_by)
        Event.objects.create(
            subject=f"alert rule {rule.name}",
            kind=kind,
            actor=actor,
            before={"silenced_until": before and before.isoformat()},
            after={"silenced_until": silenced_until and silenced_until.isoformat()},
        )


def try_channels(rule: AlertRule, *, actor: str) -> dict[str, str]:
    """Send a test message through each channel of a rule now. Returns what went wrong by channel, "" where nothing."""
    answers = {}
    for channel in channels(rule):
        try:
            send(
                channel,
                f"[Jobyard] Test: {rule.name}",
                f"{actor} tried this rule's channels at {timezone.now():%H:%M:%S} UTC.",
            )
            answers[channel] = ""
        except NotDelivered as error:
            answers[channel] = str(error)
    told = {shown(channel): error or "sent" for channel, error in answers.items()}
    Event.objects.create(subject=f"alert rule {rule.name}", kind="tested", actor=actor, after=told)
    return answers


def shown(channel: str) -> str:
    """A channel as people may see it: a webhook's path is its password."""
    return channel.removeprefix(MAIL) if channel.startswith(MAIL) else f"{urlsplit(channel).hostname} (webhook)"
