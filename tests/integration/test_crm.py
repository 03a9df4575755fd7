"""The CRM by real workers: a thousand mails, a worker killed among them, five hundred offers, the best first."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from jobs.models import Job, Status
from jobs.processor import enqueue, enqueue_many
from processors.crm.models import Customer, Notification, Opportunity, Promotion, SentMail, Suppression, Visit
from tests.integration.servers import Server, simulated_upstreams
from tests.integration.workers import Start, wait_for, wait_for_end

Record = Callable[[str, object], None]
CUSTOMERS = 1000
SLOTS = 60  # mails under way at once
POOLED: dict[str, Any] = {"JOBYARD_ROLE": "worker-io"}  # as deployed: many threads share a few sessions
SENDER: dict[str, Any] = {"SITE_URL": "https://crm.example", "EMAIL_FROM": "mail@crm.example"}
# Making an offer takes as long as this, wherever it is made.
SLOW_OFFERS = """
CREATE FUNCTION slow_offer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$;
CREATE TRIGGER slow_offer BEFORE UPDATE ON crm_opportunity FOR EACH ROW EXECUTE FUNCTION slow_offer();
"""


@pytest.fixture(autouse=True)
def _rows(db: None) -> Iterator[None]:
    _clear()
    yield
    _clear()


def _clear() -> None:
    for model in (SentMail, Notification, Suppression, Visit, Opportunity, Promotion, Customer):
        model.objects.all().delete()


@pytest.fixture
def sandbox(tmp_path: Path, _rows: None) -> Iterator[tuple[Server, dict[str, Any]]]:
    server, environment = simulated_upstreams(tmp_path / "sandbox.log")
    yield server.wait_until_up(), environment
    server.process.kill()
    server.process.wait()


def received(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = httpx2.get(f"{server.url}/crm/_received", timeout=30).json()
    return answer


def customers(number: int) -> None:
    Promotion.objects.create(id="spring", name="Spring", subject="Spring", text="Clean windows.")
    Customer.objects.bulk_create(
        Customer(id=f"c{n}", name=f"Customer {n}", email=f"c{n}@example.com") for n in range(number)
    )


def seconds(job: Job) -> float:
    assert job.finished_at
    assert job.started_at
    return (job.finished_at - job.started_at).total_seconds()


def test_each_job_type_runs_in_a_worker(start: Start, sandbox: tuple[Server, dict[str, Any]]) -> None:
    server, environment = sandbox
    customers(3)
    Customer.objects.filter(id="c2").update(email="nobody@example.com")  # the mail server knows no such mailbox
    Opportunity.objects.create(id="7", customer_id="c0", title="Windows", estimated_value=100)
    Opportunity.objects.create(id="8", customer_id="c0", title="Windows", estimated_value=100)
    tomorrow = timezone.now() + timedelta(days=1)
    Visit.objects.create(id="booked", customer_id="c0", service="Windows", starts_at=tomorrow)
    Visit.objects.create(id="done", customer_id="c0", service="Windows", starts_at=timezone.now(), status="done")
    start("threads", 4, "crm", **environment, **SENDER)
    jobs = enqueue_many(
        [
            ("send_promotion", {"customerId": "c0", "promotionId": "spring"}),
            ("send_promotion", {"customerId": "c2", "promotionId": "spring"}),
            ("send_review_request", {"customerId": "c0", "visitId": "done"}),
            ("send_reminder", {"customerId": "c0", "visitId": "booked"}),
            ("send_notification", {"channel": "webhook", "recipient": "team", "subject": "Hello"}),
            ("process_opportunity_offer", {"opportunityId": "7"}),
            ("process_opportunities", {"limit": 1}),
            ("cleanup_old_data", {"days": 30}),
            ("update_analytics", {}),
        ]
    )
    wait_for_end()
    ended = Job.objects.in_bulk([job.id for job in jobs])
    failed = [number for number, job in enumerate(jobs) if ended[job.id].status != Status.COMPLETED]
    assert failed == [1]
    assert ended[jobs[1].id].failures.get().message.startswith("550 5.1.1 ")
    told = received(server)
    subjects = sorted(dict(mail["headers"])["Subject"] for mail in told["mails"])
    assert subjects.count("Our offer: Windows") == Opportunity.objects.filter(status="offered").count() > 0
    assert {"Spring", "How was your Windows?", "Your appointment: Windows"} < set(subjects)
    assert told["messages"] == [{"text": "*Hello*\n"}]


def test_a_thousand_mails_of_half_a_second(
    start: Start, sandbox: tuple[Server, dict[str, Any]], record_property: Record
) -> None:
    server, environment = sandbox
    httpx2.post(f"{server.url}/crm/_control", json={"latency_ms": 500}).raise_for_status()
    customers(CUSTOMERS)
    start("threads", 4, "crm", **environment, **SENDER, **POOLED)
    job = enqueue("send_promotions", {"promotionId": "spring", "batchSize": SLOTS})
    wait_for_end([job.id])
    ended = Job.objects.get(id=job.id)
    assert (ended.status, ended.result and ended.result["counts"]) == (Status.COMPLETED, {"sent": CUSTOMERS})
    told = received(server)
    record_property("seconds", seconds(ended))
    assert (told["total"], told["recipients"], told["twice"]) == (CUSTOMERS, CUSTOMERS, [])
    assert told["busiest"] <= SLOTS


def test_a_worker_killed_half_way_sends_nothing_twice(start: Start, sandbox: tuple[Server, dict[str, Any]]) -> None:
    server, environment = sandbox
    httpx2.post(f"{server.url}/crm/_control", json={"latency_ms": 300}).raise_for_status()
    customers(200)
    worker = start("threads", 4, "crm", **environment, **SENDER, JOBS_LEASE="3")
    job = enqueue("send_promotions", {"promotionId": "spring", "batchSize": 20})
    wait_for(lambda: received(server)["total"] >= 100, "half of the mails")
    worker.kill()
    start("threads", 4, "crm", **environment, **SENDER, JOBS_LEASE="3")
    wait_for_end([job.id])
    ended = Job.objects.get(id=job.id)
    assert ended.status == Status.COMPLETED
    result = ended.result or {}
    counts, told = result["counts"], received(server)
    assert told["twice"] == []
    unconfirmed = set(SentMail.objects.filter(status="unconfirmed").values_list("customer_id", flat=True))
    assert set(result["unconfirmed"]) == unconfirmed
    assert 0 < len(unconfirmed) <= 20
    assert counts["unconfirmed"] + counts.get("sent", 0) + counts.get("already", 0) == 200
    sent = SentMail.objects.filter(status="sent").count()
    assert sent == 200 - len(unconfirmed)
    assert sent <= told["recipients"] <= 200


@pytest.fixture
def slow_offers(db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(SLOW_OFFERS)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION slow_offer CASCADE")


def test_five_hundred_offers_by_the_cron_the_best_first(
    start: Start, slow_offers: None, client: Client, settings: Settings, record_property: Record
) -> None:
    settings.CRON_SECRET = "a secret"
    customers(1)
    Customer.objects.create(id="vip", name="Vip", email="vip@example.com", tier="vip")
    Opportunity.objects.bulk_create(
        Opportunity(id=str(n), customer_id="vip" if n % 50 == 0 else "c0", title=f"No. {n}", estimated_value=n + 1)
        for n in range(500)
    )
    slots = 24
    for _ in range(2):
        start("threads", slots // 2, "crm", **POOLED, EMAIL_URL="dummymail://")
    began = time.monotonic()
    answer = client.post("/api/cron/process-opportunities", headers={"authorization": "Bearer a secret"})
    assert answer.json() == {"success": True, "queued": 500}
    offers = Job.objects.filter(type="process_opportunity_offer")
    wait_for(lambda: not offers.active().exists(), "the end of 500 offers")
    took = time.monotonic() - began
    record_property("seconds", took)
    assert offers.filter(status="completed").count() == 500
    assert Opportunity.objects.filter(status="offered").count() == 500
    assert Opportunity.objects.get(id="99").offer == Decimal("100.00")
    order = list(offers.order_by("started_at").values_list("priority", flat=True))
    vip = {index for index, priority in enumerate(order) if priority == max(order)}
    assert len(vip) == 10
    assert max(vip) < 2 * slots  # no other was taken before them, but those that were claimed with them
