"""The CRM by real workers: what each job type comes to, a worker killed among mails, and who is served first."""

import os
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from jobs import lifecycle
from jobs.models import Failure, Job, Status
from jobs.processor import Backoff, enqueue, enqueue_many
from processors.crm.models import (
    Customer,
    CustomerChange,
    DailyAnalytics,
    Invoice,
    Notification,
    Opportunity,
    Payment,
    Promotion,
    Report,
    ReportFile,
    SentMail,
    StripeEvent,
    Suppression,
    Visit,
)
from tests.integration.servers import Server
from tests.integration.workers import Start, wait_for, wait_for_end

MAILS = int(os.environ.get("CRM_MAILS", "100"))  # that a worker is killed among
AT_ONCE = max(10, MAILS // 20)
SENDER: dict[str, Any] = {"SITE_URL": "https://crm.example", "EMAIL_FROM": "mail@crm.example"}
# Making an offer takes as long as this, wherever it is made.
SLOW_OFFERS = """
CREATE FUNCTION slow_offer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
CREATE TRIGGER slow_offer BEFORE UPDATE ON crm_opportunity FOR EACH ROW EXECUTE FUNCTION slow_offer();
"""


@pytest.fixture(autouse=True)
def _rows(db: None) -> Iterator[None]:
    _clear()
    yield
    _clear()


def _clear() -> None:
    sold = (SentMail, Notification, Suppression, Visit, Opportunity, Promotion)
    charged = (ReportFile, Report, DailyAnalytics, StripeEvent, Payment, Invoice, CustomerChange, Customer)
    for model in (*sold, *charged):
        model.objects.all().delete()


@pytest.fixture
def sandbox(upstreams: tuple[Server, Any], _rows: None) -> tuple[Server, dict[str, Any]]:
    """Without faults and without a past."""
    server, environment = upstreams
    for part in ("crm", "crm/stripe"):
        httpx2.delete(f"{server.url}/{part}/_received", timeout=30).raise_for_status()
    return server, environment


def control(server: Server, part: str = "crm", **wanted: Any) -> None:
    httpx2.post(f"{server.url}/{part}/_control", json=wanted, timeout=30).raise_for_status()


def received(server: Server, part: str = "crm") -> dict[str, Any]:
    answer: dict[str, Any] = httpx2.get(f"{server.url}/{part}/_received", timeout=30).json()
    return answer


def customers(number: int) -> None:
    Promotion.objects.create(id="spring", name="Spring", subject="Spring", text="Clean windows.")
    Customer.objects.bulk_create(
        Customer(id=f"c{n}", name=f"Customer {n}", email=f"c{n}@example.com") for n in range(number)
    )


# What a job is asked for, its status when it has run, and how the error begins. What is put off is `scheduled`.
LATER, NEVER, DONE = Status.SCHEDULED, Status.FAILED, Status.COMPLETED
CASES: list[tuple[str, dict[str, Any], Status, str]] = [
    ("send_promotion", {"customerId": "c0", "promotionId": "spring"}, DONE, ""),
    ("send_promotion", {"customerId": "nobody", "promotionId": "spring"}, NEVER, "550 5.1.1 "),
    ("send_promotion", {"customerId": "blocked", "promotionId": "spring"}, NEVER, "550 5.7.1 "),
    ("send_promotion", {"customerId": "greylisted", "promotionId": "spring"}, LATER, "451 4.7.1 "),
    ("send_promotion", {"customerId": "lost", "promotionId": "spring"}, NEVER, "no customer lost"),
    ("send_promotions", {"promotionId": "spring", "segment": "none"}, NEVER, "no segment none"),
    ("send_review_request", {"customerId": "c0", "visitId": "done"}, DONE, ""),
    ("send_review_request", {"customerId": "c0", "visitId": "booked"}, NEVER, "the visit booked is booked, not done"),
    ("send_reminder", {"customerId": "c0", "visitId": "booked"}, DONE, ""),
    ("send_reminder", {"customerId": "full", "visitId": "next"}, LATER, "452 4.2.2 "),
    ("send_reminder", {"customerId": "c0", "visitId": "next"}, NEVER, "customer c0 has no visit next"),
    ("process_opportunity_offer", {"opportunityId": "7"}, DONE, ""),
    ("process_opportunity_offer", {"opportunityId": "8"}, NEVER, "no opportunity 8"),
    ("process_opportunities", {"limit": 1}, DONE, ""),
    ("send_notification", {"channel": "email", "recipient": "busy@x.example", "subject": "Hello"}, LATER, "450 4.2.1 "),
    ("send_notification", {"channel": "webhook", "recipient": "team", "subject": "Hello"}, DONE, ""),
    (
        "send_notification",
        {"channel": "webhook", "recipient": "gone", "subject": "Hi"},
        NEVER,
        "the webhook answered 404",
    ),
    ("send_notification", {"channel": "webhook", "recipient": "away", "subject": "Hi"}, LATER, "ConnectError"),
    ("process_payment", {"invoiceId": "visa"}, DONE, ""),
    ("process_payment", {"invoiceId": "declined"}, NEVER, "Your card was declined."),
    ("process_payment", {"invoiceId": "none"}, NEVER, ""),
    ("sync_customer_data", {}, DONE, ""),
    ("generate_report", {"kind": "revenue"}, DONE, ""),
    ("cleanup_old_data", {"days": 30}, DONE, ""),
    ("update_analytics", {}, DONE, ""),
]
# What the mail server does, what then becomes of a job that sends a mail, and what it says. A refusal of us comes last:
# all that would send wait then.
MAIL_SERVER = (
    ("421", LATER, "421 4.3.2 "),
    ("drop", LATER, ""),
    ("try-later", LATER, "451 4.3.0 "),
    ("sender-later", LATER, "451 4.1.8 "),
    ("spam", NEVER, "554 5.7.1 "),
    ("drop-after-data", NEVER, "may have arrived"),
    ("login", NEVER, "EMAIL_URL"),
)


def test_what_each_job_type_comes_to(start: Start, sandbox: tuple[Server, dict[str, Any]], tmp_path: Any) -> None:
    server, environment = sandbox
    customers(1)
    for name in ("nobody", "blocked", "greylisted", "full"):  # the mail server answers each by name
        Customer.objects.create(id=name, name=name, email=f"{name}@x.example")
    tomorrow = timezone.now() + timedelta(days=1)
    for key, owner, status, at in (
        ("booked", "c0", "booked", tomorrow),
        ("next", "full", "booked", tomorrow),
        ("done", "c0", "done", timezone.now()),
    ):
        Visit.objects.create(id=key, customer_id=owner, service="Windows", starts_at=at, status=status)
    Opportunity.objects.create(id="7", customer_id="c0", title="Windows", estimated_value=100)
    for name, method in (("visa", "pm_card_visa"), ("declined", "pm_card_chargeDeclined")):
        charged = Customer.objects.create(id=name, name=name, stripe_id=f"cus_{name}", payment_method=method)
        Invoice.objects.create(id=name, customer=charged, number=name, amount=5000)
    control(server, "crm/stripe", customers=[{"id": "cus_visa", "name": "Visa"}, {"id": "cus_declined", "name": "No"}])
    webhooks = f"{environment['CRM_WEBHOOKS']},gone={server.url}/crm/nothing,away=http://127.0.0.1:1/"
    once = {"backoff": Backoff(base=300, jitter=False)}  # within this test
    jobs = enqueue_many((type_, payload, once) for type_, payload, _, _ in CASES)
    start("threads", 4, "crm,reports", **environment | SENDER | {"CRM_WEBHOOKS": webhooks, "MEDIA_ROOT": str(tmp_path)})
    asked = Job.objects.filter(id__in=[job.id for job in jobs])
    wait_for(lambda: not asked.filter(status__in=[Status.PENDING, Status.PROCESSING]).exists(), "a run of each")
    rows = asked.in_bulk()
    for job, (type_, payload, status, told) in zip(jobs, CASES, strict=True):
        failure = Failure.objects.filter(job=job.id).first()
        found = (rows[job.id].status, failure.message if failure else "")
        assert (found[0], found[1][: len(told)]) == (status, told), f"{type_} {payload}: {found}"
    assert Suppression.objects.get().address == "nobody@x.example"
    mails = [job for job in rows.values() if job.status == LATER and job.payload.get("recipient") != "away"]
    assert [job.scheduled_at - timezone.now() > timedelta(minutes=3) for job in mails] == [True] * 3
    lifecycle.run_now([job.id for job in mails if job.payload.get("customerId") == "greylisted"], actor="ada")
    wait_for(
        lambda: SentMail.objects.filter(customer="greylisted", status="sent").exists(), "the greylist's second try"
    )
    wait_for(lambda: Opportunity.objects.get().status == "offered", "the offer")
    wait_for(lambda: "Our offer: Windows" in subjects(server), "its mail")
    assert subjects(server) == [
        "How was your Windows?",
        "Our offer: Windows",
        "Spring",
        "Spring",
        "Your appointment: Windows",
    ]
    assert received(server)["messages"] == [{"text": "*Hello*\n"}]
    assert received(server, "crm/stripe")["charges"] == {"cus_visa": 1}
    for fault, status, told in MAIL_SERVER:
        a_mail_meets(server, fault, status, told)


def a_mail_meets(server: Server, fault: str, status: Status, told: str) -> None:
    """A promotion to a customer of its own, while the mail server does this."""
    Customer.objects.create(id=fault, name=fault, email=f"{fault}@example.com")
    control(server, fault=fault, count=1)
    backoff = Backoff(base=300, jitter=False)
    job = enqueue("send_promotion", {"customerId": fault, "promotionId": "spring"}, backoff=backoff)
    left = Job.objects.filter(id=job.id, status__in=[Status.PENDING, Status.PROCESSING])
    wait_for(lambda: not left.exists(), f"the mail that meets {fault}")
    failure = Failure.objects.filter(job=job.id).first()
    found = Job.objects.get(id=job.id).status, failure.message if failure else ""
    assert (found[0], told in found[1]) == (status, True), f"{fault}: {found}"


def subjects(server: Server) -> list[str]:
    return sorted(dict(mail["headers"])["Subject"] for mail in received(server)["mails"])


def test_a_worker_killed_half_way_sends_nothing_twice(start: Start, sandbox: tuple[Server, dict[str, Any]]) -> None:
    server, environment = sandbox
    control(server, latency_ms=300)
    customers(MAILS)
    worker = start("threads", 4, "crm", **environment, **SENDER, JOBS_LEASE="3")
    job = enqueue("send_promotions", {"promotionId": "spring", "batchSize": AT_ONCE})
    wait_for(lambda: received(server)["total"] >= MAILS // 2, "half of the mails")
    worker.kill()
    start("threads", 4, "crm", **environment, **SENDER, JOBS_LEASE="3")
    wait_for_end([job.id])
    ended = Job.objects.get(id=job.id)
    assert ended.status == Status.COMPLETED
    result = ended.result or {}
    counts, told = result["counts"], received(server)
    assert (told["twice"], told["busiest"]) == ([], AT_ONCE)
    unconfirmed = set(SentMail.objects.filter(status="unconfirmed").values_list("customer_id", flat=True))
    assert set(result["unconfirmed"]) == unconfirmed
    assert 0 < len(unconfirmed) <= AT_ONCE
    assert counts["unconfirmed"] + counts.get("sent", 0) + counts.get("already", 0) == MAILS
    sent = SentMail.objects.filter(status="sent").count()
    assert sent == MAILS - len(unconfirmed)
    assert sent <= told["recipients"] <= MAILS


@pytest.fixture
def slow_offers(db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(SLOW_OFFERS)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION slow_offer CASCADE")


def test_the_best_offers_first_and_a_vip_before_all_that_wait(
    start: Start, slow_offers: None, client: Client, settings: Settings
) -> None:
    settings.CRON_SECRET = "a secret"
    customers(1)
    Customer.objects.create(id="vip", name="Vip", email="vip@example.com", tier="vip")
    values = range(40, 0, -1)
    Opportunity.objects.bulk_create(
        Opportunity(id=str(value), customer_id="c0", title=f"No. {value}", estimated_value=value)
        for value in sorted(values, key=lambda value: value % 7)
    )

    def call(queued: int) -> None:
        answer = client.post("/api/cron/process-opportunities", headers={"authorization": "Bearer a secret"})
        assert answer.json() == {"success": True, "queued": queued}

    call(40)
    offers = Job.objects.filter(type="process_opportunity_offer")
    start("threads", 1, "crm", EMAIL_URL="dummymail://")
    wait_for(lambda: offers.filter(status="completed").exists(), "the first")
    Opportunity.objects.create(id="vip", customer_id="vip", title="Late", estimated_value=1)
    call(1)
    wait_for(lambda: not offers.active().exists(), "the end of the offers")
    order = list(offers.order_by("started_at").values_list("payload__opportunityId", flat=True))
    came = offers.get(payload__opportunityId="vip").created_at
    running = offers.filter(started_at__lt=came).count()
    assert running <= order.index("vip") <= running + 1 < 40  # but for one that the worker had at hand
    order.remove("vip")
    assert order == [str(value) for value in values]
    assert Opportunity.objects.get(id="20").offer == Decimal("20.00")
