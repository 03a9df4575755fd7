from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_httpserver import HTTPServer

from jobs import alerts, lifecycle
from jobs.alerts.states import PAUSES, deliver, look
from jobs.models import Alert, AlertRule, Event, Notice, Queue
from tests.jobs.receivers import Inbox, posted
from tests.jobs.rows import claim, ended, new

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule(webhook: str) -> AlertRule:
    """More than two jobs wait in `default`, told by mail and webhook."""
    AlertRule.objects.all().delete()
    return AlertRule.objects.create(
        name="Backlog",
        kind=AlertRule.Kind.BACKLOG,
        queue="default",
        threshold=2,
        emails=["ops@shop.example"],
        webhook_url=webhook,
    )


def pile_up() -> None:
    lifecycle.enqueue([new() for _ in range(3)])


def work_off() -> None:
    for job in claim():
        ended(job)


def subjects(inbox: Inbox) -> list[Any]:
    return [message["Subject"] for message in inbox.messages]


def test_an_alert_begins_and_ends_and_each_is_told_once(
    rule: AlertRule, inbox: Inbox, httpserver: HTTPServer, settings: Settings
) -> None:
    settings.SITE_URL = "https://jobs.shop.example/"
    pile_up()
    for _ in range(3):
        look()
    alert = Alert.objects.get()
    assert (alert.subject, alert.value, alert.resolved_at) == ("default", 3, None)
    assert subjects(inbox) == ["[Jobyard] Alert: Backlog (default)"]
    assert "3 jobs wait in default" in str(inbox.messages[0].get_payload())
    assert "https://jobs.shop.example/jobs/alerts" in str(inbox.messages[0].get_payload())
    work_off()
    for _ in range(3):
        look()
    alert.refresh_from_db()
    assert alert.resolved_at is not None
    assert subjects(inbox)[1:] == ["[Jobyard] Resolved: Backlog (default)"]
    assert [text.split("*")[1] for text in posted(httpserver)] == subjects(inbox)
    assert not Notice.objects.filter(sent_at=None).exists()


def test_a_second_time_is_another_alert(rule: AlertRule, inbox: Inbox) -> None:
    for _ in range(2):
        pile_up()
        look()
        work_off()
        look()
    assert Alert.objects.count() == 2
    assert len(inbox.messages) == 4


def test_a_silenced_rule_is_seen_but_not_told_of(rule: AlertRule, inbox: Inbox, httpserver: HTTPServer) -> None:
    alerts.silence(rule, timezone.now() + timedelta(hours=1), actor="ada")
    pile_up()
    look()
    assert Alert.objects.filter(resolved_at=None).count() == 1
    assert not inbox.messages
    assert not posted(httpserver)
    rule.refresh_from_db()
    alerts.unsilence(rule, actor="ada")
    look()
    assert subjects(inbox) == ["[Jobyard] Alert: Backlog (default)"]
    events = Event.objects.filter(subject="alert rule Backlog").order_by("id")
    assert list(events.values_list("kind", "actor")) == [("silenced", "ada"), ("unsilenced", "ada")]


def test_what_began_and_ended_in_silence_is_never_told(rule: AlertRule, inbox: Inbox) -> None:
    alerts.silence(rule, timezone.now() + timedelta(hours=1), actor="ada")
    pile_up()
    look()
    work_off()
    look()
    AlertRule.objects.update(silenced_until=Now() - timedelta(seconds=1))
    look()
    assert inbox.messages == []


def test_a_rule_that_is_switched_off_ends_its_alerts(rule: AlertRule, inbox: Inbox) -> None:
    pile_up()
    look()
    AlertRule.objects.update(enabled=False)
    look()
    assert not Alert.objects.filter(resolved_at=None).exists()
    assert len(inbox.messages) == 1


def test_a_channel_that_fails_is_tried_again_and_the_other_is_not(
    rule: AlertRule, inbox: Inbox, httpserver: HTTPServer
) -> None:
    inbox.refuses = True
    pile_up()
    look()
    notice = Notice.objects.exclude(error="").get()
    assert "come back later" in notice.error
    assert notice.next_try_at is not None
    assert notice.next_try_at > timezone.now() + timedelta(seconds=PAUSES[0] - 5)
    inbox.refuses = False
    deliver()
    assert inbox.messages == []  # not due yet
    Notice.objects.filter(pk=notice.pk).update(next_try_at=Now())
    deliver()
    assert len(inbox.messages) == 1
    assert len(posted(httpserver)) == 1


def test_a_channel_that_always_fails_is_given_up(rule: AlertRule, inbox: Inbox) -> None:
    inbox.refuses = True
    pile_up()
    look()
    unsent = Notice.objects.exclude(error="")
    for _ in PAUSES:
        unsent.update(next_try_at=Now())
        deliver()
    notice = unsent.get()
    assert (notice.next_try_at, notice.sent_at, notice.tries) == (None, None, len(PAUSES) + 1)


def test_rules_without_addresses_use_the_deployments(rule: AlertRule, inbox: Inbox, settings: Settings) -> None:
    settings.ALERT_EMAILS = ["night@shop.example"]
    AlertRule.objects.update(emails=[], webhook_url="")
    pile_up()
    look()
    assert [message["To"] for message in inbox.messages] == ["night@shop.example"]


def test_trying_a_rule_says_how_each_channel_did(rule: AlertRule, inbox: Inbox, webhook: str) -> None:
    inbox.refuses = True
    answers = alerts.try_channels(rule, actor="ada")
    assert "come back later" in answers["mailto:ops@shop.example"]
    assert answers[webhook] == ""
    after = str(Event.objects.get(kind="tested").after)
    assert " (webhook)': 'sent'" in after
    assert "/hook" not in after  # who knows the path may post


def test_one_wrong_rule_stops_no_other(rule: AlertRule, inbox: Inbox) -> None:
    Queue.objects.filter(name="bgg").delete()
    AlertRule.objects.create(name="A queue that is gone", kind=AlertRule.Kind.BACKLOG, queue="bgg", threshold=0)
    AlertRule.objects.create(name="A kind of a newer release", kind="too-quiet", threshold=0)
    pile_up()
    look()
    assert len(inbox.messages) == 1


def test_alerts_that_ended_long_ago_go_with_their_notices(rule: AlertRule, inbox: Inbox) -> None:
    pile_up()
    look()
    work_off()
    look()
    assert alerts.prune(10) == 0
    Alert.objects.update(resolved_at=Now() - timedelta(days=731))
    alerts.prune(10)
    assert not Alert.objects.exists()
    assert not Notice.objects.exists()
