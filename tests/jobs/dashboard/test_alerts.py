from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from jobs.models import Alert, AlertRule, Event
from tests.jobs.admin.conftest import told
from tests.jobs.receivers import Inbox

PAGE = "/jobs/alerts"


@pytest.fixture
def rule(db: None) -> AlertRule:
    return AlertRule.objects.create(
        name="Backlog", kind=AlertRule.Kind.BACKLOG, queue="default", threshold=2, emails=["ops@shop.example"]
    )


def post(client: Client, name: str, rule: AlertRule, **form: str) -> list[str]:
    return told(client.post(reverse(f"dashboard:{name}", args=[rule.pk]), form, follow=True))


def test_the_page_shows_what_fires_and_what_ended(operator: Client, rule: AlertRule) -> None:
    Alert.objects.create(rule=rule, subject="default", message="9 jobs wait in default", value=9)
    Alert.objects.create(
        rule=rule, subject="bgg", message="7 waited in bgg", value=7, resolved_at="2026-01-02T03:04:05Z"
    )
    page = operator.get(PAGE).content.decode()
    assert "9 jobs wait in default" in page
    assert "7 waited in bgg" in page
    assert "2026-01-02 03:04:05" in page
    assert "ops@shop.example" in page
    assert "badge-firing" in page


def test_a_webhooks_address_is_not_shown(operator: Client, rule: AlertRule) -> None:
    AlertRule.objects.filter(pk=rule.pk).update(webhook_url="https://hooks.example/services/T0/hush")
    page = operator.get(PAGE).content.decode()
    assert "hooks.example (webhook)" in page
    assert "hush" not in page


def test_silencing_and_ending_it(operator: Client, rule: AlertRule) -> None:
    post(operator, "silence-rule", rule, **{"for": "8h"})
    rule.refresh_from_db()
    assert rule.silenced_until is not None
    assert rule.silenced_by == "ada"
    assert "badge-silenced" in operator.get(PAGE).content.decode()
    post(operator, "unsilence-rule", rule)
    rule.refresh_from_db()
    assert rule.silenced_until is None
    assert Event.objects.filter(subject="alert rule Backlog", actor="ada").count() == 2


def test_a_time_that_is_not_offered_is_refused(operator: Client, rule: AlertRule) -> None:
    assert post(operator, "silence-rule", rule, **{"for": "ever"}) == ["Silence for one of 1h, 8h, 1d, 7d."]
    rule.refresh_from_db()
    assert rule.silenced_until is None


def test_trying_a_rule(operator: Client, rule: AlertRule, inbox: Inbox) -> None:
    assert post(operator, "try-rule", rule) == ["ops@shop.example: sent."]
    assert [message["Subject"] for message in inbox.messages] == ["[Jobyard] Test: Backlog"]


def test_who_may_only_look_sees_no_buttons(as_staff: Callable[..., Client], rule: AlertRule) -> None:
    reader = as_staff("jobs.view_job")
    assert "Silence" not in reader.get(PAGE).content.decode()
    assert reader.post(reverse("dashboard:silence-rule", args=[rule.pk]), {"for": "1h"}).status_code == 403
