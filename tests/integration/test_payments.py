"""Payments by real workers: charged, declined, and once although a worker dies with Stripe's answer in its hands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from jobs.models import Failure, Job, Status
from jobs.processor import enqueue
from processors.crm.models import Customer, CustomerChange, Invoice, Payment
from tests.integration.servers import simulated_upstreams
from tests.integration.workers import Start, wait_for, wait_for_end
from tests.processors.crm.stripe import StripeControl


@pytest.fixture(autouse=True)
def _rows(db: None) -> Iterator[None]:
    _clear()
    yield
    _clear()


def _clear() -> None:
    for model in (Payment, Invoice, CustomerChange, Customer):
        model.objects.all().delete()


@pytest.fixture
def stripe(tmp_path: Path, _rows: None) -> Iterator[tuple[StripeControl, dict[str, Any]]]:
    server, environment = simulated_upstreams(tmp_path / "sandbox.log")
    control = StripeControl(f"{server.wait_until_up().url}/crm")
    control.customers({"id": "cus_1", "name": "Grace"}, {"id": "cus_2", "name": "Ada"})
    yield control, environment
    control.http.close()
    server.process.kill()
    server.process.wait()


def invoice(number: int, method: str) -> None:
    stripe_id = f"cus_{number}"
    owner = Customer.objects.create(id=f"c{number}", name="Grace", stripe_id=stripe_id, payment_method=method)
    Invoice.objects.create(id=f"i{number}", customer=owner, number=f"R-{number}", amount=5000)


def test_each_job_type_in_a_worker(start: Start, stripe: tuple[StripeControl, dict[str, Any]]) -> None:
    control, environment = stripe
    invoice(1, "pm_card_visa")
    invoice(2, "pm_card_chargeDeclined")
    paid, declined, twice = (enqueue("process_payment", {"invoiceId": name}) for name in ("i1", "i2", "i1"))
    synced = enqueue("sync_customer_data", {})
    start("threads", 4, "crm", **environment)
    wait_for(lambda: Job.objects.get(id=synced.id).status == Status.COMPLETED, "the customers")
    wait_for_end([paid.id, declined.id, twice.id])
    jobs = Job.objects.in_bulk([paid.id, declined.id, twice.id])
    assert [jobs[job.id].status for job in (paid, declined, twice)] == ["completed", "failed", "completed"]
    assert Failure.objects.filter(job=declined.id).latest("id").message.startswith("Your card was declined.")
    assert control.received()["charges"] == {"cus_1": 1}
    assert CustomerChange.objects.filter(customer="c2").exists()


def test_a_worker_killed_with_the_answer_in_its_hands_charges_once(
    start: Start, stripe: tuple[StripeControl, dict[str, Any]]
) -> None:
    control, environment = stripe
    invoice(1, "pm_card_visa")
    control.control(latency_ms=3000).raise_for_status()
    worker = start("threads", 1, "crm", **environment, JOBS_LEASE="3")
    job = enqueue("process_payment", {"invoiceId": "i1"})
    wait_for(lambda: control.asked("POST"), "the charge")
    with transaction.atomic():
        Invoice.objects.select_for_update().get()  # the worker cannot write down what it is told
        wait_for(lambda: control.charges() == 1, "the money")
        worker.kill()
    assert Payment.objects.get().status == Payment.Status.STARTED
    control.control(latency_ms=0).raise_for_status()
    start("threads", 1, "crm", **environment, JOBS_LEASE="3")
    wait_for_end([job.id])
    ended = Job.objects.get(id=job.id)
    assert (ended.status, ended.result and ended.result["status"]) == (Status.COMPLETED, "succeeded")
    assert (control.charges(), len(control.asked("POST"))) == (1, 1)
    assert (Payment.objects.get().status, Invoice.objects.get().status) == ("succeeded", "paid")
