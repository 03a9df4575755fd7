"""Telling somebody something: each channel, and what its errors mean."""

from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from jobs.models import Failure, Job
from jobs.processor import enqueue
from jobs.testing import perform
from processors.crm import addresses
from processors.crm.models import Notification, Suppression
from tests.processors.crm.conftest import SandboxControl
from tests.processors.crm.rows import result_of

pytestmark = pytest.mark.django_db


def run(channel: str, recipient: str, subject: str = "New offer", body: str = "For <you> & me") -> Job:
    return perform(
        enqueue("send_notification", {"channel": channel, "recipient": recipient, "subject": subject, "body": body})
    )


def error(job: Job) -> str:
    return Failure.objects.filter(job=job).latest("id").message


def test_in_the_app_the_row_is_the_message() -> None:
    job = run("in-app", "ada")
    row = Notification.objects.get()
    assert (job.result, job.priority) == ({"status": "sent", "notification": row.pk}, 8)
    assert (row.recipient, row.subject, row.body, row.read_at, row.status) == (
        "ada",
        "New offer",
        "For <you> & me",
        None,
        "sent",
    )


def test_by_mail(crm: SandboxControl) -> None:
    assert run("email", "grace@bücher.example", subject="Two\r\nlines: here").status == "completed"
    mail = crm.mail()
    assert (mail["to"], mail["headers"]["subject"]) == (["grace@xn--bcher-kva.example"], "Two lines: here")


def test_by_webhook(crm: SandboxControl) -> None:
    assert run("webhook", "team").status == "completed"
    assert crm.received()["messages"] == [{"text": "*New offer*\nFor &lt;you&gt; &amp; me"}]


@pytest.mark.parametrize(("answer", "status"), [(400, "failed"), (403, "failed"), (404, "failed"), (410, "failed")])
def test_a_webhook_that_refuses_is_not_asked_again(crm: SandboxControl, answer: int, status: str) -> None:
    crm.control(webhook=answer)
    job = run("webhook", "team")
    assert (job.status, job.attempt, Notification.objects.get().status) == (status, 1, "failed")
    assert error(job).startswith(f"the webhook answered {answer} ")
    assert crm.url not in error(job)  # its address is a secret


def test_a_webhook_that_is_busy_says_when(crm: SandboxControl) -> None:
    crm.control(webhook=429)
    job = run("webhook", "team")
    delay = job.scheduled_at - Failure.objects.get(job=job).failed_at
    assert job.status == "scheduled"
    assert delay.total_seconds() == pytest.approx(30, abs=10)


def test_a_webhook_in_trouble_is_asked_again(crm: SandboxControl) -> None:
    crm.control(webhook=500)
    job = run("webhook", "team")
    assert (job.status, Notification.objects.get().status) == ("scheduled", "failed")
    crm.control(webhook=200)
    assert perform(job).status == "completed"
    row = Notification.objects.get()
    assert (row.status, row.error) == ("sent", "")


class TestMail:
    """Offers and what payments need go this way: as careful as any mail to a customer."""

    def test_a_greylist_is_given_time(self, crm: SandboxControl) -> None:
        crm.answer("ada@example.com", "451 4.7.1 Greylisted")
        job = run("email", "ada@example.com")
        for minutes in (5, 15):
            failure = Failure.objects.filter(job=job).latest("id")
            assert (job.status, failure.message) == ("scheduled", "451 4.7.1 Greylisted")
            assert (job.scheduled_at - failure.failed_at).total_seconds() == pytest.approx(60 * minutes, abs=60)
            job = perform(job)
        crm.answer("ada@example.com", "")
        assert perform(job).status == "completed"
        assert crm.mail()["headers"]["message-id"] == f"<job.{job.id}@crm.example>"

    def test_a_mailbox_that_there_is_not_is_never_asked_again(self, crm: SandboxControl) -> None:
        crm.answer("ada@example.com", "550 5.1.1 No such user")
        job = run("email", "ada@example.com")
        assert (job.status, job.attempt, error(job)) == ("failed", 1, "550 5.1.1 No such user")
        assert Notification.objects.get().error == "550 5.1.1 No such user"
        assert Suppression.objects.get().reason == "bounced"
        assert result_of(run("email", "ada@example.com"))["status"] == "suppressed"

    def test_one_mailbox_is_not_the_server(self, crm: SandboxControl) -> None:
        for number in range(5):
            assert run("email", f"busy.{number}@example.com").status == "scheduled"
        assert run("email", "ada@example.com").status == "completed"

    def test_a_server_that_refuses_us_costs_one_mail_and_not_all(self, crm: SandboxControl) -> None:
        crm.fail("login")
        job = run("email", "ada@example.com")
        assert (job.status, job.attempt, "EMAIL_URL" in error(job)) == ("failed", 1, True)
        other = run("email", "grace@example.com")  # waits, and uses no attempt
        assert (other.status, other.attempt, crm.received()["total"]) == ("scheduled", 0, 0)

    def test_what_may_have_arrived_is_sent_again_as_the_same(self, crm: SandboxControl) -> None:
        crm.fail("drop-after-data")
        job = run("email", "ada@example.com")
        assert (job.status, perform(job).status) == ("scheduled", "completed")
        first, second = crm.mails()
        assert first["headers"]["message-id"] == second["headers"]["message-id"]


def test_an_address_without_a_mailbox_gets_nothing(crm: SandboxControl) -> None:
    addresses.suppress("ada@example.com", Suppression.Reason.BOUNCED)
    assert result_of(run("email", "ada@example.com"))["status"] == "suppressed"


@pytest.mark.parametrize(
    ("channel", "recipient", "told"),
    [("webhook", "nobody", "no webhook 'nobody' in CRM_WEBHOOKS"), ("email", "ada", "not an e-mail address: 'ada'")],
)
def test_a_recipient_that_there_is_not(channel: str, recipient: str, told: str) -> None:
    job = run(channel, recipient)
    assert (job.status, job.attempt, error(job)) == ("failed", 1, told)


@pytest.mark.parametrize("wrong", [{"channel": "pigeon"}, {"recipient": ""}, {"subject": ""}, {"subject": "x" * 201}])
def test_payloads_are_checked(wrong: dict[str, Any]) -> None:
    payload = {"channel": "in-app", "recipient": "ada", "subject": "Hello"}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        enqueue("send_notification", payload | wrong)


def test_a_server_that_is_not_there(crm: SandboxControl, settings: Settings) -> None:
    settings.CRM_WEBHOOKS = {"team": "http://127.0.0.1:1/"}
    assert run("webhook", "team").status == "scheduled"
    assert connection.is_usable()
