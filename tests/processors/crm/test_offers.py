"""From opportunities to offers: by the cron's address, by the job that beat enqueues, and the offer itself."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from pytest_django.asserts import assertNumQueries

from jobs.models import Job
from jobs.processor import enqueue, enqueue_many
from jobs.testing import assert_enqueued, drain, perform
from processors.crm import addresses, opportunities
from processors.crm.models import Opportunity, Suppression
from processors.crm.priority import calculate_priority
from tests.processors.crm.conftest import SandboxControl
from tests.processors.crm.rows import customer, opportunity, result_of

pytestmark = pytest.mark.django_db

PATH = "/api/cron/process-opportunities"


def call(client: Client, path: str = PATH, secret: str | None = "a secret") -> Any:  # noqa: S107
    headers = {"authorization": f"Bearer {secret}"} if secret is not None else {}
    return client.post(path, headers=headers)


class TestCron:
    @pytest.fixture(autouse=True)
    def _secret(self, settings: Settings) -> None:
        settings.CRON_SECRET = "a secret"

    def test_queues_what_waits(self, client: Client) -> None:
        for status in Opportunity.Status.values:
            opportunity(status, status=status)
        answer = call(client)
        assert (answer.status_code, answer.json()) == (200, {"success": True, "queued": 3})
        queued = assert_enqueued("process_opportunity_offer", count=3)
        assert {job.payload["opportunityId"] for job in queued} == {"new", "qualified", "proposal"}
        assert {(job.max_attempts, job.queue) for job in queued} == {(4, "crm")}

    def test_the_most_valuable_first_and_no_more_than_asked(self) -> None:
        for value in (10, 30, 20):
            opportunity(str(value), value=value)
        assert opportunities.queue_offers(limit=2) == {"queued": 2}
        jobs = assert_enqueued("process_opportunity_offer", count=2)
        assert {job.payload["opportunityId"] for job in jobs} == {"30", "20"}

    def test_an_opportunity_with_an_active_job_is_not_queued_twice(self, client: Client) -> None:
        opportunity("1")
        assert call(client).json()["queued"] == 1
        opportunity("2")
        assert call(client).json()["queued"] == 1
        assert_enqueued("process_opportunity_offer", count=2)

    def test_priority_is_by_urgency_tier_and_value(self, client: Client) -> None:
        vip = customer("vip", tier="vip")
        opportunity("1", vip, value=15_000, due_at=timezone.now() + timedelta(hours=3))
        opportunity("2", vip, value=100)
        opportunity("3", customer("standard"), value=100, due_at=timezone.now() + timedelta(days=10))
        call(client)
        jobs = {job.payload["opportunityId"]: job.priority for job in Job.objects.all()}
        assert jobs == {"1": 10, "2": 6, "3": 5}

    def test_those_whom_no_mail_reaches_are_in_nobodys_way(self) -> None:
        addresses.suppress("gone@example.com", Suppression.Reason.BOUNCED)
        addresses.suppress("quiet@example.com", Suppression.Reason.UNSUBSCRIBED)
        for name in ("", "Gone@example.com", "quiet@example.com"):
            opportunity(name or "none", customer(name or "none", email=name))
        assert [row.pk for row in opportunities.waiting(500)] == ["quiet@example.com"]

    def test_one_query_reads_what_is_needed(self) -> None:
        for number in range(5):
            opportunity(str(number), customer(f"customer-{number}"))
        with assertNumQueries(1):
            rows = list(opportunities.waiting(500))
            assert all(opportunities.priority_of(row) for row in rows)

    @pytest.mark.parametrize("secret", [None, "", "wrong", "a secre", "a secret "])
    def test_a_wrong_secret_is_refused(self, client: Client, secret: str | None) -> None:
        opportunity()
        answer = call(client, secret=secret)
        assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
        assert answer.json()["detail"] == "The cron secret is missing or wrong."
        assert not Job.objects.exists()

    def test_without_a_secret_nobody_gets_in(self, client: Client, settings: Settings) -> None:
        settings.CRON_SECRET = ""
        assert call(client, secret="").status_code == 401

    def test_a_cron_that_there_is_not(self, client: Client) -> None:
        assert call(client, "/api/cron/nothing").status_code == 404

    def test_a_get_does_nothing(self, client: Client) -> None:
        assert client.get(PATH, headers={"authorization": "Bearer a secret"}).status_code == 405

    def test_cleanup(self, client: Client) -> None:
        answer = call(client, "/api/cron/cleanup-old-jobs")
        assert (answer.status_code, answer.json()) == (200, {"success": True, "deleted": 0})
        assert call(client, "/api/cron/cleanup-old-jobs").status_code == 200
        (job,) = assert_enqueued("cleanup_old_data", {"days": 30}, count=1)
        assert (job.priority, job.max_attempts) == (3, 3)


class TestOffer:
    def test_is_computed_moved_on_and_mailed(self, crm: SandboxControl) -> None:
        opportunity("7", customer(tier="vip"), value=12_000)
        job = perform(enqueue("process_opportunity_offer", {"opportunityId": "7"}))
        row = Opportunity.objects.get()
        assert (row.status, row.offer) == ("offered", Decimal("10800.00"))
        assert row.offered_at
        assert row.offer_ends_at == row.offered_at + timedelta(days=30)
        (mail,) = assert_enqueued("send_notification", {"recipient": "customer-123@example.com", "channel": "email"})
        assert (mail.parent, mail.priority) == (job.id, 9)
        assert job.result == {"status": "offered", "offer": "10800.00", "mail": str(mail.id), "skipped": ""}
        assert perform(mail).status == "completed"
        received = crm.mail()
        assert received["headers"]["subject"] == "Our offer: Windows of a shop"
        assert "10,800.00" in received["text"]

    @pytest.mark.parametrize(("tier", "offer"), [("standard", "1000.00"), ("premium", "950.00"), ("vip", "900.00")])
    def test_depends_on_the_tier(self, tier: str, offer: str) -> None:
        assert opportunities.offer_for(opportunity("7", customer(tier=tier))) == Decimal(offer)

    def test_is_made_once(self) -> None:
        opportunity()
        enqueue_many([("process_opportunity_offer", {"opportunityId": 7})] * 2)
        drain("crm")
        results = [
            result_of(job)["skipped"] for job in Job.objects.filter(type="process_opportunity_offer").order_by("id")
        ]
        assert results == ["", "is offered"]
        assert Job.objects.filter(type="send_notification").count() == 1

    @pytest.mark.parametrize("address", ["", "not an address", "Gone@example.com"])
    def test_without_an_address_that_takes_mail_it_stays_open(self, address: str) -> None:
        addresses.suppress("gone@example.com", Suppression.Reason.BOUNCED)
        opportunity("7", customer(email=address))
        job = perform(enqueue("process_opportunity_offer", {"opportunityId": "7"}))
        assert result_of(job)["skipped"] == "the customer cannot be written to"
        assert Opportunity.objects.get().status == "new"

    @pytest.mark.parametrize("value", [0, None])
    def test_what_cannot_be_offered_fails_for_good(self, value: int | None) -> None:
        if value is not None:
            opportunity("7", value=value)
        job = perform(enqueue("process_opportunity_offer", {"opportunityId": "7"}))
        assert (job.status, job.attempt) == ("failed", 1)

    def test_the_hourly_job_does_as_the_cron(self) -> None:
        opportunity()
        assert perform(enqueue("process_opportunities")).result == {"queued": 1}
        assert perform(enqueue("process_opportunities", {"limit": 1})).result == {"queued": 0}


def test_a_bulk_change_of_status_is_one_update() -> None:
    for number in range(3):
        opportunity(str(number))
    with assertNumQueries(1):
        assert opportunities.set_status(["0", "1"], Opportunity.Status.WON) == 2
    assert opportunities.set_status(["0", "1", "2"], Opportunity.Status.WON) == 1
    assert Opportunity.objects.filter(closed_at__isnull=False).count() == 3
    opportunities.set_status(["2"], Opportunity.Status.QUALIFIED)
    assert Opportunity.objects.get(pk="2").closed_at is None


def test_many_jobs_with_a_priority_each() -> None:
    rows = [opportunity(str(n), value=n * 6000) for n in range(3)]
    jobs = enqueue_many(
        (
            "process_opportunity_offer",
            {"opportunityId": row.pk},
            {"priority": calculate_priority(value=float(row.estimated_value))},
        )
        for row in rows
    )
    assert [Job.objects.get(id=job.id).priority for job in jobs] == [5, 7, 8]
